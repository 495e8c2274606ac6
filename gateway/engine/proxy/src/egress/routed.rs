//! Requests of routes whose backend is a host outside: the same policies, guard and records as for ways out. Connections of
//! routes are [`super::carried`]'s.
//!
//! What is decided about is what is sent: the backend's name and port, and the request's method and path as filters left
//! them. The backend is then reached at the addresses that were vetted. Whoever keeps the [`Leave`] asks it as time goes by.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use http::header::HeaderValue;
use sekisho_codec::{RequestHead, Scheme, authority};
use sekisho_egress::Host;
use sekisho_filter::edge::forwarded::X_FORWARDED_CLIENT_CERT;
use sekisho_table::EgressLimits;
use sekisho_upstream::Backend;

use super::Certified;
use super::client::caller;
use super::gate::Gate;
use super::open::{self, Asked, Permit, Refused, Spoken};
use super::record::Record;
use super::reply::{self, Told};
use super::request;
use super::tunnel::Named;
use crate::exchange::Reply;
use crate::reason::Reason;
use crate::watchdog::after;

/// What one request, or connection, was let out by.
pub struct Leave {
    gate: Gate,
    asked: Asked,
    permit: Permit,
    record: Record,
    limits: EgressLimits,
    /// Where nobody looked for whom what is sent is, only a rule for TCP lets it out.
    named: Named,
    /// By the rule's bound on duration.
    pub until: Option<Instant>,
    /// Of the head that went out.
    head_bytes: u64,
}

/// Who asks, and for what. `rewritten`: a filter named the authority.
pub struct Wanted<'a> {
    pub certified: Option<Certified>,
    pub head: &'a mut RequestHead,
    pub host: &'a str,
    pub port: u16,
    /// Of the TLS around the request, where there is one.
    pub server_name: Option<&'a str>,
    pub rewritten: bool,
}

impl Leave {
    /// With the addresses that may be dialled. An error is the answer to the client, and is recorded.
    pub async fn ask(gate: Gate, wanted: Wanted<'_>) -> Result<(Self, Vec<SocketAddr>), Reply> {
        let Wanted { certified, head, host, port, server_name, rewritten } = wanted;
        let caller = caller(gate.remote, certified.as_ref());
        let mut record = Record::begin(&gate, &caller);
        record.protocol = Some("HTTP");
        record.method = Some(head.method.as_str().into());
        record.trace = request::trace_id(&head.headers);
        let asked = match Host::parse(host) {
            Ok(host) => {
                record.asks(&host, port);
                let spoken = Spoken::Http { method: head.method.clone(), path: head.path().into() };
                Asked { caller, host, port, spoken }
            }
            Err(_) => {
                record.host = Some(host.into());
                return Err(refuse(&mut record, &Reason::EgressNameInvalid.into()));
            }
        };
        if let Err(reason) = name_destination(head, &asked, server_name, rewritten) {
            return Err(refuse(&mut record, &reason.into()));
        }
        let (permit, addresses) = match open::permit(&gate, &asked, None, &mut record).await {
            Ok(permitted) => permitted,
            Err(refused) => return Err(refuse(&mut record, &refused)),
        };
        // Whoever is outside is not told who is who inside.
        head.headers.remove(&X_FORWARDED_CLIENT_CERT);
        let head_bytes = head.target.len() as u64 + super::forward::size(&head.headers);
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        Ok((Self { head_bytes, ..Self::new(gate, asked, permit, record, Named::Settled) }, addresses))
    }

    pub(super) fn new(gate: Gate, asked: Asked, permit: Permit, record: Record, named: Named) -> Self {
        let limits = permit.grant.rule.as_ref().map(|rule| *rule.limits()).unwrap_or_default();
        let until = after(Instant::now(), limits.duration_ms);
        Self { gate, asked, permit, record, limits, named, until, head_bytes: 0 }
    }

    /// A connection is there. `endpoint`: the address it leads to.
    pub fn connected(&mut self, endpoint: &str) {
        self.record.dialled = endpoint.parse().ok();
        self.record.allowed();
    }

    /// Most content that may move, both ways together.
    pub fn most(&self) -> u64 {
        if self.limits.bytes > 0 { self.limits.bytes.saturating_sub(self.head_bytes) } else { u64::MAX }
    }

    /// Content that has moved so far. An error says why it goes no further.
    pub fn check(&mut self, received: u64, sent: u64) -> Result<(), Reason> {
        self.record.moved(received + self.head_bytes, sent);
        if self.limits.bytes > 0 && self.record.bytes() >= self.limits.bytes {
            return Err(Reason::EgressLimit);
        }
        if let Some(reason) = self.named.finding() {
            return Err(reason);
        }
        self.permit.renew(&self.gate, &self.asked, self.named.shown())
    }

    /// How it ended, with all that has moved.
    pub fn finish(mut self, reason: Reason, received: u64, sent: u64) {
        self.record.moved(received + self.head_bytes, sent);
        self.record.end = reason;
        self.record.failed(reason);
    }
}

/// `Host` names whom the request goes to, and nobody else: what a client asked for chose the route. A filter or a server
/// name of TLS that names another one would hide it behind the name that was allowed.
pub(super) fn name_destination(
    head: &mut RequestHead,
    asked: &Asked,
    server_name: Option<&str>,
    rewritten: bool,
) -> Result<(), Reason> {
    if server_name.is_some_and(|name| Host::parse(name).as_ref() != Ok(&asked.host)) {
        return Err(Reason::EgressNameMismatch);
    }
    if rewritten {
        let named = head.authority.to_str().ok().and_then(authority::split);
        let (host, _) = named.ok_or(Reason::EgressNameMismatch)?;
        return match Host::parse(host) {
            Ok(host) if host == asked.host => Ok(()),
            _ => Err(Reason::EgressNameMismatch),
        };
    }
    let scheme = if server_name.is_some() { Scheme::Https } else { Scheme::Http };
    let is_usual = asked.port == scheme.default_port();
    let text = if is_usual { asked.host.to_string() } else { format!("{}:{}", asked.host, asked.port) };
    head.authority = HeaderValue::try_from(text).map_err(|_| Reason::EgressNameInvalid)?;
    Ok(())
}

fn refuse(record: &mut Record, refused: &Refused) -> Reply {
    let told = Told::of(record, refused);
    let words = told.text().trim_end().into();
    Reply { told: Some(words), ..Reply::new(reply::status(told.reason), told.reason) }
}

/// The backend at the addresses that were vetted.
pub fn backend_at(backend: &Rc<Backend>, mut addresses: Vec<SocketAddr>) -> Rc<Backend> {
    addresses.sort_unstable();
    backend.at_addresses(&addresses)
}
