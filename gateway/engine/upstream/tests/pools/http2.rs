//! Sharing of HTTP/2 connections.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::{join_all, poll_fn};
use http::header::HeaderValue;
use http::{Method, Response, StatusCode, Version};
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Http2Request};
use sekisho_table::BackendProtocol;
use sekisho_upstream::{Connection, Lease, Want};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Worker, on_worker, open, settle};

/// Answers every request with 200, once `answer` is notified when it holds requests back.
struct Http2Server {
    address: SocketAddr,
    accepted: Rc<Cell<usize>>,
    goaway: Rc<Notify>,
    hangup: Rc<Notify>,
}

impl Http2Server {
    async fn start(max_streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Self { address, accepted: Rc::default(), goaway: Rc::default(), hangup: Rc::default() };
        let (accepted, goaway, hangup) = (server.accepted.clone(), server.goaway.clone(), server.hangup.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.set(accepted.get() + 1);
                let (goaway, hangup) = (goaway.clone(), hangup.clone());
                tokio::task::spawn_local(async move {
                    let mut builder = h2::server::Builder::new();
                    builder.max_concurrent_streams(max_streams);
                    let mut connection = builder.handshake::<_, Bytes>(stream).await.expect("HTTP/2");
                    loop {
                        let request = tokio::select! {
                            request = connection.accept() => request,
                            () = goaway.notified() => { connection.graceful_shutdown(); continue }
                            () = hangup.notified() => return,
                        };
                        let Some(Ok((request, mut respond))) = request else { return };
                        // The response ends when the request does: an open request holds its stream.
                        tokio::task::spawn_local(async move {
                            let mut body = request.into_body();
                            let Ok(mut sender) = respond.send_response(Response::new(()), false) else { return };
                            while let Some(Ok(_)) = body.data().await {}
                            sender.send_data(Bytes::new(), true).ok();
                        });
                    }
                });
            }
        });
        server
    }

    fn worker(&self) -> Worker {
        let mut worker = Worker::new();
        worker.set("b", BackendProtocol::H2C, None, &[self.address]);
        worker
    }
}

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
fn a_held_lease_keeps_its_endpoint() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        let worker = server.worker();
        let backend = worker.backend("b");
        let held = request_on(open(&backend, Want::Http2).await);
        assert_eq!(**held.lease.endpoint.label(), *server.address.to_string());
    });
}
