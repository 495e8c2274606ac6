//! What is remembered of one carried connection, and told when it ends: last, and exactly once.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_policy::Peer;
use sekisho_table::{Listener, Route};
use serde::Serialize;

use super::choice::Choice;
use super::counters::{ConnectionKey, Kind};
use crate::authorization::{self, Caller, DENIED, Told};
use crate::parties::{PartyId, Standing};
use crate::reason::Reason;
use crate::statistics::Slot;
use crate::worker::Worker;

/// Keeps the resources it names and not the table they came from: connections live long.
pub struct Record {
    worker: Rc<Worker>,
    started: Instant,
    kind: Kind,
    standing: Standing,
    /// The endpoint, where it is in the mesh.
    pub upstream_party: PartyId,
    /// It counts as begun: from here on its sides are known.
    opened: bool,
    peer: Option<Box<Peer>>,
    remote: SocketAddr,
    local: SocketAddr,
    server_name: Option<String>,
    listener: Arc<Listener>,
    route: Option<Arc<Route>>,
    backend: Option<String>,
    slot: Slot,
    gateway: u32,
    access_log: bool,
    authorization: Option<Rc<Told>>,
    pub upstream_host: Option<Rc<str>>,
    pub upstream_failure: Option<String>,
    pub reason: Reason,
    bytes_received: u64,
    bytes_sent: u64,
    counted: (u64, u64),
    counted_at: Instant,
}

/// Connections live long: what they have moved is counted this often, and at their end.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Where a connection comes from and what it asked for.
pub struct Origin {
    pub kind: Kind,
    pub standing: Standing,
    /// Who the client is, by a certificate that was verified.
    pub peer: Option<Box<Peer>>,
    pub remote: SocketAddr,
    pub local: SocketAddr,
    pub server_name: Option<String>,
    pub listener: Arc<Listener>,
    pub access_log: bool,
}

impl Record {
    pub fn begin(worker: &Rc<Worker>, origin: Origin, choice: &Choice) -> Record {
        let gateway = worker.statistics.borrow_mut().gateway(&origin.listener.gateway);
        Record {
            worker: worker.clone(),
            started: Instant::now(),
            kind: origin.kind,
            standing: origin.standing,
            upstream_party: PartyId::default(),
            opened: false,
            peer: origin.peer,
            remote: origin.remote,
            local: origin.local,
            server_name: origin.server_name,
            listener: origin.listener,
            route: choice.route.clone(),
            backend: choice.backend.as_ref().ok().map(|backend| backend.spec().key().to_owned()),
            slot: choice.slot,
            gateway,
            access_log: origin.access_log,
            authorization: choice.authorization.clone(),
            upstream_host: None,
            upstream_failure: None,
            // Whatever drops the connection before its end is known: the worker stops.
            reason: Reason::DownstreamDisconnected,
            bytes_received: 0,
            bytes_sent: 0,
            counted: (0, 0),
            counted_at: Instant::now(),
        }
    }

    /// Decides anew after policies have changed. An error is why the connection may not go on; the log then names
    /// the policy.
    pub fn admit_again(&mut self) -> Result<(), Reason> {
        let config = self.worker.config();
        let Some(policies) = config.compiled.policies_of(&self.listener.key) else { return Ok(()) };
        let caller = Caller {
            peer: self.peer.as_deref(),
            source: self.remote.ip(),
            destination: self.local.ip(),
            server_name: self.server_name.as_deref(),
        };
        let facts = caller.facts(self.listener.port, caller.source, None);
        let verdict = authorization::decide(policies, &facts, |policy, effect| {
            // The rest was counted when it began.
            if effect == DENIED {
                self.worker.statistics.borrow_mut().authorized(policy, effect);
            }
        });
        let Some(reason) = verdict.refused else { return Ok(()) };
        self.authorization = verdict.told.map(Rc::from);
        Err(reason)
    }

    /// Counts it as begun, unless that was done.
    pub fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            let key = self.key(Reason::ViaUpstream);
            self.worker.statistics.borrow_mut().connection_opened(self.slot, key);
        }
    }

    /// Totals so far, from the client and to it.
    pub fn moved(&mut self, received: u64, sent: u64, now: Instant) {
        (self.bytes_received, self.bytes_sent) = (received, sent);
        if now.duration_since(self.counted_at) >= COUNT_EVERY {
            self.counted_at = now;
            self.count();
        }
    }

    /// More bytes, from the client and to it.
    pub fn add(&mut self, received: usize, sent: usize, now: Instant) {
        self.moved(self.bytes_received + received as u64, self.bytes_sent + sent as u64, now);
    }

    fn key(&self, reason: Reason) -> ConnectionKey {
        let (between, security) = self.standing.between(self.upstream_party);
        ConnectionKey { gateway: self.gateway, kind: self.kind, security, between, reason }
    }

    fn count(&mut self) {
        let (received, sent) = (self.bytes_received - self.counted.0, self.bytes_sent - self.counted.1);
        self.counted = (self.bytes_received, self.bytes_sent);
        // How the connection will end is not known yet, so all its bytes go to one series.
        let key = self.key(Reason::ViaUpstream);
        self.worker.statistics.borrow_mut().connection_moved(self.slot, key, received, sent);
    }

    fn log(&self) {
        let duration = self.started.elapsed();
        let line = |start_time| Line {
            start_time,
            protocol: self.kind.protocol(),
            response_code: 0,
            response_flags: self.reason.flags(),
            response_code_details: match self.authorization.as_ref().and_then(|told| told.denied.as_deref()) {
                Some(denied) => Cow::Owned(format!("{}[{denied}]", self.reason.code())),
                None => Cow::Borrowed(self.reason.code()),
            },
            authorization_dry_run: self.authorization.as_ref().and_then(|told| told.dry_run.as_deref()),
            authorization_audit: self.authorization.as_ref().and_then(|told| told.audited.as_deref()),
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            duration: duration.as_millis() as u64,
            duration_us: duration.as_micros() as u64,
            downstream_remote_address: self.remote,
            downstream_local_address: self.local,
            downstream_peer: self.peer.as_deref().map(Peer::principal),
            requested_server_name: self.server_name.as_deref(),
            gateway: &self.listener.gateway,
            listener: &self.listener.key,
            route_name: self.route.as_ref().map(|route| route.key.as_str()),
            rule_name: self.route.as_ref().map(|route| route.name.as_str()).filter(|name| !name.is_empty()),
            upstream_cluster: self.backend.as_deref(),
            upstream_host: self.upstream_host.as_deref(),
            upstream_transport_failure_reason: self.upstream_failure.as_deref(),
        };
        self.worker.write_log(|text| text.write_json(self.started, line));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.open();
        if self.counted != (self.bytes_received, self.bytes_sent) {
            self.count();
        }
        self.worker.statistics.borrow_mut().connection_closed(self.slot, self.key(self.reason));
        if self.access_log && self.worker.log.enabled() {
            self.log();
        }
    }
}

/// The keys that requests have too mean the same here.
#[derive(Serialize)]
struct Line<'a> {
    start_time: String,
    protocol: &'static str,
    response_code: u16,
    response_flags: &'static str,
    response_code_details: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_dry_run: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_audit: Option<&'a str>,
    bytes_received: u64,
    bytes_sent: u64,
    duration: u64,
    duration_us: u64,
    downstream_remote_address: SocketAddr,
    downstream_local_address: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    downstream_peer: Option<&'a str>,
    requested_server_name: Option<&'a str>,
    gateway: &'a str,
    listener: &'a str,
    route_name: Option<&'a str>,
    rule_name: Option<&'a str>,
    upstream_cluster: Option<&'a str>,
    upstream_host: Option<&'a str>,
    upstream_transport_failure_reason: Option<&'a str>,
}
