//! Which listeners may share a socket: one protocol, one owner for each hostname, and of captured connections for each
//! original destination.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::{EgressWay, Listener, ListenerProtocol};

/// Listeners in the order in which they get their places.
#[derive(Default)]
pub(crate) struct SocketOwners<'a> {
    sockets: HashMap<SocketKey, &'a Listener>,
    /// Captured listeners, by each original destination that they take.
    destinations: HashMap<(SocketKey, CapturedKey), &'a Listener>,
    hostnames: HashMap<(SocketKey, Option<CapturedKey>, &'a str), &'a Listener>,
}

/// Address, port, and whether it is for datagrams.
type SocketKey = (IpAddr, u16, bool);
/// Original address and port, each of them `None` for any.
type CapturedKey = (Option<IpAddr>, Option<u16>);

impl<'a> SocketOwners<'a> {
    /// Why `listener` cannot have its place, or `None` once it has it.
    pub(crate) fn claim(&mut self, listener: &'a Listener) -> Option<String> {
        let socket = (listener.address, listener.bind_port, listener.protocol == ListenerProtocol::Udp);
        let (address, port, _) = socket;
        let first = *self.sockets.entry(socket).or_insert(listener);
        if let Some(refusal) = goes_another_way(first, listener) {
            return Some(refusal);
        }
        if first.captured.is_some() != listener.captured.is_some() {
            return Some(format!(
                "captured: listener `{}` has {address} port {port}, and captured listeners share a socket only with \
                 each other; use another port",
                first.key
            ));
        }
        let Some(captured) = &listener.captured else {
            return speaks_otherwise(first, listener).or_else(|| self.claim_hostname(socket, None, listener));
        };
        let port = (!captured.any_port).then_some(listener.port);
        let every = [None];
        let addresses = captured.addresses.iter().copied().map(Some);
        let destinations = addresses.chain(every.into_iter().filter(|_| captured.addresses.is_empty()));
        let keys: Vec<CapturedKey> = destinations.map(|address| (address, port)).collect();
        for key in keys {
            let first = *self.destinations.entry((socket, key)).or_insert(listener);
            let same = first.captured.as_ref() == Some(captured);
            let refusal = if same { speaks_otherwise(first, listener) } else { Some(takes_already(first)) };
            if let Some(refusal) = refusal.or_else(|| self.claim_hostname(socket, Some(key), listener)) {
                return Some(refusal);
            }
        }
        None
    }

    fn claim_hostname(
        &mut self,
        socket: SocketKey,
        captured: Option<CapturedKey>,
        listener: &'a Listener,
    ) -> Option<String> {
        let owner = self.hostnames.entry((socket, captured, &listener.hostname)).or_insert(listener);
        let (address, port, _) = socket;
        (owner.key != listener.key).then(|| {
            let hostname = if listener.hostname.is_empty() { "every hostname" } else { &listener.hostname };
            format!(
                "hostname: listener `{}` owns {hostname} on {address} port {port} already; use another hostname or port",
                owner.key
            )
        })
    }
}

fn goes_another_way(first: &Listener, listener: &Listener) -> Option<String> {
    let by_server_name = begins_with_tls(listener.protocol) && !is_transparent(first) && !is_transparent(listener);
    (way(first) != way(listener) && !by_server_name).then(|| {
        format!(
            "egress: listener `{}` is {} on {} port {} already; use another port",
            first.key,
            first.egress.as_ref().map_or("no way out", |egress| egress.way.as_str()),
            listener.address,
            listener.bind_port
        )
    })
}

fn speaks_otherwise(first: &Listener, listener: &Listener) -> Option<String> {
    let refused = !share_a_socket(first.protocol, listener.protocol) || first.mesh != listener.mesh;
    refused.then(|| {
        let what = if first.protocol == listener.protocol { "mesh" } else { "protocol" };
        format!(
            "{what}: listener `{}` speaks {} on {} port {} already; use another port",
            first.key,
            first.protocol.as_str(),
            listener.address,
            listener.bind_port
        )
    })
}

fn takes_already(first: &Listener) -> String {
    format!("captured: listener `{}` takes one of its destinations already; name other addresses or ports", first.key)
}

/// Where TLS comes first, the server name tells whose connection it is.
fn share_a_socket(one: ListenerProtocol, other: ListenerProtocol) -> bool {
    one == other || (begins_with_tls(one) && begins_with_tls(other))
}

fn begins_with_tls(protocol: ListenerProtocol) -> bool {
    matches!(protocol, ListenerProtocol::Https | ListenerProtocol::Tls)
}

/// Every connection of its socket is redirected traffic.
fn is_transparent(listener: &Listener) -> bool {
    way(listener) == Some(EgressWay::Tls)
}

/// Without TLS nothing tells a client of a forward proxy from another: such a socket is one or the other.
fn way(listener: &Listener) -> Option<EgressWay> {
    listener.egress.as_ref().map(|egress| egress.way)
}
