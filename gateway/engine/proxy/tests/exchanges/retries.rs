//! Attempts made again: when, how often, and with what.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Backend, GET, Gateway, OK, Setup, until};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

#[test]
fn no_attempt_comes_sooner_than_the_backoff_and_their_number_is_bounded() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let backend = Backend::answering(move |_, _| {
        seen.lock().expect("no panic").push(Instant::now());
        UNAVAILABLE.to_owned()
    });
    let retry = json!({"retry": {"codes": [503], "attempts": 2, "backoff_ms": 80}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 503);
    let times = times.lock().expect("no panic");
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(80)), "{times:?}");
    assert_eq!(gateway.log(1)[0]["response_code"], 503);
}

#[test]
fn a_discarded_answer_without_content_leaves_its_connection_to_the_next_attempt() {
    let backend = Backend::answering(|_, number| if number < 2 { UNAVAILABLE.to_owned() } else { OK.to_owned() });
    let retry = json!({"retry": {"codes": [503], "attempts": 3, "backoff_ms": 5}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_discarded_answer_with_unread_content_is_not_taken_for_the_next_answer() {
    // The content of the first answer looks like an answer itself.
    let decoy = format!("HTTP/1.1 503 X\r\ncontent-length: {}\r\n\r\n{}", 100_000, OK);
    let backend = Backend::start(move |mut peer, number| {
        while peer.read_head().is_some() {
            let good = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";
            peer.send(if number == 0 { decoy.as_bytes() } else { good.as_bytes() });
        }
    });
    let retry = json!({"retry": {"codes": [503], "attempts": 1, "backoff_ms": 5}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(GET);
        let (status, _, content) = client.response();
        assert_eq!((status, content.as_str()), (200, "good"));
    }
    assert_eq!(backend.connections(), 2);
    until(|| gateway.statistics()["backends"][0]["in_flight"] == 0);
}

#[test]
fn content_that_was_sent_in_part_is_sent_again_whole() {
    let (told, received) = channel();
    let backend = Backend::start(move |mut peer, number| {
        let head = peer.read_head().expect("a head");
        if number == 0 {
            // Breaks in the middle of the content.
            peer.read_past("first-");
            return;
        }
        let content = peer.read_content(&head).expect("whole content");
        told.send(content).expect("the test waits");
        peer.send(OK.as_bytes());
    });
    let retry = json!({"retry": {"codes": [503], "attempts": 3, "backoff_ms": 30}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n6\r\nfirst-\r\n");
    until(|| backend.connections() >= 2);
    client.send(b"7\r\nsecond-\r\n5\r\nthird\r\n0\r\n\r\n");
    assert_eq!(client.response().0, 200);
    assert_eq!(received.recv().expect("content"), "first-second-third");
    let line = &gateway.log(1)[0];
    assert_eq!((&line["bytes_received"], &line["response_code"]), (&json!(18), &json!(200)));
}

#[test]
fn content_longer_than_the_memory_is_not_tried_again() {
    let backend = Backend::answering(|_, _| UNAVAILABLE.to_owned());
    let retry = json!({"retry": {"codes": [503], "attempts": 3, "backoff_ms": 5}});
    let setup = Setup::with(&[backend.address]).route(retry).limits(json!({"replay_buffer_bytes": 1024}));
    let gateway = Gateway::start(&setup);
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4096\r\n\r\n");
    client.send(&[b'x'; 4096]);
    assert_eq!(client.response().0, 503);
    assert_eq!(gateway.statistics()["backends"][0]["retries"], 0);
}

#[test]
fn a_mirror_gets_a_request_once_however_often_it_is_tried() {
    let (told, mirrored) = channel();
    let mirror = Backend::start(move |mut peer, _| {
        while let Some(head) = peer.read_head() {
            told.send(peer.read_content(&head).expect("whole content")).expect("the test waits");
            peer.send(OK.as_bytes());
        }
    });
    let backend = Backend::answering(|_, number| if number < 2 { UNAVAILABLE.to_owned() } else { OK.to_owned() });
    let retry = json!({"retry": {"codes": [503], "attempts": 3, "backoff_ms": 5}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry).mirror(mirror.address));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(client.response().0, 200);
    assert_eq!(mirrored.recv_timeout(Duration::from_secs(5)).as_deref(), Ok("hello"));
    assert!(mirrored.recv_timeout(Duration::from_millis(200)).is_err());
}

#[test]
fn the_request_timeout_bounds_all_attempts_together() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        std::thread::sleep(Duration::from_secs(5));
    });
    let route = json!({
        "timeouts": {"request_ms": 400, "backend_request_ms": 150},
        "retry": {"codes": [504], "attempts": 50, "backoff_ms": 20},
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(route));
    let mut client = gateway.client();
    let started = Instant::now();
    client.send(GET);
    let (status, _, content) = client.response();
    assert_eq!(status, 504, "{content}");
    assert!((Duration::from_millis(300)..Duration::from_millis(900)).contains(&started.elapsed()));
    assert!((2..=3).contains(&backend.connections()), "{}", backend.connections());
}

#[test]
fn the_attempt_timeout_bounds_the_whole_answer() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
        std::thread::sleep(Duration::from_secs(5));
    });
    let route = json!({"timeouts": {"backend_request_ms": 200}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(route));
    let mut client = gateway.client();
    client.send(GET);
    let head = client.read_head().expect("a head");
    assert_eq!(client.read_content(&head), None, "the answer must not look complete");
    assert_eq!(gateway.log(1)[0]["response_code_details"], "upstream_request_timeout");
}

#[test]
fn a_client_that_leaves_between_two_attempts_ends_them() {
    let requests = Arc::new(AtomicU32::new(0));
    let counter = requests.clone();
    let backend = Backend::answering(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        UNAVAILABLE.to_owned()
    });
    let retry = json!({"retry": {"codes": [503], "attempts": 5, "backoff_ms": 60_000}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    client.send(GET);
    until(|| requests.load(Ordering::SeqCst) == 1);
    until(|| gateway.statistics()["backends"][0]["retries"] == 1);
    assert_eq!(gateway.statistics()["backends"][0]["in_flight"], 0, "nothing is held while waiting");
    drop(client);
    let line = &gateway.log(1)[0];
    assert_eq!((&line["response_code"], &line["response_flags"]), (&json!(499), &json!("DC")));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn a_kept_connection_that_the_backend_closes_costs_a_safe_request_nothing() {
    let backend = Backend::start(|mut peer, number| {
        peer.read_head();
        peer.send(OK.as_bytes());
        if number == 0 {
            // Takes a second request and closes without a word.
            peer.read_head();
            return;
        }
        peer.read_head();
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send(GET);
        assert_eq!(client.response().0, 200);
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn an_answer_that_broke_off_in_its_head_is_not_asked_for_again() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        peer.send(OK.as_bytes());
        peer.read_head();
        peer.send(b"HTTP/1.1 200 O");
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 200);
    client.send(GET);
    assert_eq!(client.response().0, 502);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn content_that_waits_for_leave_is_sent_to_the_attempt_that_asks_for_it() {
    let backend = Backend::start(|mut peer, number| {
        let head = peer.read_head().expect("a head");
        if number == 0 {
            peer.send(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return;
        }
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        let content = peer.read_content(&head).expect("content");
        peer.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{content}", content.len()).as_bytes());
    });
    let retry = json!({"retry": {"codes": [503], "attempts": 1, "backoff_ms": 5}});
    let gateway = Gateway::start(&Setup::with(&[backend.address]).route(retry));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert!(client.read_head().expect("leave").starts_with("http/1.1 100"));
    client.send(b"hello");
    let (status, _, content) = client.response();
    assert_eq!((status, content.as_str()), (200, "hello"));
}

#[test]
fn without_a_rule_only_other_endpoints_are_tried() {
    let dead = [crate::support::free_address(), crate::support::free_address()];
    let gateway = Gateway::start(&Setup::with(&dead[..1]));
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 503);
    assert_eq!(gateway.statistics()["backends"][0]["connect_failures"], 1);

    let backend = Backend::answering(|_, _| OK.to_owned());
    let gateway = Gateway::start(&Setup::with(&[dead[0], backend.address]));
    for _ in 0..20 {
        let mut client = gateway.client();
        client.send(GET);
        assert_eq!(client.response().0, 200);
    }
    let gateway = Gateway::start(&Setup::with(&dead));
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 503);
    assert_eq!(gateway.statistics()["backends"][0]["connect_failures"], 2);
}
