//! Reuse of HTTP/1 connections.

use std::time::Duration;

use sekisho_upstream::{UpstreamOptions, Want};
use tokio::io::AsyncWriteExt;

use crate::support::{Server, Worker, closed, local_address, on_worker, open, release, settle};

const BOUND: Duration = Duration::from_secs(10);

#[test]
fn a_released_connection_serves_the_next_exchange() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let first = open(&backend, Want::Any).await;
        assert!(!first.reused);
        let address = local_address(&first);
        release(&backend, first);
        let second = open(&backend, Want::Any).await;
        assert!(second.reused);
        assert_eq!(local_address(&second), address);
        assert_eq!(backend.counters().connections_opened, 1);
    });
}

#[test]
fn reuse_alone_never_connects() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        assert!(backend.reuse(Want::Any, None).is_none());
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        assert!(backend.reuse(Want::Any, None).is_some_and(|lease| lease.reused));
        assert_eq!(backend.counters().connections_opened, 1);
    });
}

#[test]
fn a_connection_that_is_dropped_instead_of_released_closes() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        drop(open(&backend, Want::Any).await);
        closed(&mut server.take().await).await;
        assert!(!open(&backend, Want::Any).await.reused);
    });
}

#[test]
fn the_most_recently_used_connection_is_taken_first() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let (older, newer) = (open(&backend, Want::Any).await, open(&backend, Want::Any).await);
        let (older_address, newer_address) = (local_address(&older), local_address(&newer));
        release(&backend, older);
        release(&backend, newer);
        let first = open(&backend, Want::Any).await;
        let second = open(&backend, Want::Any).await;
        assert_eq!([local_address(&first), local_address(&second)], [newer_address, older_address]);
    });
}

#[test]
fn a_fresh_connection_is_never_a_pooled_one() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        let fresh = backend.open(Want::Any, None, true, BOUND).await.expect("a connection");
        assert!(!fresh.reused);
        assert_eq!(backend.endpoints()[0].idle(), 1, "the pooled one still waits");
    });
}

#[test]
fn a_connection_that_the_backend_closed_is_not_handed_out() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        drop(server.take().await);
        settle().await;
        let next = open(&backend, Want::Any).await;
        assert!(!next.reused);
        assert_eq!(backend.counters().connections_opened, 2);
    });
}

#[test]
fn a_connection_on_which_the_backend_spoke_unasked_is_not_handed_out() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        let mut stream = server.take().await;
        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("written");
        settle().await;
        assert!(!open(&backend, Want::Any).await.reused);
        assert_eq!(backend.endpoints()[0].idle(), 0);
    });
}

#[test]
fn no_more_connections_wait_than_the_bound_allows() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::with(UpstreamOptions { max_idle_per_endpoint: 2, ..UpstreamOptions::default() });
        worker.set("b", sekisho_table::BackendProtocol::Http, None, &[server.address]);
        let backend = worker.backend("b");
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(open(&backend, Want::Any).await);
        }
        leases.into_iter().for_each(|lease| release(&backend, lease));
        assert_eq!(backend.endpoints()[0].idle(), 2);
    });
}

#[test]
fn an_idle_connection_expires_after_the_idle_timeout_and_a_used_one_does_not() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let (idle, busy) = (open(&backend, Want::Any).await, open(&backend, Want::Any).await);
        release(&backend, idle);
        release(&backend, busy);
        for _ in 0..11 {
            worker.upstreams.sweep();
            let lease = backend.reuse(Want::Any, None).expect("the busy one");
            release(&backend, lease);
        }
        assert_eq!(backend.endpoints()[0].idle(), 2, "a moment before the timeout");
        worker.upstreams.sweep();
        assert_eq!(backend.endpoints()[0].idle(), 1, "the idle one has expired");
        closed(&mut server.take().await).await;
    });
}

#[test]
fn the_sweep_also_closes_what_the_backend_closed() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        drop(server.take().await);
        settle().await;
        worker.upstreams.sweep();
        assert_eq!(backend.endpoints()[0].idle(), 0);
        // The endpoint is visited again once it has something to visit.
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        (0..12).for_each(|_| worker.upstreams.sweep());
        assert_eq!(backend.endpoints()[0].idle(), 0);
    });
}

#[test]
fn the_sweeper_keeps_the_timeout_by_the_clock_and_ends_with_its_worker() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        tokio::time::pause();
        let sweeper = tokio::task::spawn_local(worker.upstreams.sweeper());
        tokio::time::sleep(Duration::from_secs(54)).await;
        assert_eq!(backend.endpoints()[0].idle(), 1);
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(backend.endpoints()[0].idle(), 0);
        drop((worker, backend));
        sweeper.await.expect("the sweeper ends");
    });
}
