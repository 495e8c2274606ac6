//! Either side leaves, at any time.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;

use crate::support::{Backend, GET, Gateway, Setup};

/// A backend that sends `answer` to a request's head and tells when its connection has ended.
fn watched(answer: &'static str) -> (Backend, Receiver<()>) {
    let (told, ended) = channel();
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        peer.send(answer.as_bytes());
        peer.rest();
        // The test may be over.
        let _ = told.send(());
    });
    (backend, ended)
}

fn assert_told_once(gateway: &Gateway, status: u16) {
    let line = &gateway.log(1)[0];
    assert_eq!((&line["response_code"], &line["response_flags"]), (&json!(status), &json!("DC")), "{line}");
}

const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_client_that_leaves_before_the_answer_cancels_the_backend() {
    let (backend, ended) = watched("");
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    ended.recv_timeout(A_SECOND).expect("the backend is let go");
    assert_told_once(&gateway, 499);
}

#[test]
fn a_client_that_leaves_a_silent_answer_cancels_the_backend() {
    let (backend, ended) = watched("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n");
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    client.read_past("event").expect("the first event");
    drop(client);
    ended.recv_timeout(A_SECOND).expect("the backend is let go");
    assert_told_once(&gateway, 200);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_content_cancels_the_backend() {
    let (backend, ended) = watched("");
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 100\r\n\r\nonly this");
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    ended.recv_timeout(A_SECOND).expect("the backend is let go");
    assert_told_once(&gateway, 499);
}

#[test]
fn a_client_that_leaves_while_its_backend_is_dialled_is_noticed() {
    // An address of the documentation's network: nobody answers, or the machine says at once that there is no way.
    let nowhere = "192.0.2.1:9".parse().expect("an address");
    let gateway = Gateway::start(&Setup::with(&[nowhere]).limits(json!({"connect_timeout_ms": 60_000})));
    let mut client = gateway.client();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    let flags = gateway.log(1)[0]["response_flags"].clone();
    assert!(flags == "DC" || flags == "UF", "{flags}");
}

#[test]
fn an_answer_that_is_cut_cannot_be_taken_for_a_whole_one() {
    for (version, answer) in [
        ("1.1", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart"),
        ("1.1", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n"),
        // Here nothing but a reset tells a client that the end is not the end of the content.
        ("1.0", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n"),
    ] {
        let backend = Backend::start(move |mut peer, _| {
            peer.read_head();
            peer.send(answer.as_bytes());
            std::thread::sleep(Duration::from_millis(50));
        });
        let gateway = Gateway::start(&Setup::with(&[backend.address]));
        let mut client = gateway.client();
        client.send(format!("GET / HTTP/{version}\r\nhost: shop.test\r\n\r\n").as_bytes());
        let head = client.read_head().expect("a head");
        let (rest, orderly) = client.rest();
        let complete = if head.contains("content-length") {
            rest.len() == 100
        } else if head.contains("chunked") {
            rest.ends_with("0\r\n\r\n")
        } else {
            orderly
        };
        assert!(!complete, "HTTP/{version} {answer:?}: {head}{rest}");
        assert_eq!(gateway.log(1)[0]["response_code_details"], "upstream_reset");
    }
}

#[test]
fn a_request_that_breaks_the_rules_in_its_content_is_answered_and_closed() {
    let (backend, ended) = watched("");
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n");
    let (status, head, _) = client.response();
    assert_eq!(status, 400);
    assert!(head.contains("connection: close"), "{head}");
    ended.recv_timeout(A_SECOND).expect("the backend is let go");
    gateway.log(1);
}

#[test]
fn what_is_still_under_way_when_the_engine_ends_is_logged() {
    let (backend, _ended) = watched("");
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(100));
    gateway.engine.close();
    let lines = gateway.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["response_code"], 499);
}
