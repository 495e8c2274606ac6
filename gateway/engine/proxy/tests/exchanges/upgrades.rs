//! Protocol switches and their tunnels.

use std::time::Duration;

use serde_json::json;

use crate::support::{Backend, Gateway, Setup, until};

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Switches, says hello in the same packet, and echoes.
fn echo() -> Backend {
    Backend::start(|mut peer, _| {
        let head = peer.read_head().expect("a head");
        if !head.contains("upgrade: websocket") {
            peer.send(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n");
            return;
        }
        peer.send(&[SWITCH, b"hello"].concat());
        while let Some(line) = peer.read_past("\n") {
            peer.send(line.as_bytes());
        }
    })
}

#[test]
fn what_comes_along_with_either_head_is_not_lost_and_one_record_tells_all() {
    let backend = echo();
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(&[UPGRADE, b"first\n"].concat());
    assert!(client.read_head().expect("a head").starts_with("http/1.1 101"));
    assert_eq!(client.read_past("\n").as_deref(), Some("hellofirst\n"));
    client.send(b"second\n");
    assert_eq!(client.read_past("\n").as_deref(), Some("second\n"));
    assert_eq!(gateway.counted(), 0, "the exchange is not over");
    drop(client);
    let line = &gateway.log(1)[0];
    assert_eq!(line["response_code"], 101);
    assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&json!(13), &json!(18)));
    assert_eq!(line["response_code_details"], "via_upstream");
}

#[test]
fn clients_of_http_1_0_and_requests_with_content_do_not_switch() {
    let backend = echo();
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let old = "GET /ws HTTP/1.0\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let with_content = "GET /ws HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nhi";
    for request in [old, with_content] {
        let mut client = gateway.client();
        client.send(request.as_bytes());
        assert_eq!(client.response().0, 426, "{request}");
    }
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error_of_the_backend() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        peer.send(SWITCH);
        peer.rest();
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(crate::support::GET);
    assert_eq!(client.response().0, 502);
    assert_eq!(gateway.log(1)[0]["response_code_details"], "upstream_protocol_error");
}

#[test]
fn a_silent_tunnel_ends_at_the_idle_bound() {
    let backend = echo();
    let limits = json!({"connection_idle_timeout_ms": 200});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).limits(limits));
    let mut client = gateway.client();
    client.send(UPGRADE);
    client.read_past("hello").expect("switched");
    client.rest();
    assert_eq!(gateway.log(1)[0]["response_flags"], "SI");
}

#[test]
fn a_drain_ends_tunnels_at_its_bound() {
    let backend = echo();
    let gateway = Gateway::start(&Setup::with(&[backend.address]).limits(json!({"drain_timeout_ms": 300})));
    let mut client = gateway.client();
    client.send(UPGRADE);
    client.read_past("hello").expect("switched");
    gateway.engine.drain();
    std::thread::sleep(Duration::from_millis(100));
    client.send(b"still\n");
    assert_eq!(client.read_past("\n").as_deref(), Some("still\n"));
    client.rest();
    until(|| gateway.engine.active() == 0);
    assert_eq!(gateway.log(1)[0]["response_code_details"], "request_timeout");
}
