//! The evidence: one record of each decision, and of each connection that was let out another when it ends.
//!
//! A record is a line of JSON, told apart from those of the access log by its `record`. Where it goes is [`crate::evidence`]'s; it
//! is written whatever is said of the access log. Metrics go by policy and rule, never by name.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_egress::{Caller, Decision, Host};
use sekisho_table::Listener;
use serde::Serialize;

use super::gate::Gate;
use crate::reason::Reason;
use crate::worker::Worker;

pub const ALLOW: &str = "allow";
pub const DENY: &str = "deny";
/// It was not forbidden, and did not come about.
pub const FAILED: &str = "failed";
pub const WOULD_DENY: &str = "would_deny";

/// What one connection or request asked for and got.
pub struct Record {
    worker: Rc<Worker>,
    started: Instant,
    id: u64,
    remote: SocketAddr,
    listener: Arc<Listener>,
    way: &'static str,
    identity: Option<Box<str>>,
    user: Option<Box<str>>,
    proof: &'static str,
    /// What is spoken to the destination, once it is known: `HTTP`, `TLS`, or `TCP` where nobody looked.
    pub protocol: Option<&'static str>,
    pub method: Option<Box<str>>,
    pub trace: Option<Box<str>>,
    pub host: Option<Box<str>>,
    pub port: u16,
    policy: Option<Box<str>>,
    rule: Option<Box<str>>,
    mode: &'static str,
    would_deny: bool,
    pub resolved: Vec<IpAddr>,
    pub resolution: Option<Duration>,
    pub dialled: Option<SocketAddr>,
    decided: Option<&'static str>,
    /// Why it ended, once it was let out.
    pub end: Reason,
    bytes: (u64, u64),
    counted: (u64, u64),
}

impl Record {
    pub fn begin(gate: &Gate, caller: &Caller) -> Self {
        let identity = caller.peer.as_deref().map(|peer| format!("spiffe://{}", peer.principal()));
        let identity = identity.map(String::into).or_else(|| caller.subject_alt_names.first().cloned());
        let proof = match (&identity, &caller.credential) {
            (Some(_), _) if caller.in_mesh => "mesh",
            (Some(_), _) => "certificate",
            (None, Some(_)) => "credentials",
            (None, None) => "address",
        };
        Self {
            worker: gate.worker.clone(),
            started: Instant::now(),
            id: fastrand::u64(..),
            remote: gate.remote,
            listener: gate.listener.clone(),
            way: gate.way(),
            identity,
            user: caller.credential.as_ref().map(|credential| credential.user.clone()),
            proof,
            protocol: None,
            method: None,
            trace: None,
            host: None,
            port: 0,
            policy: None,
            rule: None,
            mode: "Enforce",
            would_deny: false,
            resolved: Vec::new(),
            resolution: None,
            dialled: None,
            decided: None,
            end: Reason::DownstreamDisconnected,
            bytes: (0, 0),
            counted: (0, 0),
        }
    }

    pub fn asks(&mut self, host: &Host, port: u16) {
        self.host = Some(host.to_string().into());
        self.port = port;
    }

    pub fn follows(&mut self, decision: &Decision<'_>) {
        self.policy = decision.policy().map(Into::into);
        self.rule = decision.rule().map(Into::into);
        self.mode = decision.mode.as_str();
        self.would_deny = decision.would_deny;
    }

    /// The rule by which the address may be dialled need not be the first that allows the name.
    pub fn rests_on(&mut self, policy: &str, rule: &str) {
        self.policy = Some(policy.into());
        self.rule = Some(rule.into());
    }

    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    pub fn allowed(&mut self) {
        let reason = Reason::ViaUpstream;
        self.decide(ALLOW, reason);
    }

    /// Not let out, whether a policy, the guard or the network said so.
    pub fn denied(&mut self, reason: Reason) {
        let failed = matches!(
            reason,
            Reason::EgressNameUnresolved
                | Reason::EgressResolverUntrusted
                | Reason::UpstreamConnectFailed
                | Reason::DownstreamDisconnected
        );
        self.decide(if failed { FAILED } else { DENY }, reason);
    }

    /// It was not forbidden, and did not come about.
    pub fn failed(&mut self, reason: Reason) {
        self.decide(FAILED, reason);
    }

    fn decide(&mut self, decision: &'static str, reason: Reason) {
        if self.decided.is_some() {
            return;
        }
        self.decided = Some(decision);
        let counted = if self.would_deny && decision == ALLOW { WOULD_DENY } else { decision };
        let key = (self.policy.clone().unwrap_or_default(), self.rule.clone().unwrap_or_default(), counted);
        *self.worker.statistics.borrow_mut().egress.entry(key).or_default() += 1;
        self.write("egress_decision", reason);
    }

    /// Totals so far, from the client and to it.
    pub fn moved(&mut self, received: u64, sent: u64) {
        self.bytes = (received, sent);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.0 + self.bytes.1
    }

    /// Brings what has moved to the counters.
    pub fn count(&mut self) {
        let (received, sent) = (self.bytes.0 - self.counted.0, self.bytes.1 - self.counted.1);
        if received + sent == 0 {
            return;
        }
        self.counted = self.bytes;
        let key = (self.policy.clone().unwrap_or_default(), self.rule.clone().unwrap_or_default());
        let mut statistics = self.worker.statistics.borrow_mut();
        let sum = statistics.egress_bytes.entry(key).or_default();
        *sum = (sum.0 + received, sum.1 + sent);
    }

    fn write(&self, record: &'static str, reason: Reason) {
        let line = |start_time| Line {
            record,
            id: format!("{:016x}", self.id),
            start_time,
            gateway: &self.listener.gateway,
            listener: &self.listener.key,
            way: self.way,
            source: self.remote,
            identity: self.identity.as_deref(),
            user: self.user.as_deref(),
            proved_by: self.proof,
            protocol: self.protocol,
            method: self.method.as_deref(),
            host: self.host.as_deref(),
            port: self.port,
            decision: self.decided.unwrap_or(DENY),
            reason: reason.code(),
            mode: self.mode,
            would_deny: self.would_deny,
            policy: self.policy.as_deref(),
            rule: self.rule.as_deref(),
            resolved: &self.resolved,
            resolution_us: self.resolution.map(|took| took.as_micros() as u64),
            dialled: self.dialled,
            bytes_received: self.bytes.0,
            bytes_sent: self.bytes.1,
            duration: self.started.elapsed().as_millis() as u64,
            trace_id: self.trace.as_deref(),
        };
        self.worker.write_record(|text| text.write_json(self.started, line));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.count();
        match self.decided {
            // The client left, or the process ends, before it was known.
            None => self.decide(FAILED, self.end),
            Some(ALLOW) => self.write("egress_end", self.end),
            Some(_) => {}
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    record: &'static str,
    /// The same in both records of a connection.
    id: String,
    start_time: String,
    gateway: &'a str,
    listener: &'a str,
    way: &'static str,
    source: SocketAddr,
    identity: Option<&'a str>,
    user: Option<&'a str>,
    proved_by: &'static str,
    protocol: Option<&'static str>,
    method: Option<&'a str>,
    host: Option<&'a str>,
    port: u16,
    decision: &'static str,
    reason: &'static str,
    mode: &'static str,
    would_deny: bool,
    policy: Option<&'a str>,
    rule: Option<&'a str>,
    resolved: &'a [IpAddr],
    resolution_us: Option<u64>,
    dialled: Option<SocketAddr>,
    bytes_received: u64,
    bytes_sent: u64,
    duration: u64,
    trace_id: Option<&'a str>,
}
