//! Bounds on what costs the sender nothing: cancelled streams, errors provoked on purpose, frames that carry nothing.

use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(30);

/// So many events within half a minute, and no more.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: u32,
    spent: u32,
    since: Option<Instant>,
}

impl Budget {
    pub fn new(limit: u32) -> Self {
        Self { limit, spent: 0, since: None }
    }

    /// True while the event is within the bound. The clock is read when something is counted, not before.
    pub fn spend(&mut self, clock: fn() -> Instant) -> bool {
        let now = clock();
        if self.since.is_none_or(|since| now.duration_since(since) > PERIOD) {
            self.since = Some(now);
            self.spent = 0;
        }
        self.spent = self.spent.saturating_add(1);
        self.spent <= self.limit
    }

    /// Something useful came: it makes up for some events.
    #[inline]
    pub fn earn(&mut self, events: u32) {
        self.spent = self.spent.saturating_sub(events);
    }
}
