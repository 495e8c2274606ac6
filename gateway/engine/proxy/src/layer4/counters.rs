//! Counters of carried connections, by destination like those of requests.

use std::sync::Arc;

use sekisho_table::Destination;
use serde::Serialize;

use crate::parties::{Between, Parties, PartyId, Sides};
use crate::reason::Reason;
use crate::series::Security;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Tcp,
    Tls,
    Udp,
}

impl Kind {
    /// As the access log writes it.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
        }
    }

    /// As metrics write it.
    fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionKey {
    pub gateway: u32,
    pub kind: Kind,
    pub security: Security,
    pub between: Between,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, Default)]
struct ConnectionCounters {
    opened: u64,
    closed: u64,
    received: u64,
    sent: u64,
}

/// The series of one destination: closed sets alone tell them apart, so they stay few.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSeries {
    series: Vec<(ConnectionKey, ConnectionCounters)>,
}

impl ConnectionSeries {
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    fn of(&mut self, key: ConnectionKey) -> &mut ConnectionCounters {
        let index = self.series.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.series.push((key, ConnectionCounters::default()));
            self.series.len() - 1
        });
        &mut self.series[index].1
    }

    pub fn opened(&mut self, key: ConnectionKey) {
        self.of(key).opened += 1;
    }

    pub fn closed(&mut self, key: ConnectionKey) {
        self.of(key).closed += 1;
    }

    pub fn moved(&mut self, key: ConnectionKey, received: u64, sent: u64) {
        let counters = self.of(key);
        counters.received += received;
        counters.sent += sent;
    }

    /// Adds another worker's, whose gateways have other places.
    pub fn merge(&mut self, other: &ConnectionSeries, gateways: &[u32], parties: &[PartyId]) {
        for (key, theirs) in &other.series {
            let gateway = gateways.get(key.gateway as usize).copied().unwrap_or(0);
            let mine = self.of(ConnectionKey { gateway, between: key.between.renumbered(parties), ..*key });
            mine.opened += theirs.opened;
            mine.closed += theirs.closed;
            mine.received += theirs.received;
            mine.sent += theirs.sent;
        }
    }

    pub fn report<'a>(
        &'a self,
        destination: &'a Destination,
        gateways: &'a [Arc<str>],
        parties: &'a Parties,
    ) -> impl Iterator<Item = ConnectionLine<'a>> {
        self.series.iter().map(move |(key, counters)| ConnectionLine {
            labels: ConnectionLabels {
                response_flags: key.reason.flags(),
                request_protocol: key.kind.label(),
                destination_service: &destination.service,
                destination_service_name: &destination.service_name,
                destination_service_namespace: &destination.service_namespace,
                gateway: gateways.get(key.gateway as usize).map_or("", |gateway| gateway),
                connection_security_policy: key.security.label(),
                sides: Sides::new(key.between, parties),
            },
            opened: counters.opened,
            closed: counters.closed,
            received_bytes: counters.received,
            sent_bytes: counters.sent,
        })
    }
}

#[derive(Debug, Serialize)]
struct ConnectionLabels<'a> {
    response_flags: &'static str,
    request_protocol: &'static str,
    destination_service: &'a str,
    destination_service_name: &'a str,
    destination_service_namespace: &'a str,
    gateway: &'a str,
    connection_security_policy: &'static str,
    #[serde(flatten)]
    sides: Sides<'a>,
}

/// One series as statistics tell it; bytes as seen from the client's side of the gateway.
#[derive(Debug, Serialize)]
pub struct ConnectionLine<'a> {
    labels: ConnectionLabels<'a>,
    opened: u64,
    closed: u64,
    received_bytes: u64,
    sent_bytes: u64,
}
