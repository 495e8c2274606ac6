//! Statistics as they leave the engine: one JSON document, in which the workers are added up.

use std::collections::HashMap;

use serde::Serialize;

use crate::layer4::ConnectionLine;
use crate::series::DURATION_BOUNDS_MS;
use crate::statistics::{SeriesReport, Statistics};
use crate::worker::{BackendReport, Report};

#[derive(Serialize)]
struct StatisticsReport<'a> {
    series: Vec<SeriesReport<'a>>,
    duration_bounds_ms: &'a [f64],
    connections: ConnectionsReport,
    backends: Vec<BackendLine>,
    listeners: Vec<ListenerLine<'a>>,
    routes_hit: Vec<RouteLine<'a>>,
    /// What policies did to requests and connections.
    authorization: Vec<AuthorizationLine<'a>>,
    /// What egress policies decided.
    egress: Vec<EgressLine<'a>>,
    egress_bytes: Vec<EgressBytesLine<'a>>,
    /// Carried connections.
    tcp: Vec<ConnectionLine<'a>>,
    access_log_dropped: u64,
    workers: usize,
}

#[derive(Serialize)]
struct ConnectionsReport {
    active: u64,
    accepted: u64,
    refused: u64,
}

#[derive(Serialize)]
struct BackendLine {
    key: String,
    connections_opened: u64,
    connect_failures: u64,
    retries: u64,
    in_flight: u64,
}

#[derive(Serialize)]
struct ListenerLine<'a> {
    key: &'a str,
    requests: u64,
}

#[derive(Serialize)]
struct AuthorizationLine<'a> {
    policy: &'a str,
    effect: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct EgressLine<'a> {
    policy: &'a str,
    rule: &'a str,
    decision: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct EgressBytesLine<'a> {
    policy: &'a str,
    rule: &'a str,
    received: u64,
    sent: u64,
}

#[derive(Serialize)]
struct RouteLine<'a> {
    route: &'a str,
    requests: u64,
}

/// The counters of all workers together, as JSON. `lost_lines`: of the access log.
pub fn render(reports: &[Report], lost_lines: u64) -> Vec<u8> {
    let mut sum = Statistics::default();
    for report in reports {
        sum.merge(&report.statistics);
    }
    let report = StatisticsReport {
        series: sum.report(),
        duration_bounds_ms: &DURATION_BOUNDS_MS,
        connections: ConnectionsReport { active: sum.active, accepted: sum.accepted, refused: sum.refused },
        backends: sum_backends(reports),
        listeners: sum.listeners.iter().map(|(key, requests)| ListenerLine { key, requests: *requests }).collect(),
        routes_hit: sum.routes.iter().map(|(route, requests)| RouteLine { route, requests: *requests }).collect(),
        authorization: sum
            .authorization
            .iter()
            .map(|((policy, effect), count)| AuthorizationLine { policy, effect, count: *count })
            .collect(),
        egress: sum
            .egress
            .iter()
            .map(|((policy, rule, decision), count)| EgressLine { policy, rule, decision, count: *count })
            .collect(),
        egress_bytes: sum
            .egress_bytes
            .iter()
            .map(|((policy, rule), (received, sent))| EgressBytesLine {
                policy,
                rule,
                received: *received,
                sent: *sent,
            })
            .collect(),
        tcp: sum.connections(),
        access_log_dropped: lost_lines,
        workers: reports.len(),
    };
    serde_json::to_vec(&report).unwrap_or_default()
}

/// Backends that were used, added up over the workers.
fn sum_backends(reports: &[Report]) -> Vec<BackendLine> {
    let mut sums: HashMap<&str, BackendReport> = HashMap::new();
    for backend in reports.iter().flat_map(|report| &report.backends) {
        let sum = sums.entry(&backend.key).or_default();
        sum.connections_opened += backend.connections_opened;
        sum.connect_failures += backend.connect_failures;
        sum.retries += backend.retries;
        sum.in_flight += backend.in_flight;
    }
    let used = sums.into_iter().filter(|(_, sum)| sum.connections_opened + sum.connect_failures > 0);
    let mut lines: Vec<BackendLine> = used
        .map(|(key, sum)| BackendLine {
            key: key.to_owned(),
            connections_opened: sum.connections_opened,
            connect_failures: sum.connect_failures,
            retries: sum.retries,
            in_flight: sum.in_flight,
        })
        .collect();
    lines.sort_by(|a, b| a.key.cmp(&b.key));
    lines
}
