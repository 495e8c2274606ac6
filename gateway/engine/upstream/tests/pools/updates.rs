//! What a change of the table does to connections.

use std::rc::Rc;

use sekisho_table::{BackendProtocol, BackendTls};
use sekisho_upstream::Want;

use crate::certificates::{Authority, add_bundle};
use crate::http2_server::Http2Server;
use crate::support::{Server, Worker, closed, on_worker, open, release};

#[test]
fn a_backend_that_an_update_does_not_touch_is_the_same_object() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::serving("b", &[server.address]);
        let before = worker.backend("b");
        worker.set("a", BackendProtocol::Http, None, &[server.address]);
        worker.set("c", BackendProtocol::Http, None, &[server.address]);
        assert!(Rc::ptr_eq(&before, &worker.backend("b")), "others were added on both sides of it");
        worker.table.backends.remove("a");
        worker.apply();
        assert!(Rc::ptr_eq(&before, &worker.backend("b")));
    });
}

#[test]
fn a_backend_takes_room_when_a_request_first_goes_there() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::serving("b", &[server.address]);
        worker.set_endpoints("b", &[server.address, server.address]);
        let backend = worker.backend("b");
        assert_eq!((backend.counters().connections_opened, backend.in_flight(), backend.is_used()), (0, 0, false));
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        assert!(backend.is_used());
        worker.set("b", BackendProtocol::Http, None, &[server.address]);
        assert!(worker.backend("b").is_used(), "its connections and figures go on");
    });
}

#[test]
fn connections_survive_a_change_of_the_other_endpoints() {
    on_worker(async {
        let (kept, other) = (Server::start().await, Server::start().await);
        let mut worker = Worker::serving("b", &[kept.address]);
        let lease = open(&worker.backend("b"), Want::Any).await;
        release(&worker.backend("b"), lease);
        worker.set_endpoints("b", &[other.address, kept.address]);
        let idle: Vec<_> = worker.backend("b").endpoints().iter().map(|endpoint| endpoint.idle()).collect();
        assert_eq!(idle, [0, 1]);
        assert_eq!(worker.backend("b").counters().connections_opened, 1, "the figures go on");
    });
}

#[test]
fn an_endpoint_that_vanishes_closes_its_idle_connections_and_finishes_its_work() {
    on_worker(async {
        let (gone, other) = (Server::start().await, Server::start().await);
        let mut worker = Worker::serving("b", &[gone.address]);
        let before = worker.backend("b");
        let (busy, idle) = (open(&before, Want::Any).await, open(&before, Want::Any).await);
        release(&before, idle);
        let (mut busy_peer, mut idle_peer) = (gone.take().await, gone.take().await);
        worker.set_endpoints("b", &[other.address]);
        closed(&mut idle_peer).await;
        let mut byte = [0u8; 1];
        assert_eq!(
            busy_peer.try_read(&mut byte).expect_err("still open").kind(),
            std::io::ErrorKind::WouldBlock,
            "the exchange in flight keeps its connection"
        );
        assert_eq!(worker.backend("b").in_flight(), 1);
        release(&before, busy);
        closed(&mut busy_peer).await;
        assert_eq!(worker.backend("b").in_flight(), 0);
        assert_eq!(before.endpoints()[0].idle(), 0, "it was not kept");
    });
}

#[test]
fn a_backend_that_vanishes_closes_its_idle_connections() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::serving("b", &[server.address]);
        let lease = open(&worker.backend("b"), Want::Any).await;
        release(&worker.backend("b"), lease);
        worker.table.backends.clear();
        worker.apply();
        closed(&mut server.take().await).await;
        assert_eq!(worker.upstreams.backends().iter().count(), 0);
    });
}

#[test]
fn a_worker_that_ends_closes_its_idle_connections() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[server.address]);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        release(&backend, lease);
        drop(worker);
        closed(&mut server.take().await).await;
    });
}

#[test]
fn a_change_of_tls_starts_over_with_connections() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::serving("b", &[server.address]);
        let lease = open(&worker.backend("b"), Want::Any).await;
        release(&worker.backend("b"), lease);
        add_bundle(&mut worker.table, "ca", Authority::new("root").pem());
        let tls = BackendTls {
            server_name: "a.test".to_owned(),
            trust_bundles: vec!["ca".to_owned()],
            subject_alt_names: Vec::new(),
            client_certificate: String::new(),
        };
        worker.set("b", BackendProtocol::Http, Some(tls), &[server.address]);
        closed(&mut server.take().await).await;
        assert_eq!(worker.backend("b").endpoints()[0].idle(), 0, "a plain connection must not carry it");
    });
}

#[test]
fn a_request_that_began_before_the_update_can_still_connect() {
    on_worker(async {
        let (gone, other) = (Http2Server::start(100).await, Server::start().await);
        let mut worker = Worker::serving("b", &[gone.address]);
        let before = worker.backend("b");
        worker.set_endpoints("b", &[other.address]);
        for want in [Want::Http1, Want::Http2] {
            let lease = open(&before, want).await;
            assert_eq!(**lease.endpoint.label(), *gone.address.to_string());
            if want == Want::Http1 {
                release(&before, lease);
            }
            assert!(before.reuse(want, None).is_none(), "nothing is kept for an endpoint that has left the table");
        }
    });
}
