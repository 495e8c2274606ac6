//! Connections of routes, and switches of protocols, that lead to a name: egress policies let them out, or not.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Backend, Client, Gateway, Setup, free_address, until};

/// `localhost` is a name like any other here: where it leads must be permitted.
const NAME: &str = "localhost";

fn echo() -> Backend {
    Backend::start(|mut peer, _| {
        while let Some(line) = peer.read_past("\n") {
            peer.send(line.as_bytes());
        }
    })
}

fn rule(protocol: &str, port: u16) -> Value {
    json!({
        "name": "echo",
        "destinations": [{"names": [NAME], "ports": [port], "protocols": [protocol]}],
        "address_blocks": ["127.0.0.0/8", "::1/128"],
    })
}

/// A TCP listener whose route leads to the name, at a port.
fn carrying(gateway: &Gateway, port: u16, rules: &[Value]) -> Value {
    json!({
        "gateways": [{"key": "default/edge"}],
        "listeners": [{
            "key": "default/edge/db", "gateway": "default/edge", "address": gateway.address.ip().to_string(),
            "port": 5432, "bind_port": gateway.address.port(), "protocol": "TCP",
            "routed_egress": {"policies": ["default/base"]},
        }],
        "routes": [{
            "key": "TCPRoute/default/db/0", "kind": "TCPRoute", "object": "default/db", "rule": 0,
            "attachments": [{"listener": "default/edge/db", "hostnames": ["*"]}],
            "matches": [], "backends": [{"backend": "db"}],
        }],
        "backends": [{"key": "db"}],
        "endpoints": [{"key": "db", "endpoints": [{"address": NAME, "port": port}]}],
        "egress_policies": [{"key": "default/base", "rules": rules}],
    })
}

fn started(backend: &Backend, rules: &[Value]) -> Gateway {
    let mut gateway = Gateway::start(&Setup::with(&[]));
    gateway.address = free_address();
    applied(&gateway, &carrying(&gateway, backend.address.port(), rules));
    gateway
}

fn applied(gateway: &Gateway, resources: &Value) {
    let applied = gateway.apply(resources);
    assert_eq!(applied["rejected"], json!([]), "{applied}");
    assert_eq!(applied["listeners"][0]["bound"], true, "{applied}");
}

/// Decision records, once there are so many.
fn records(gateway: &Gateway, count: usize) -> Vec<Value> {
    let found = || -> Vec<Value> {
        let lines = gateway.lines().into_iter();
        lines.filter(|line| line["record"].as_str().is_some_and(|kind| kind.starts_with("egress_"))).collect()
    };
    until(|| found().len() >= count);
    assert_eq!(found().len(), count, "{:#?}", found());
    found()
}

fn says(client: &mut Client, line: &str) -> Option<String> {
    client.send(line.as_bytes());
    client.read_past("\n")
}

#[test]
fn a_connection_goes_where_a_rule_for_tcp_lets_it_and_two_records_tell() {
    let backend = echo();
    let port = backend.address.port();
    let gateway = started(&backend, &[rule("TCP", port)]);
    let mut client = gateway.client();
    assert_eq!(says(&mut client, "hello\n").as_deref(), Some("hello\n"));
    drop(client);
    let records = records(&gateway, 2);
    assert_eq!((&records[0]["record"], &records[1]["record"]), (&json!("egress_decision"), &json!("egress_end")));
    for record in &records {
        assert_eq!((&record["decision"], &record["way"]), (&json!("allow"), &json!("Route")));
        assert_eq!((&record["host"], &record["port"]), (&json!(NAME), &json!(port)));
        assert_eq!((&record["policy"], &record["rule"]), (&json!("default/base"), &json!("echo")));
    }
    assert_eq!((&records[1]["bytes_received"], &records[1]["bytes_sent"]), (&json!(6), &json!(6)));
}

#[test]
fn nothing_reaches_the_backend_of_a_connection_that_is_not_allowed() {
    for (rules, said, reason) in [
        (vec![], "hello\n", "egress_denied"),
        (vec![rule("TCP", 1)], "hello\n", "egress_denied"),
        (vec![rule("HTTP", 0)], "GET / HTTP/1.1\r\n\r\n", "egress_denied"),
        (vec![rule("TLS", 0)], "hello\n", "egress_not_tls"),
        (
            vec![json!({"name": "a", "destinations": [{"names": [NAME], "ports": [0], "protocols": ["TCP"]}]})],
            "hello\n",
            "egress_address_prohibited",
        ),
    ] {
        let backend = echo();
        let port = backend.address.port();
        // 0 stands for the backend's port.
        let rules: Vec<Value> = rules
            .into_iter()
            .map(|mut rule| {
                let ports = &mut rule["destinations"][0]["ports"];
                if *ports == json!([0]) {
                    *ports = json!([port]);
                }
                rule
            })
            .collect();
        let gateway = started(&backend, &rules);
        let mut client = gateway.client();
        client.send(said.as_bytes());
        assert_eq!(client.rest().0, "", "{reason}");
        let records = records(&gateway, 1);
        assert_eq!((&records[0]["decision"], &records[0]["reason"]), (&json!("deny"), &json!(reason)));
        assert_eq!(backend.connections(), 0, "{reason}");
        // The access log tells of the connection, and why it went nowhere.
        let told =
            || gateway.lines().into_iter().find(|line| line["protocol"] == "TCP" && line["start_time"].is_string());
        until(|| told().is_some());
        assert_eq!(told().expect("a line")["response_code_details"], reason);
    }
}

#[test]
fn a_connection_that_is_no_longer_allowed_is_closed_and_another_goes_on() {
    let (backend, allowed) = (echo(), "allowed\n");
    let port = backend.address.port();
    let gateway = started(&backend, &[rule("TCP", port)]);
    let mut client = gateway.client();
    assert_eq!(says(&mut client, allowed).as_deref(), Some(allowed));
    // The same by another policy, which the connection did not know.
    let mut renamed = rule("TCP", port);
    renamed["name"] = json!("renamed");
    applied(&gateway, &carrying(&gateway, port, &[renamed]));
    assert_eq!(says(&mut client, allowed).as_deref(), Some(allowed));
    // A tunnel that nobody looked into is none that a rule for TLS lets out.
    applied(&gateway, &carrying(&gateway, port, &[rule("TLS", port)]));
    assert_eq!(client.rest().0, "");
    assert_eq!(records(&gateway, 2)[1]["reason"], "egress_revoked");
}

#[test]
fn datagrams_do_not_go_outside_where_policies_decide() {
    let destination = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = destination.local_addr().expect("address").port();
    destination.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut gateway = Gateway::start(&Setup::with(&[]));
    gateway.address = free_address();
    let table = |guarded: bool| {
        let mut table = carrying(&gateway, port, &[rule("TCP", port)]);
        table["listeners"][0]["protocol"] = json!("UDP");
        if !guarded {
            table["listeners"][0].as_object_mut().expect("a listener").remove("routed_egress");
        }
        (table["routes"][0]["key"], table["routes"][0]["kind"]) = (json!("UDPRoute/default/db/0"), json!("UDPRoute"));
        table
    };
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let mut datagram = [0; 16];
    applied(&gateway, &table(false));
    client.send_to(b"before", gateway.address).expect("sent");
    assert_eq!(destination.recv(&mut datagram).expect("a datagram"), 6);
    // The session that is open does not go on either.
    applied(&gateway, &table(true));
    client.send_to(b"after", gateway.address).expect("sent");
    assert!(destination.recv(&mut datagram).is_err());
    let record = &records(&gateway, 1)[0];
    assert_eq!((&record["decision"], &record["reason"]), (&json!("deny"), &json!("egress_denied")));
    assert_eq!((&record["host"], &record["port"]), (&json!(NAME), &json!(port)));
}

/// A forward proxy, by a rule for HTTP.
fn proxying(gateway: &Gateway, port: u16) -> Value {
    json!({
        "gateways": [{"key": "default/edge"}],
        "listeners": [{
            "key": "default/edge/proxy", "gateway": "default/edge", "address": gateway.address.ip().to_string(),
            "port": 3128, "bind_port": gateway.address.port(), "protocol": "HTTP",
            "egress": {"way": "Proxy", "policies": ["default/base"]},
        }],
        "egress_policies": [{"key": "default/base", "rules": [rule("HTTP", port)]}],
    })
}

#[test]
fn what_comes_along_with_either_head_of_a_switch_is_not_lost() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello\n";
    let backend = Backend::start(move |mut peer, _| {
        let head = peer.read_head().expect("a head");
        assert!(head.contains("upgrade: websocket"), "{head}");
        peer.send(switch.as_bytes());
        while let Some(line) = peer.read_past("\n") {
            peer.send(line.as_bytes());
        }
    });
    let port = backend.address.port();
    let mut gateway = Gateway::start(&Setup::with(&[]));
    gateway.address = free_address();
    applied(&gateway, &proxying(&gateway, port));
    let mut client = gateway.client();
    let head = format!("GET http://{NAME}:{port}/ HTTP/1.1\r\nhost: {NAME}:{port}\r\n");
    client.send(format!("{head}connection: upgrade\r\nupgrade: websocket\r\n\r\nfirst\n").as_bytes());
    assert!(client.read_head().expect("a head").starts_with("http/1.1 101"));
    assert_eq!(client.read_past("\n").as_deref(), Some("hello\n"));
    assert_eq!(client.read_past("\n").as_deref(), Some("first\n"));
    drop(client);
    let end = &records(&gateway, 2)[1];
    assert!(end["bytes_received"].as_u64() > Some(6), "{end}");
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error_of_the_destination() {
    let backend = Backend::start(|mut peer, _| {
        let head = peer.read_head().expect("a head");
        assert!(!head.contains("upgrade"), "{head}");
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        peer.rest();
    });
    let port = backend.address.port();
    let mut gateway = Gateway::start(&Setup::with(&[]));
    gateway.address = free_address();
    applied(&gateway, &proxying(&gateway, port));
    let head = format!("GET http://{NAME}:{port}/ HTTP/1.1\r\nhost: {NAME}:{port}\r\n");
    for asking in ["", "connection: upgrade\r\nupgrade: anything\r\n"] {
        let mut client = gateway.client();
        client.send(format!("{head}{asking}\r\n").as_bytes());
        assert_eq!(client.response().0, 502);
    }
}
