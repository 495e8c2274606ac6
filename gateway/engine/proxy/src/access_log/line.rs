//! What a line says, and how it is written down.

use std::time::{Duration, Instant};

use http::{Method, Version};

use super::LogText;
use super::json::{escape, named, number, optional_known, optional_number, optional_text};
use crate::authorization::Told;
use crate::reason::Reason;

/// What one line says. Absent values are written as `null`.
#[derive(Debug)]
pub struct Line<'a> {
    pub started: Instant,
    pub duration: Duration,
    pub method: &'a Method,
    pub path: &'a [u8],
    pub version: Version,
    pub authority: &'a [u8],
    pub status: u16,
    pub reason: Reason,
    pub authorization: Option<&'a Told>,
    pub grpc_status: Option<u16>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub upstream_duration: Option<Duration>,
    pub retries: u32,
    pub user_agent: Option<&'a [u8]>,
    pub forwarded_for: Option<&'a [u8]>,
    pub request_id: &'a [u8],
    /// `forwarded_for` and `request_id` may hold what another hop said.
    pub trusts_hops: bool,
    pub trace_id: &'a str,
    pub remote: &'a str,
    /// From [`connection_fields`].
    pub connection: &'a [u8],
    pub place: PlaceFields<'a>,
    pub upstream_host: &'a str,
    pub upstream_failure: &'a str,
}

impl Line<'_> {
    // Every key is written together with what surrounds it: one copy of known length each.
    pub fn write(&self, text: &mut LogText) {
        let LogText { lines: out, clock, timestamps } = text;
        out.extend_from_slice(b"{\"start_time\":\"");
        timestamps.write(clock.since_epoch(self.started), out);
        out.extend_from_slice(b"\",\"method\":\"");
        // Methods are tokens and authorities are checked names: neither holds anything to escape.
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(b"\",\"path\":\"");
        escape(self.path, out);
        out.extend_from_slice(b"\",\"protocol\":\"");
        out.extend_from_slice(protocol(self.version).as_bytes());
        out.extend_from_slice(b"\",\"authority\":\"");
        out.extend_from_slice(self.authority);
        out.extend_from_slice(b"\",\"response_code\":");
        number(self.status.into(), out);
        out.extend_from_slice(b",\"response_flags\":\"");
        out.extend_from_slice(self.reason.flags().as_bytes());
        out.extend_from_slice(b"\",\"response_code_details\":\"");
        out.extend_from_slice(self.reason.code().as_bytes());
        if let Some(told) = self.authorization {
            authorization(told, out);
        }
        out.extend_from_slice(b"\",\"grpc_status\":");
        optional_number(self.grpc_status.map(u64::from), out);
        out.extend_from_slice(b",\"bytes_received\":");
        number(self.bytes_received, out);
        out.extend_from_slice(b",\"bytes_sent\":");
        number(self.bytes_sent, out);
        out.extend_from_slice(b",\"duration\":");
        number(self.duration.as_millis() as u64, out);
        out.extend_from_slice(b",\"duration_us\":");
        number(self.duration.as_micros() as u64, out);
        out.extend_from_slice(b",\"upstream_service_time\":");
        optional_number(self.upstream_duration.map(|d| d.as_millis() as u64), out);
        out.extend_from_slice(b",\"retries\":");
        number(self.retries.into(), out);
        out.extend_from_slice(b",\"user_agent\":");
        optional_text(self.user_agent, out);
        out.extend_from_slice(b",\"x_forwarded_for\":");
        self.edge_text(self.forwarded_for, out);
        out.extend_from_slice(b",\"request_id\":");
        self.edge_text(Some(self.request_id), out);
        out.extend_from_slice(b",\"trace_id\":\"");
        out.extend_from_slice(self.trace_id.as_bytes());
        out.extend_from_slice(b"\",\"downstream_remote_address\":\"");
        out.extend_from_slice(self.remote.as_bytes());
        out.extend_from_slice(self.connection);
        out.extend_from_slice(self.place.listener);
        out.extend_from_slice(self.place.route);
        out.extend_from_slice(self.place.backend);
        out.extend_from_slice(b",\"upstream_host\":");
        named(self.upstream_host, out);
        out.extend_from_slice(b",\"upstream_transport_failure_reason\":");
        named(self.upstream_failure, out);
        out.extend_from_slice(b"}\n");
    }

    /// A value that is the gateway's own, unless it was told one by a hop that it trusts.
    fn edge_text(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        if self.trusts_hops { optional_text(value, out) } else { optional_known(value, out) }
    }
}

/// Which policy and rule denied, after the code they explain; then what policies say that do not decide.
fn authorization(told: &Told, out: &mut Vec<u8>) {
    if let Some(denied) = &told.denied {
        out.push(b'[');
        escape(denied.as_bytes(), out);
        out.push(b']');
    }
    for (key, text) in [("authorization_dry_run", &told.dry_run), ("authorization_audit", &told.audited)] {
        if let Some(text) = text {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":\"");
            escape(text.as_bytes(), out);
        }
    }
}

/// What every line of a connection says after the remote address, whose string it ends. `peer`: who its client has proved
/// to be.
pub fn connection_fields(local: &str, peer: Option<&str>, server_name: Option<&str>) -> Box<[u8]> {
    let mut out = Vec::new();
    out.extend_from_slice(b"\",\"downstream_local_address\":\"");
    out.extend_from_slice(local.as_bytes());
    if let Some(peer) = peer {
        out.extend_from_slice(b"\",\"downstream_peer\":\"");
        escape(peer.as_bytes(), &mut out);
    }
    out.extend_from_slice(b"\",\"requested_server_name\":");
    optional_text(server_name.map(str::as_bytes), &mut out);
    out.into()
}

/// Where a request went, in the parts that requests share: each is written once.
#[derive(Clone, Copy, Debug)]
pub struct PlaceFields<'a> {
    /// From [`listener_fields`].
    pub listener: &'a [u8],
    /// From [`route_fields`].
    pub route: &'a [u8],
    /// From [`backend_fields`].
    pub backend: &'a [u8],
}

// Empty names are absent.
pub fn listener_fields(gateway: &str, listener: &str) -> Box<[u8]> {
    let mut out = b",\"gateway\":".to_vec();
    named(gateway, &mut out);
    out.extend_from_slice(b",\"listener\":");
    named(listener, &mut out);
    out.into()
}

pub fn route_fields(route: &str, rule: &str) -> Box<[u8]> {
    let mut out = b",\"route_name\":".to_vec();
    named(route, &mut out);
    out.extend_from_slice(b",\"rule_name\":");
    named(rule, &mut out);
    out.into()
}

pub fn backend_fields(backend: &str) -> Box<[u8]> {
    let mut out = b",\"upstream_cluster\":".to_vec();
    named(backend, &mut out);
    out.into()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
