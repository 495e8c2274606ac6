//! One series of requests: what tells it from others, and what is counted of it.

use std::time::Duration;

use crate::parties::Between;
use crate::reason::Reason;

/// Upper bounds of the duration histogram, milliseconds; one more bucket holds the rest.
pub const DURATION_BOUNDS_MS: [f64; 16] =
    [0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Http,
    Grpc,
}

/// How a connection is secured, as metrics write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    #[default]
    None,
    Tls,
    /// Of the mesh: both sides have proved who they are.
    MutualTls,
}

impl Security {
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tls => "tls",
            Self::MutualTls => "mutual_tls",
        }
    }
}

/// What tells one series of a destination from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    pub gateway: u32,
    pub status: u16,
    pub reason: Reason,
    pub protocol: Protocol,
    pub grpc_status: Option<u16>,
    pub security: Security,
    pub between: Between,
}

#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub requests: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration_sum: Duration,
    pub buckets: [u64; DURATION_BOUNDS_MS.len() + 1],
}

impl Counters {
    pub fn add(&mut self, sample: &Sample) {
        self.requests += 1;
        self.request_bytes += sample.request_bytes;
        self.response_bytes += sample.response_bytes;
        self.duration_sum += sample.duration;
        let milliseconds = sample.duration.as_secs_f64() * 1e3;
        let bucket = DURATION_BOUNDS_MS.iter().position(|bound| milliseconds <= *bound);
        self.buckets[bucket.unwrap_or(DURATION_BOUNDS_MS.len())] += 1;
    }

    pub fn merge(&mut self, other: &Counters) {
        self.requests += other.requests;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
        self.duration_sum += other.duration_sum;
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
    }
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub key: SeriesKey,
    pub duration: Duration,
    pub request_bytes: u64,
    pub response_bytes: u64,
}
