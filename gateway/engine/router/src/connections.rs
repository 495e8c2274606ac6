//! Which rule carries a connection: by listener, and by server name where TLS tells one.
//!
//! Requests are never looked at here (Gateway API, `TLSRoute`, `TCPRoute`, `UDPRoute`). A server name goes to
//! the most specific hostname, and among equals to the oldest route, as for requests.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_table::{Listener, ListenerProtocol, Route, RouteKind};

use crate::group::Routes;
use crate::host_map::HostMap;
use crate::{ListenerId, RouteId, Router, SocketId};

/// Rules that carry connections, and the sockets that are not connected at all.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// By [`ListenerId`].
    attached: Vec<HostMap<RouteId>>,
    datagrams: Vec<(SocketAddr, ListenerId)>,
}

impl Connections {
    pub(crate) fn build(listeners: &[Arc<Listener>], routes: &Routes) -> Self {
        let positions: HashMap<&str, usize> =
            listeners.iter().enumerate().map(|(position, listener)| (listener.key.as_str(), position)).collect();
        let mut attached: Vec<HostMap<RouteId>> = listeners.iter().map(|_| HostMap::default()).collect();
        for (id, route) in last_first(routes) {
            for attachment in &route.attachments {
                let Some(position) = positions.get(attachment.listener.as_str()) else { continue };
                if carries(listeners[*position].protocol, route.kind) {
                    // What is inserted later takes the hostname over.
                    attachment.hostnames.iter().for_each(|hostname| attached[*position].insert(hostname, id));
                }
            }
        }
        let udp = listeners.iter().enumerate().filter(|(_, it)| it.protocol == ListenerProtocol::Udp);
        let datagrams = udp
            .map(|(position, it)| (SocketAddr::new(it.address, it.bind_port), ListenerId(position as u32)))
            .collect();
        Self { attached, datagrams }
    }
}

/// Rules of the connection kinds, the one with the highest precedence last.
fn last_first(routes: &Routes) -> Vec<(RouteId, &Arc<Route>)> {
    let mut found: Vec<_> = routes
        .slots()
        .iter()
        .filter(|(_, route)| !matches!(route.kind, RouteKind::Http | RouteKind::Grpc))
        .map(|(position, route)| (RouteId(position as u32), route))
        .collect();
    // A TLSRoute knows more of a connection than a TCPRoute on the same listener. The key settles what is left open.
    let order = |route: &'_ Route| Reverse((route.kind != RouteKind::Tls, route.created));
    found.sort_by(|(_, left), (_, right)| {
        let by_age = order(left).cmp(&order(right));
        by_age
            .then_with(|| (&right.object, right.rule).cmp(&(&left.object, left.rule)))
            .then_with(|| left.key.cmp(&right.key))
    });
    found
}

fn carries(protocol: ListenerProtocol, kind: RouteKind) -> bool {
    match protocol {
        ListenerProtocol::Tls => matches!(kind, RouteKind::Tls | RouteKind::Tcp),
        ListenerProtocol::Tcp => kind == RouteKind::Tcp,
        ListenerProtocol::Udp => kind == RouteKind::Udp,
        ListenerProtocol::Http | ListenerProtocol::Https | ListenerProtocol::Hbone => false,
    }
}

impl Router {
    /// The rule for a connection of `listener`; `server_name` is empty where none was sent.
    pub fn carrier(&self, listener: ListenerId, server_name: &str) -> Option<RouteId> {
        let attached = self.connections.attached.get(listener.0 as usize)?;
        attached.covering(server_name).next().map(|entry| entry.value)
    }

    /// Addresses to bind for UDP, each of one listener.
    pub fn datagrams(&self) -> &[(SocketAddr, ListenerId)] {
        &self.connections.datagrams
    }

    pub fn datagram_listener(&self, address: SocketAddr) -> Option<ListenerId> {
        self.connections.datagrams.iter().find(|(known, _)| *known == address).map(|(_, listener)| *listener)
    }

    /// The listener of a socket that a server name belongs to.
    pub fn server_name_owner(&self, socket: SocketId, server_name: &str) -> Option<ListenerId> {
        self.owner(socket, server_name)
    }
}
