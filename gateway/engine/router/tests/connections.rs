//! Which rule carries a connection.

use std::sync::Arc;

use sekisho_router::Router;
use sekisho_table::{Listener, Route, Table};
use serde_json::json;

fn listener(name: &str, protocol: &str, port: u16) -> (String, Arc<Listener>) {
    let listener = json!({"key": name, "gateway": "g", "address": "127.0.0.1", "port": port, "bind_port": port,
        "protocol": protocol});
    (name.to_owned(), Arc::new(serde_json::from_value(listener).expect("a listener")))
}

fn route(kind: &str, name: &str, created: i64, listener: &str, hostname: &str) -> (String, Arc<Route>) {
    let key = format!("{kind}/default/{name}/0");
    let route = json!({"key": key, "kind": kind, "object": format!("default/{name}"), "rule": 0, "created": created,
        "attachments": [{"listener": listener, "hostnames": [hostname]}], "matches": []});
    (key, Arc::new(serde_json::from_value(route).expect("a route")))
}

fn table() -> Table {
    Table {
        listeners: [listener("tcp", "TCP", 1), listener("tls", "TLS", 2), listener("udp", "UDP", 1)].into(),
        routes: [
            route("TCPRoute", "young", 2, "tcp", "*"),
            route("TCPRoute", "old", 1, "tcp", "*"),
            route("TLSRoute", "exact", 9, "tls", "a.example.com"),
            route("TLSRoute", "wild", 1, "tls", "*.example.com"),
            route("TLSRoute", "long", 1, "tls", "*.b.example.com"),
            route("TCPRoute", "any", 1, "tls", "*"),
            route("UDPRoute", "dns", 1, "udp", "*"),
            route("UDPRoute", "misplaced", 0, "tcp", "*"),
            route("TCPRoute", "misplaced", 0, "udp", "*"),
        ]
        .into(),
        ..Table::default()
    }
}

fn carrier(router: &Router, listener: &str, server_name: &str) -> Option<String> {
    let ids = (0..).map(sekisho_router::ListenerId);
    let (id, _) = ids.zip(router.listeners()).find(|(_, it)| it.key == listener).expect("a listener");
    let route = router.carrier(id, server_name)?;
    Some(router.route(route).key.clone())
}

#[test]
fn the_most_specific_server_name_carries_a_tls_connection() {
    let router = Router::build(&table());
    for (server_name, want) in [
        ("a.example.com", "TLSRoute/default/exact/0"),
        ("c.example.com", "TLSRoute/default/wild/0"),
        ("x.b.example.com", "TLSRoute/default/long/0"),
        ("other.test", "TCPRoute/default/any/0"),
        ("", "TCPRoute/default/any/0"),
    ] {
        assert_eq!(carrier(&router, "tls", server_name).as_deref(), Some(want), "{server_name}");
    }
}

#[test]
fn the_oldest_route_of_the_right_kind_carries_a_connection() {
    let router = Router::build(&table());
    assert_eq!(carrier(&router, "tcp", "").as_deref(), Some("TCPRoute/default/old/0"));
    assert_eq!(carrier(&router, "udp", "").as_deref(), Some("UDPRoute/default/dns/0"));
}

#[test]
fn udp_has_its_ports_to_itself() {
    let router = Router::build(&table());
    assert_eq!(router.sockets().len(), 2);
    assert_eq!(router.datagrams().len(), 1);
    let address = "127.0.0.1:1".parse().expect("an address");
    assert!(router.datagram_listener(address).is_some());
}
