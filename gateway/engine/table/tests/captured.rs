//! Captured listeners share a socket by original destination, and with nobody else.

use sekisho_table::{NoChecks, TableStore};
use serde_json::{Value, json};

const SOCKET: u16 = 15006;

fn plain(key: &str) -> Value {
    json!({"key": key, "gateway": "g", "address": "127.0.0.1", "port": 80, "bind_port": SOCKET, "protocol": "HTTP"})
}

/// One that takes `addresses` at `port`, or at any port where that is 0.
fn captured(key: &str, protocol: &str, addresses: &[&str], port: u16) -> Value {
    let mut listener = plain(key);
    listener["protocol"] = json!(protocol);
    listener["port"] = json!(port.max(1));
    listener["captured"] = json!({"addresses": addresses, "any_port": port == 0});
    listener
}

fn with(mut listener: Value, field: &str, value: Value) -> Value {
    listener[field] = value;
    listener
}

/// Keys that are refused, each with its reason.
fn refused(listeners: &[Value]) -> Vec<(String, String)> {
    let resources = json!({"gateways": [{"key": "g"}], "listeners": listeners});
    let update = json!({"type": "snapshot", "format": 1, "version": "1", "resources": resources}).to_string();
    let applied = TableStore::default().apply(update.as_bytes(), &NoChecks).applied;
    assert_eq!(applied.error, "");
    applied.rejected.into_iter().map(|rejection| (rejection.key, rejection.reason)).collect()
}

#[test]
fn different_destinations_share_a_socket_whatever_their_protocols() {
    assert_eq!(
        refused(&[
            captured("a", "HTTP", &["10.0.0.1"], 80),
            captured("b", "TCP", &["10.0.0.2"], 80),
            captured("c", "TCP", &["10.0.0.1"], 81),
            captured("d", "TCP", &["10.0.0.1"], 0),
            captured("e", "HTTP", &[], 80),
            captured("f", "TCP", &[], 0),
        ]),
        []
    );
}

#[test]
fn equal_destinations_share_by_hostname() {
    let one = with(captured("a", "HTTP", &["10.0.0.1"], 80), "hostname", json!("a.test"));
    let other = with(captured("b", "HTTP", &["10.0.0.1"], 80), "hostname", json!("b.test"));
    assert_eq!(refused(&[one, other]), []);
}

#[test]
fn a_destination_has_one_taker() {
    let strict = |key| with(captured(key, "HTTP", &["10.0.0.1"], 80), "mesh", json!({"mode": "STRICT"}));
    for (what, listeners, said) in [
        (
            "one address of two",
            [captured("a", "HTTP", &["10.0.0.1"], 80), captured("b", "HTTP", &["10.0.0.1", "10.0.0.2"], 80)],
            "takes one of its destinations already",
        ),
        (
            "the same, for the same hosts",
            [captured("a", "HTTP", &[], 80), captured("b", "HTTP", &[], 80)],
            "owns every hostname",
        ),
        (
            "the same, in another protocol",
            [captured("a", "HTTP", &[], 80), captured("b", "TCP", &[], 80)],
            "protocol: listener `a` speaks HTTP",
        ),
        (
            "the same, with other demands on clients",
            [
                with(strict("a"), "hostname", json!("a.test")),
                with(captured("b", "HTTP", &["10.0.0.1"], 80), "hostname", json!("b.test")),
            ],
            "mesh: listener `a`",
        ),
    ] {
        let found = refused(&listeners);
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b"], "{what}");
        assert!(found[0].1.contains(said), "{what}: {}", found[0].1);
    }
}

#[test]
fn a_socket_is_for_captured_connections_or_for_none() {
    let found = refused(&[captured("a", "HTTP", &[], 80), plain("b")]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "b");
    assert!(found[0].1.contains("captured listeners share a socket only with each other"), "{}", found[0].1);
}
