//! Counters of one worker, and their sum.
//!
//! Series grow with the destinations that are really hit, never with routes, hosts or paths
//! (a label taken from a request would be a cardinality attack). Nothing here is shared between
//! workers: each counts for itself, and a scrape adds them up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sekisho_table::Destination;
use serde::Serialize;

use crate::authorization::NO_POLICY;
use crate::config::Compiled;
use crate::layer4::{ConnectionKey, ConnectionLine, ConnectionSeries};
use crate::parties::{Parties, Party, PartyId, Sides};
use crate::series::{Counters, DURATION_BOUNDS_MS, Protocol, Sample, SeriesKey};

/// Distinct label sets kept for one destination; beyond it, status codes fold into their class.
const MAX_SERIES_PER_DESTINATION: usize = 64;

/// Beyond it, callers fold into one.
const MAX_SERIES_OF_PARTIES: usize = 1024;

/// A destination's place in [`Statistics`]; stable for the life of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// Requests that reached no destination.
    pub const NONE: Slot = Slot(0);
}

#[derive(Clone, Debug)]
struct DestinationSeries {
    destination: Arc<Destination>,
    series: Vec<(SeriesKey, Counters)>,
    connections: ConnectionSeries,
}

impl DestinationSeries {
    fn new(destination: Arc<Destination>) -> Self {
        Self { destination, series: Vec::new(), connections: ConnectionSeries::default() }
    }
}

/// All counters of one worker. `Clone` is the snapshot that leaves the worker.
#[derive(Clone, Debug)]
pub struct Statistics {
    destinations: Vec<DestinationSeries>,
    slots: HashMap<Arc<Destination>, u32>,
    gateways: Vec<Arc<str>>,
    parties: Parties,
    pub listeners: BTreeMap<String, u64>,
    pub routes: BTreeMap<String, u64>,
    /// By policy and effect.
    pub authorization: BTreeMap<(Box<str>, &'static str), u64>,
    /// By policy, rule and what was decided.
    pub egress: BTreeMap<(Box<str>, Box<str>, &'static str), u64>,
    /// Bytes from clients and to them, by policy and rule.
    pub egress_bytes: BTreeMap<(Box<str>, Box<str>), (u64, u64)>,
    pub accepted: u64,
    pub refused: u64,
    pub active: u64,
}

impl Default for Statistics {
    fn default() -> Self {
        let nowhere = Arc::<Destination>::default();
        Self {
            destinations: vec![DestinationSeries::new(nowhere.clone())],
            slots: HashMap::from([(nowhere, 0)]),
            gateways: Vec::new(),
            parties: Parties::default(),
            listeners: BTreeMap::new(),
            routes: BTreeMap::new(),
            authorization: BTreeMap::new(),
            egress: BTreeMap::new(),
            egress_bytes: BTreeMap::new(),
            accepted: 0,
            refused: 0,
            active: 0,
        }
    }
}

impl Statistics {
    /// A policy had an effect on a request or connection.
    pub fn authorized(&mut self, policy: &str, effect: &'static str) {
        *self.authorization.entry((policy.into(), effect)).or_default() += 1;
    }

    /// Forgets the hits of what the table no longer has.
    pub fn retain(&mut self, compiled: &Compiled) {
        self.listeners.retain(|key, _| compiled.table.listeners.contains_key(key));
        self.authorization.retain(|(policy, _), _| {
            &**policy == NO_POLICY
                || compiled.table.authorization_policies.contains_key(&**policy)
                || compiled.table.request_authentications.contains_key(&**policy)
        });
        self.routes.retain(|key, _| compiled.router.route_id(key).is_some());
    }

    /// The slot for a destination; called once for each destination and table, not per request.
    pub fn slot(&mut self, destination: &Destination) -> Slot {
        if let Some(slot) = self.slots.get(destination) {
            return Slot(*slot);
        }
        let slot = self.destinations.len() as u32;
        let destination = Arc::new(destination.clone());
        self.destinations.push(DestinationSeries::new(destination.clone()));
        self.slots.insert(destination, slot);
        Slot(slot)
    }

    pub fn gateway(&mut self, key: &str) -> u32 {
        let found = self.gateways.iter().position(|known| &**known == key);
        found.unwrap_or_else(|| {
            self.gateways.push(key.into());
            self.gateways.len() - 1
        }) as u32
    }

    /// A party's number; asked for once a connection, or endpoint.
    pub fn party(&mut self, party: &Party) -> PartyId {
        self.parties.number(party)
    }

    pub fn record(&mut self, slot: Slot, mut sample: Sample) {
        let Some(destination) = self.destinations.get_mut(slot.0 as usize) else {
            return;
        };
        let series = &mut destination.series;
        let mut found = series.iter().position(|(key, _)| *key == sample.key);
        if found.is_none() && series.len() >= MAX_SERIES_PER_DESTINATION {
            sample.key.status = sample.key.status / 100 * 100;
            sample.key.grpc_status = None;
            found = series.iter().position(|(key, _)| *key == sample.key);
        }
        if found.is_none() && series.len() >= MAX_SERIES_OF_PARTIES {
            sample.key.between.source = PartyId::default();
            found = series.iter().position(|(key, _)| *key == sample.key);
        }
        let index = found.unwrap_or_else(|| {
            if series.is_empty() {
                // Most of many destinations answer in one way.
                series.reserve_exact(1);
            }
            series.push((sample.key, Counters::default()));
            series.len() - 1
        });
        series[index].1.add(&sample);
    }

    pub fn connection_opened(&mut self, slot: Slot, key: ConnectionKey) {
        if let Some(destination) = self.destinations.get_mut(slot.0 as usize) {
            destination.connections.opened(key);
        }
    }

    pub fn connection_closed(&mut self, slot: Slot, key: ConnectionKey) {
        if let Some(destination) = self.destinations.get_mut(slot.0 as usize) {
            destination.connections.closed(key);
        }
    }

    pub fn connection_moved(&mut self, slot: Slot, key: ConnectionKey, received: u64, sent: u64) {
        if let Some(destination) = self.destinations.get_mut(slot.0 as usize) {
            destination.connections.moved(key, received, sent);
        }
    }

    /// Adds another worker's counters; series meet by their labels, not by their slots.
    pub fn merge(&mut self, other: &Statistics) {
        let gateways: Vec<u32> = other.gateways.iter().map(|key| self.gateway(key)).collect();
        let parties = self.parties.meet(&other.parties);
        for theirs in other.destinations.iter().filter(|d| !d.series.is_empty() || !d.connections.is_empty()) {
            let slot = self.slot(&theirs.destination).0 as usize;
            self.destinations[slot].connections.merge(&theirs.connections, &gateways, &parties);
            let mine = &mut self.destinations[slot].series;
            for (key, counters) in &theirs.series {
                let gateway = gateways.get(key.gateway as usize).copied().unwrap_or(0);
                let key = SeriesKey { gateway, between: key.between.renumbered(&parties), ..*key };
                match mine.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, present)) => present.merge(counters),
                    None => mine.push((key, counters.clone())),
                }
            }
        }
        add_all(&mut self.listeners, &other.listeners);
        add_all(&mut self.routes, &other.routes);
        for (key, count) in &other.authorization {
            *self.authorization.entry(key.clone()).or_default() += count;
        }
        for (key, count) in &other.egress {
            *self.egress.entry(key.clone()).or_default() += count;
        }
        for (key, (received, sent)) in &other.egress_bytes {
            let sum = self.egress_bytes.entry(key.clone()).or_default();
            *sum = (sum.0 + received, sum.1 + sent);
        }
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.active += other.active;
    }

    pub fn connections(&self) -> Vec<ConnectionLine<'_>> {
        let destinations = self.destinations.iter();
        destinations.flat_map(|it| it.connections.report(&it.destination, &self.gateways, &self.parties)).collect()
    }

    pub fn report(&self) -> Vec<SeriesReport<'_>> {
        let mut out = Vec::new();
        for destination in &self.destinations {
            for (key, counters) in &destination.series {
                out.push(SeriesReport {
                    labels: Labels::new(key, &destination.destination, &self.gateways, &self.parties),
                    requests: counters.requests,
                    request_bytes: counters.request_bytes,
                    response_bytes: counters.response_bytes,
                    duration_buckets: counters.buckets,
                    duration_sum_ms: counters.duration_sum.as_secs_f64() * 1e3,
                });
            }
        }
        out
    }
}

fn add_all(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

#[derive(Debug, Serialize)]
pub struct Labels<'a> {
    response_code: u16,
    response_flags: &'static str,
    request_protocol: &'static str,
    grpc_response_status: String,
    destination_service: &'a str,
    destination_service_name: &'a str,
    destination_service_namespace: &'a str,
    gateway: &'a str,
    connection_security_policy: &'static str,
    #[serde(flatten)]
    sides: Sides<'a>,
}

impl<'a> Labels<'a> {
    fn new(key: &SeriesKey, destination: &'a Destination, gateways: &'a [Arc<str>], parties: &'a Parties) -> Self {
        Self {
            response_code: key.status,
            response_flags: key.reason.flags(),
            request_protocol: match key.protocol {
                Protocol::Http => "http",
                Protocol::Grpc => "grpc",
            },
            grpc_response_status: key.grpc_status.map(|code| code.to_string()).unwrap_or_default(),
            destination_service: &destination.service,
            destination_service_name: &destination.service_name,
            destination_service_namespace: &destination.service_namespace,
            gateway: gateways.get(key.gateway as usize).map_or("", |gateway| gateway),
            connection_security_policy: key.security.label(),
            sides: Sides::new(key.between, parties),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct SeriesReport<'a> {
    labels: Labels<'a>,
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration_buckets: [u64; DURATION_BOUNDS_MS.len() + 1],
    duration_sum_ms: f64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::parties::Between;
    use crate::reason::Reason;
    use crate::series::Security;

    fn sample(status: u16, milliseconds: u64) -> Sample {
        Sample {
            key: SeriesKey {
                gateway: 0,
                status,
                reason: Reason::ViaUpstream,
                protocol: Protocol::Http,
                grpc_status: None,
                security: Security::None,
                between: Between::default(),
            },
            duration: Duration::from_millis(milliseconds),
            request_bytes: 3,
            response_bytes: 5,
        }
    }

    fn shop() -> Destination {
        Destination { service: "shop.default".into(), service_name: "shop".into(), service_namespace: "default".into() }
    }

    #[test]
    fn workers_add_up_by_label_whatever_their_slots() {
        let (mut a, mut b) = (Statistics::default(), Statistics::default());
        a.gateway("default/other");
        let first = a.slot(&Destination { service: "x".into(), ..Destination::default() });
        a.record(first, sample(200, 1));
        let (in_a, in_b) = (a.slot(&shop()), b.slot(&shop()));
        assert_ne!(in_a, in_b);
        b.gateway("default/other");
        a.record(in_a, sample(200, 1));
        b.record(in_b, sample(200, 30));
        let mut sum = Statistics::default();
        sum.merge(&a);
        sum.merge(&b);
        let report = sum.report();
        let of_shop: Vec<_> = report.iter().filter(|r| r.labels.destination_service_name == "shop").collect();
        assert_eq!(of_shop.len(), 1);
        assert_eq!((of_shop[0].requests, of_shop[0].response_bytes), (2, 10));
        assert_eq!(of_shop[0].duration_buckets.iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_backend_that_invents_status_codes_cannot_grow_the_series_without_bound() {
        let mut statistics = Statistics::default();
        let slot = statistics.slot(&shop());
        for status in 100..=599 {
            statistics.record(slot, sample(status, 1));
        }
        assert!(statistics.report().len() <= MAX_SERIES_PER_DESTINATION + 5);
        assert_eq!(statistics.report().iter().map(|r| r.requests).sum::<u64>(), 500);
    }
}
