//! Leaving: connections that idle, connections at work, and the bound on both.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Backend, GET, Gateway, OK, Setup, until};

/// A backend that answers when it is told to.
fn held() -> (Backend, Sender<()>) {
    let (release, released) = channel();
    let released = Arc::new(Mutex::new(released));
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        // The test may end without telling.
        let _ = released.lock().expect("no panic").recv();
        peer.send(OK.as_bytes());
    });
    (backend, release)
}

#[test]
fn idle_connections_close_at_once_also_those_that_never_spoke() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let (mut silent, mut kept) = (gateway.client(), gateway.client());
    kept.send(GET);
    assert_eq!(kept.response().0, 200);
    until(|| gateway.engine.active() == 2);
    let started = Instant::now();
    gateway.engine.drain();
    assert_eq!(kept.rest(), (String::new(), true));
    assert_eq!(silent.rest(), (String::new(), true));
    until(|| gateway.engine.active() == 0);
    assert!(started.elapsed() < Duration::from_secs(1));
    gateway.log(1);
}

#[test]
fn a_request_under_way_is_answered_and_its_connection_closed() {
    let (backend, release) = held();
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    until(|| backend.connections() == 1);
    gateway.engine.drain();
    release.send(()).expect("the backend waits");
    let (status, head, content) = client.response();
    assert_eq!((status, content.as_str()), (200, "ok"));
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(client.rest(), (String::new(), true));
}

#[test]
fn a_request_that_outlasts_the_drain_is_cut_off() {
    let (backend, _release) = held();
    let gateway = Gateway::start(&Setup::with(&[backend.address]).limits(json!({"drain_timeout_ms": 200})));
    let mut client = gateway.client();
    client.send(GET);
    until(|| backend.connections() == 1);
    gateway.engine.drain();
    assert_eq!(client.response().0, 504);
    drop(client);
    until(|| gateway.engine.active() == 0);
    assert_eq!(gateway.log(1)[0]["response_code_details"], "request_timeout");
}

#[test]
fn a_listener_that_is_removed_lets_its_connections_go_and_its_port_be_taken_again() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let setup = Setup::with(&[backend.address]);
    let gateway = Gateway::start(&setup);
    let resources = setup.resources(gateway.address);
    for _ in 0..5 {
        let mut client = gateway.client();
        client.send(GET);
        assert_eq!(client.response().0, 200);
        let applied = gateway.apply(&json!({}));
        assert_eq!(applied["listeners"], json!([]));
        assert_eq!(client.rest(), (String::new(), true));
        let applied = gateway.apply(&resources);
        assert_eq!(applied["listeners"][0]["bound"], true, "{applied}");
    }
}

#[test]
fn a_listener_can_move_from_one_address_to_all_of_them() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let setup = Setup::with(&[backend.address]);
    let gateway = Gateway::start(&setup);
    for address in ["0.0.0.0", "127.0.0.1", "0.0.0.0", "127.0.0.1"] {
        let mut resources = setup.resources(gateway.address);
        resources["listeners"][0]["address"] = json!(address);
        let applied = gateway.apply(&resources);
        assert_eq!(applied["listeners"][0]["bound"], true, "{address}: {applied}");
    }
}

#[test]
fn a_gateway_that_drains_says_that_its_listeners_are_closed() {
    let setup = Setup::with(&[]);
    let gateway = Gateway::start(&setup);
    gateway.engine.drain();
    let applied = gateway.apply(&setup.resources(gateway.address));
    assert_eq!(applied["listeners"][0]["bound"], false, "{applied}");
    assert!(applied["listeners"][0]["error"].as_str().is_some_and(|error| error.contains("shutting down")));
}
