//! Answers as they pass: heads without content, interim ones, trailers, early ones.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::{Backend, GET, Gateway, OK, Setup};

#[test]
fn answers_without_content_leave_both_connections_in_step() {
    let backend = Backend::answering(|head, _| {
        if head.starts_with("head") {
            "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n".to_owned()
        } else if head.contains("/204") {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        } else if head.contains("/304") {
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: \"a\"\r\n\r\n".to_owned()
        } else {
            OK.to_owned()
        }
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    for (request, status, has, has_not) in [
        ("HEAD /", "200", "content-length: 1234", "transfer-encoding"),
        ("GET /204", "204", "\r\n", "content-length"),
        ("GET /304", "304", "etag", "transfer-encoding"),
    ] {
        client.send(format!("{request} HTTP/1.1\r\nhost: shop.test\r\n\r\n").as_bytes());
        let head = client.read_head().expect("a head");
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{request}: {head}");
        assert!(head.contains(has) && !head.contains(has_not), "{request}: {head}");
        client.send(GET);
        assert_eq!(client.response().2, "ok", "after {request}");
    }
    assert_eq!(backend.connections(), 1);
    gateway.log(6);
}

#[test]
fn an_early_hint_reaches_the_client_before_the_answer_is_there() {
    let (release, released) = channel();
    let released = Arc::new(Mutex::new(released));
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        released.lock().expect("no panic").recv_timeout(Duration::from_secs(5)).expect("the client saw the hint");
        peer.send(OK.as_bytes());
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    assert!(client.read_head().expect("a hint").starts_with("http/1.1 103"));
    release.send(()).expect("the backend waits");
    assert_eq!(client.response().0, 200);
    gateway.log(1);
}

#[test]
fn a_backend_that_hints_without_end_is_given_up() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        for _ in 0..10_000 {
            peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        }
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    let answer = client.rest_of_hints();
    assert!(answer.starts_with("http/1.1 502"), "{answer}");
}

#[test]
fn trailers_pass() {
    let backend = Backend::answering(|_, _| {
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
            .to_owned()
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nhost: shop.test\r\nte: trailers\r\nconnection: te\r\n\r\n");
    client.read_past("0\r\n").expect("the end of the content");
    assert_eq!(client.read_past("\r\n\r\n").as_deref(), Some("x-sum: 7\r\n\r\n"));
}

#[test]
fn an_answer_to_an_unread_request_closes_the_connection_after_it_has_arrived() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        peer.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
        peer.rest();
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1000000\r\n\r\n");
    client.send(&[b'x'; 4096]);
    let (status, _, content) = client.response();
    assert_eq!((status, content.as_str()), (413, "big"));
    assert_eq!(client.rest(), (String::new(), true));
    gateway.log(1);
}

#[test]
fn a_refused_head_is_logged_once() {
    let gateway = Gateway::start(&Setup::with(&[]));
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
    assert_eq!(client.response().0, 400);
    assert_eq!(client.rest(), (String::new(), true));
    assert_eq!(gateway.log(1)[0]["response_code_details"], "request_malformed");
}

#[test]
fn a_request_keeps_the_table_it_started_with() {
    let (release, released) = channel();
    let released = Arc::new(Mutex::new(released));
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        released.lock().expect("no panic").recv_timeout(Duration::from_secs(5)).expect("told to go on");
        peer.send(OK.as_bytes());
    });
    let setup = Setup::with(&[backend.address]);
    let gateway = Gateway::start(&setup);
    let mut client = gateway.client();
    client.send(GET);
    crate::support::until(|| backend.connections() == 1);
    // Its route, its backend and its endpoints are gone, and what is left has other positions.
    let mut resources = setup.resources(gateway.address);
    resources["routes"] = json!([]);
    resources["backends"] = json!([]);
    resources["endpoints"] = json!([]);
    assert_eq!(gateway.apply(&resources)["rejected"], json!([]));
    release.send(()).expect("the backend waits");
    assert_eq!(client.response().2, "ok");
    client.send(GET);
    assert_eq!(client.response().0, 404);
    let lines = gateway.log(2);
    assert_eq!(lines[0]["route_name"], "HTTPRoute/default/shop/0", "{}", lines[0]);
    assert_eq!(gateway.statistics()["routes_hit"], json!([]), "routes that vanished are not reported");
}

#[test]
fn connections_beyond_the_bound_are_refused_and_counted() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let setup = Setup::with(&[backend.address]).limits(json!({"max_connections_per_listener": 2}));
    let gateway = Gateway::start(&setup);
    let (one, _two) = (gateway.client(), gateway.client());
    crate::support::until(|| gateway.engine.active() == 2);
    let mut three = gateway.client();
    three.send(GET);
    assert_eq!(three.read_head(), None);
    drop(one);
    crate::support::until(|| gateway.engine.active() == 1);
    let mut four = gateway.client();
    four.send(GET);
    assert_eq!(four.response().0, 200);
    let connections = gateway.statistics()["connections"].clone();
    assert_eq!((&connections["accepted"], &connections["refused"]), (&json!(3), &json!(1)));
}

#[test]
fn a_client_that_does_not_read_holds_its_backend_back() {
    let (told, sent) = channel();
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        peer.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        let piece = [b'x'; 64 * 1024];
        let mut written = 0;
        while written < 200_000_000 && std::io::Write::write_all(&mut peer.stream, &piece).is_ok() {
            written += piece.len();
        }
        told.send(written).expect("the test waits");
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    let written = sent.recv_timeout(crate::support::PATIENCE).expect("the backend is held back");
    // What the kernel keeps on both connections, and little more.
    assert!(written < 40_000_000, "{written} bytes were taken");
}

#[test]
fn a_connection_from_before_its_listener_asked_for_tls_is_not_served_any_more() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let setup = Setup::with(&[backend.address]);
    let gateway = Gateway::start(&setup);
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 200);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let mut resources = setup.resources(gateway.address);
    resources["certificates"] =
        json!([{"key": "shop", "chain": certificate.pem(), "private_key": key.serialize_pem()}]);
    resources["listeners"][0]["protocol"] = json!("HTTPS");
    resources["listeners"][0]["certificates"] = json!(["shop"]);
    let applied = gateway.apply(&resources);
    assert_eq!(applied["rejected"], json!([]), "{applied}");
    client.send(GET);
    assert_eq!(client.response().0, 421);
}

#[test]
fn silence_is_laid_at_the_door_of_the_side_that_is_silent() {
    let backend = Backend::start(|mut peer, _| {
        peer.rest();
    });
    let setup = Setup::with(&[backend.address]).limits(json!({"stream_idle_timeout_ms": 200}));
    let gateway = Gateway::start(&setup);
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 504);
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 10\r\n\r\nhello");
    assert_eq!(client.response().0, 408);
    for line in gateway.log(2) {
        assert_eq!(line["response_code_details"], "stream_idle_timeout");
    }
}

#[test]
fn what_a_backend_sends_beyond_its_answer_is_nobodys_answer() {
    let backend = Backend::start(|mut peer, _| {
        while peer.read_head().is_some() {
            peer.send(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").as_bytes());
        }
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    for _ in 0..5 {
        client.send(GET);
        assert_eq!(client.response().2, "ok");
    }
    assert_eq!(backend.connections(), 5);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_recorded_one_by_one() {
    let backend = Backend::answering(|head, _| {
        let path = head.split(' ').nth(1).expect("a path");
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len())
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    let all: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: shop.test\r\n\r\n")).collect();
    client.send(all.as_bytes());
    for n in 0..20 {
        assert_eq!(client.response().2, format!("/{n}"));
    }
    gateway.log(20);
}
