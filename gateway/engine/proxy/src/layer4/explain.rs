//! Where a connection goes, for `tcp://host:port`, `tls://server-name:port` and `udp://host:port`.

use std::net::IpAddr;

use sekisho_router::{Explanation, ListenerId, RouteId, SocketId};
use sekisho_table::{Listener, ListenerProtocol};

use crate::config::Compiled;

/// Where a connection goes.
pub struct Explained {
    pub explanation: Explanation,
    /// What its listener is bound to.
    pub address: IpAddr,
    pub carrier: Option<(ListenerId, RouteId)>,
}

/// `None` where the scheme is one of requests.
pub fn explain(compiled: &Compiled, scheme: &str, host: &str, port: u16) -> Option<Explained> {
    let found = match scheme {
        "tcp" => on_port(compiled, ListenerProtocol::Tcp, port),
        "udp" => on_port(compiled, ListenerProtocol::Udp, port),
        "tls" => by_server_name(compiled, host, port),
        _ => return None,
    };
    let mut explanation = Explanation::no_listener();
    let Some(id) = found else {
        return Some(Explained { explanation, address: IpAddr::from([0, 0, 0, 0]), carrier: None });
    };
    let router = &compiled.router;
    explanation.listener = Some(router.listener(id).key.clone());
    let server_name = if scheme == "tls" { host } else { "" };
    let carrier = router.carrier(id, server_name);
    match carrier.map(|route| router.route(route)) {
        Some(route) => {
            explanation.decision = "route";
            explanation.code = route.failure.as_ref().map_or("via_upstream", |failure| &failure.code).to_owned();
            explanation.route = Some(route.key.clone());
            explanation.name.clone_from(&route.name);
            explanation.backends.clone_from(&route.backends);
        }
        None => {
            explanation.decision = "not_found";
            explanation.code = "route_not_found".to_owned();
        }
    }
    let (address, carrier) = (router.listener(id).address, carrier.map(|route| (id, route)));
    Some(Explained { explanation, address, carrier })
}

fn has_port(listener: &Listener, port: u16) -> bool {
    listener.bind_port == port || listener.port == port
}

fn on_port(compiled: &Compiled, protocol: ListenerProtocol, port: u16) -> Option<ListenerId> {
    let listeners = compiled.router.listeners();
    let position = listeners.iter().position(|it| it.protocol == protocol && has_port(it, port))?;
    Some(ListenerId(position as u32))
}

fn by_server_name(compiled: &Compiled, server_name: &str, port: u16) -> Option<ListenerId> {
    let router = &compiled.router;
    let mut sockets = router.sockets().iter().enumerate().filter(|(_, socket)| socket.tls);
    let (position, _) =
        sockets.find(|(_, socket)| socket.listeners.iter().any(|id| has_port(router.listener(*id), port)))?;
    router.server_name_owner(SocketId(position as u32), server_name)
}
