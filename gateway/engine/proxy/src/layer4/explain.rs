//! Where a connection goes, for `tcp://host:port`, `tls://server-name:port` and `udp://host:port`.

use std::net::IpAddr;

use sekisho_router::{Explanation, ListenerId, SocketId};
use sekisho_table::{Listener, ListenerProtocol};

use crate::config::Compiled;

/// With the address that the listener is bound to. `None` where the scheme is one of requests.
pub fn explain(compiled: &Compiled, scheme: &str, host: &str, port: u16) -> Option<(Explanation, IpAddr)> {
    let found = match scheme {
        "tcp" => on_port(compiled, ListenerProtocol::Tcp, port),
        "udp" => on_port(compiled, ListenerProtocol::Udp, port),
        "tls" => by_server_name(compiled, host, port),
        _ => return None,
    };
    let mut explanation = Explanation::no_listener();
    let Some(id) = found else { return Some((explanation, IpAddr::from([0, 0, 0, 0]))) };
    let router = &compiled.router;
    explanation.listener = Some(router.listener(id).key.clone());
    let server_name = if scheme == "tls" { host } else { "" };
    match router.carrier(id, server_name).map(|route| router.route(route)) {
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
    Some((explanation, router.listener(id).address))
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
