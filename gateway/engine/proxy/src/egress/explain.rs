//! `CONNECT host:port` through a way out: what the policies of the table say, and the guard of an address.

use std::net::IpAddr;

use http::Method;
use sekisho_codec::authority;
use sekisho_egress::{Caller, EgressExplanation, Host, Verdict};
use sekisho_policy::Peer;
use sekisho_table::{EgressWay, Listener};

use super::compiled::{Egress, Outlet};
use super::open::{Asked, Spoken, reason_of};
use crate::config::Compiled;
use crate::reason::Reason;

/// A decision with its reasons, and why it is denied, if it is.
pub struct Explained {
    pub explanation: EgressExplanation,
    pub refused: Option<Reason>,
}

impl Explained {
    /// As `open::permit` decides, but for what has to be asked: a name's addresses.
    pub(super) fn of(egress: &Egress, outlet: &Outlet, asked: &Asked, is_forward_proxy: bool) -> Self {
        let request = asked.request();
        let (decision, mut explanation) = outlet.policies.explain(&request);
        let wants_credentials =
            is_forward_proxy && asked.caller.credential.is_none() && outlet.policies.wants_credentials();
        let refused = match (decision.verdict, &asked.host) {
            (Verdict::Deny(denial), _) => Some(reason_of(denial, wants_credentials)),
            (Verdict::Allow, Host::Name(_)) => None,
            (Verdict::Allow, Host::Address(address)) => {
                let vetted = outlet.policies.vet(&request, &decision, &[*address], &egress.own);
                vetted.err().map(|why| {
                    explanation.prohibit(&why);
                    Reason::EgressAddressProhibited
                })
            }
        };
        Self { explanation, refused }
    }
}

/// Whom a question is about, as the engine would know it from a certificate.
pub fn caller(peer: Option<Peer>, uri: &str, source: IpAddr) -> Caller {
    let subject_alt_names = if uri.is_empty() { Box::default() } else { Box::from([uri.into()]) };
    Caller { peer: peer.map(Box::new), subject_alt_names, ..Caller::at(source.to_canonical()) }
}

/// With the listener that was asked: the first that is for forward proxies.
pub fn explain(compiled: &Compiled, named: &str, caller: Caller) -> Result<(String, Explained), String> {
    let (host, port) = authority::split(named).ok_or_else(|| format!("{named}: not a host and a port"))?;
    let port = port.filter(|port| *port > 0).ok_or_else(|| format!("{named}: CONNECT names a port, as {named}:443"))?;
    let host = Host::parse(host).map_err(|error| format!("{named}: {}", error.text()))?;
    let is_proxy = |listener: &&std::sync::Arc<Listener>| {
        listener.egress.as_ref().is_some_and(|egress| egress.way == EgressWay::Proxy)
    };
    let listener = compiled.table.listeners.values().find(is_proxy);
    let listener = listener.ok_or("no listener is a forward proxy; give one protocol sekisho.dev/EgressProxy")?;
    let outlet = compiled.egress.outlet(&listener.key).ok_or("the listener has no policies yet")?;
    let asked = Asked { caller, host, port, spoken: Spoken::Tunnel };
    Ok((listener.key.clone(), Explained::of(&compiled.egress, outlet, &asked, true)))
}

/// Whether a question is one of egress.
pub fn is_asked(method: &str) -> bool {
    method == Method::CONNECT.as_str()
}
