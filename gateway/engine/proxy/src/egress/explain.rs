//! `CONNECT host:port`, and `GET http://…` through a way out: what the policies of the table say.

use std::net::IpAddr;

use http::Method;
use sekisho_codec::authority;
use sekisho_egress::{Caller, EgressExplanation, Host};
use sekisho_policy::Peer;
use sekisho_table::{EgressWay, Listener};

use super::open::{Asked, Spoken};
use crate::config::Compiled;

/// With the listener that was asked: the one for forward proxies that comes first, or the one named.
pub fn explain(
    compiled: &Compiled,
    named: &str,
    peer: Option<Peer>,
    source: IpAddr,
) -> Result<(String, EgressExplanation), String> {
    let (host, port) = authority::split(named).ok_or_else(|| format!("{named}: not a host and a port"))?;
    let port = port.filter(|port| *port > 0).ok_or_else(|| format!("{named}: CONNECT names a port, as {named}:443"))?;
    let host = Host::parse(host).map_err(|error| format!("{named}: {}", error.text()))?;
    let is_proxy = |listener: &&std::sync::Arc<Listener>| {
        listener.egress.as_ref().is_some_and(|egress| egress.way == EgressWay::Proxy)
    };
    let listener = compiled.table.listeners.values().find(is_proxy);
    let listener = listener.ok_or("no listener is a forward proxy; give one protocol sekisho.dev/EgressProxy")?;
    let outlet = compiled.egress.outlet(&listener.key).ok_or("the listener has no policies yet")?;
    let caller = Caller { peer: peer.map(Box::new), ..Caller::at(source) };
    let asked = Asked { caller, host, port, spoken: Spoken::Tunnel };
    Ok((listener.key.clone(), outlet.policies.explain(&asked.request())))
}

/// Whether a question is one of egress.
pub fn is_asked(method: &str) -> bool {
    method == Method::CONNECT.as_str()
}
