//! Sharing of HTTP/2 connections.

use bytes::Bytes;
use futures_util::future::{join_all, poll_fn};
use http::header::HeaderValue;
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Http2Request};
use sekisho_upstream::{Connection, Lease, Want};
use tokio::io::AsyncWriteExt;

use crate::http2_server::Http2Server;
use crate::support::{Server, Worker, on_worker, open, settle, try_open};

/// A request whose content has not ended, with the lease it runs on.
struct Held {
    request: Http2Request,
    lease: Lease,
}

fn request_on(lease: Lease) -> Held {
    let Connection::Http2(client) = &lease.connection else { panic!("an HTTP/2 connection") };
    let head = RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("a.test"),
        target: Bytes::from_static(b"/"),
        version: Version::HTTP_2,
        headers: Headers::default(),
    };
    let request = client.open(&head, BodyKind::Unknown).expect("a stream");
    Held { request, lease }
}

impl Held {
    async fn status(&mut self) -> StatusCode {
        poll_fn(|cx| self.request.poll_flush(cx)).await.expect("sent");
        poll_fn(|cx| self.request.poll_response(cx)).await.expect("a response").0.status
    }

    async fn finish(mut self) {
        self.request.finish();
        poll_fn(|cx| self.request.poll_flush(cx)).await.expect("sent");
        while let Some(piece) = poll_fn(|cx| self.request.poll_recv(cx)).await {
            piece.expect("the rest of the response");
        }
    }
}

#[test]
fn exchanges_share_one_connection() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let mut held = Vec::new();
        for turn in 0..10 {
            let lease = open(&backend, Want::Any).await;
            assert_eq!(lease.reused, turn > 0);
            let mut request = request_on(lease);
            assert_eq!(request.status().await, StatusCode::OK);
            held.push(request);
        }
        assert_eq!(server.accepted.get(), 1);
        assert_eq!(backend.in_flight(), 10);
        join_all(held.into_iter().map(Held::finish)).await;
        assert_eq!(backend.in_flight(), 0);
    });
}

#[test]
fn a_burst_on_a_cold_backend_waits_for_one_connection() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let leases = join_all((0..20).map(|_| open(&backend, Want::Any))).await;
        assert_eq!(leases.len(), 20);
        settle().await;
        assert_eq!(server.accepted.get(), 1);
        assert_eq!(backend.counters().connections_opened, 1);
    });
}

#[test]
fn the_peers_stream_limit_opens_another_connection() {
    on_worker(async {
        let server = Http2Server::start(2).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let mut held = Vec::new();
        for _ in 0..5 {
            let mut request = request_on(open(&backend, Want::Any).await);
            assert_eq!(request.status().await, StatusCode::OK);
            held.push(request);
        }
        assert_eq!(server.accepted.get(), 3, "two streams each");
        held.pop().expect("the fifth").finish().await;
        held.remove(0).finish().await;
        settle().await;
        let reused = open(&backend, Want::Any).await;
        assert!(reused.reused, "a stream that ended makes room");
    });
}

#[test]
fn a_connection_that_is_going_away_takes_no_new_stream_and_finishes_its_own() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let mut running = request_on(open(&backend, Want::Any).await);
        assert_eq!(running.status().await, StatusCode::OK);
        settle().await;
        server.goaway.notify_waiters();
        settle().await;
        let next = open(&backend, Want::Any).await;
        assert!(!next.reused);
        assert_eq!(request_on(next).status().await, StatusCode::OK);
        running.finish().await;
    });
}

#[test]
fn a_connection_that_broke_is_replaced() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        drop(open(&backend, Want::Any).await);
        settle().await;
        server.hangup.notify_waiters();
        settle().await;
        let next = open(&backend, Want::Any).await;
        assert!(!next.reused);
        assert_eq!(request_on(next).status().await, StatusCode::OK);
        assert_eq!(backend.counters().connections_opened, 2);
    });
}

#[test]
fn an_endpoint_that_vanishes_finishes_its_streams_and_takes_no_more() {
    on_worker(async {
        let (server, other) = (Http2Server::start(100).await, Http2Server::start(100).await);
        let mut worker = server.worker();
        let mut running = request_on(open(&worker.backend("b"), Want::Any).await);
        assert_eq!(running.status().await, StatusCode::OK);
        worker.set_endpoints("b", &[other.address]);
        let next = open(&worker.backend("b"), Want::Any).await;
        assert_eq!(**next.endpoint.label(), *other.address.to_string());
        assert_eq!(request_on(next).status().await, StatusCode::OK);
        assert_eq!(worker.backend("b").in_flight(), 1, "the old stream still counts");
        running.finish().await;
        assert_eq!(worker.backend("b").in_flight(), 0);
    });
}

#[test]
fn an_unused_connection_expires_and_one_with_a_running_stream_stays_open() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let mut running = request_on(open(&backend, Want::Any).await);
        assert_eq!(running.status().await, StatusCode::OK);
        (0..12).for_each(|_| worker.upstreams.sweep());
        settle().await;
        assert!(backend.reuse(Want::Any, None).is_none(), "the pool let go of it");
        assert!(!open(&backend, Want::Any).await.reused);
        running.finish().await;
    });
}

#[test]
fn a_server_that_does_not_speak_http2_is_a_failure_to_connect() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let answering = async {
            let mut stream = server.take().await;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
            stream
        };
        let (outcome, _stream) = tokio::join!(try_open(&backend, Want::Http2), answering);
        let error = outcome.expect_err("this is HTTP/1.1");
        assert!(error.message().starts_with("HTTP/2 could not start"), "{error}");
    });
}

#[test]
fn a_held_lease_keeps_its_endpoint() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let held = request_on(open(&backend, Want::Http2).await);
        assert_eq!(**held.lease.endpoint.label(), *server.address.to_string());
    });
}
