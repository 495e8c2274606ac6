//! What a caller learns when there is no connection to be had.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sekisho_table::{BackendProtocol, BackendTls, Endpoint};
use sekisho_upstream::{OpenError, Resolve, UpstreamOptions, Want};

use crate::certificates::{Authority, add_bundle};
use crate::support::{Server, Worker, on_worker, open, refusing_address, try_open};

#[test]
fn a_backend_without_endpoints_says_so() {
    on_worker(async {
        let mut worker = Worker::serving("b", &[]);
        for _ in 0..2 {
            let error = try_open(&worker.backend("b"), Want::Any).await.expect_err("no endpoint");
            assert!(matches!(error, OpenError::NoEndpoints));
            assert_eq!(error.to_string(), "the backend has no ready endpoint");
            assert!(error.endpoint().is_none());
            worker.table.endpoints.clear();
            worker.apply();
        }
        assert_eq!(worker.backend("b").counters().connect_failures, 0);
    });
}

#[test]
fn a_refused_connection_names_the_endpoint_and_counts() {
    on_worker(async {
        let address = refusing_address().await;
        let worker = Worker::serving("b", &[address]);
        let backend = worker.backend("b");
        for want in [Want::Http1, Want::Http2] {
            let error = try_open(&backend, want).await.expect_err("refused");
            assert!(matches!(error, OpenError::Connect { .. }), "{error:?}");
            assert_eq!(
                error.to_string(),
                format!("endpoint {address}: connection refused; maybe nothing listens on that port")
            );
            assert!(error.endpoint().is_some_and(|endpoint| Rc::ptr_eq(endpoint, &backend.endpoints()[0])));
        }
        assert_eq!(backend.counters().connect_failures, 2);
        assert_eq!(backend.in_flight(), 0);
    });
}

#[test]
fn the_failed_endpoint_can_be_avoided_in_the_next_attempt() {
    on_worker(async {
        let server = Server::start().await;
        let worker = Worker::serving("b", &[refusing_address().await, server.address]);
        let backend = worker.backend("b");
        for _ in 0..20 {
            let Err(error) = try_open(&backend, Want::Any).await else { continue };
            let lease = backend.open(Want::Any, error.endpoint(), false, Duration::ZERO).await.expect("the other one");
            assert_eq!(**lease.endpoint.label(), *server.address.to_string());
            return;
        }
        panic!("the refusing endpoint was never chosen");
    });
}

#[test]
fn exchanges_that_wait_for_one_http2_connection_share_its_failure() {
    on_worker(async {
        let address = refusing_address().await;
        let worker = Worker::serving("b", &[address]);
        let backend = worker.backend("b");
        let attempts = join_all((0..8).map(|_| try_open(&backend, Want::Http2))).await;
        assert!(attempts.iter().all(|attempt| matches!(attempt, Err(OpenError::Connect { .. }))));
        let later = try_open(&backend, Want::Http2).await.expect_err("asked again, refused again");
        assert!(matches!(later, OpenError::Connect { .. }));
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_runs_into_the_bound() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = tls_worker();
        worker.set("b", BackendProtocol::Http, Some(tls_to("a.test", "ca")), &[server.address]);
        let backend = worker.backend("b");
        let error = backend.open(Want::Any, None, false, Duration::from_millis(50)).await.expect_err("no handshake");
        assert!(matches!(error, OpenError::Timeout { .. }), "{error:?}");
        assert!(error.message().contains("no connection within 50 ms"));
        assert_eq!(backend.counters().connect_failures, 1);
        assert_eq!(backend.counters().connections_opened, 0);
    });
}

#[test]
fn tls_settings_that_cannot_work_fail_with_their_reason() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = tls_worker();
        worker.set("b", BackendProtocol::Http, Some(tls_to("a.test", "absent")), &[server.address]);
        let error = try_open(&worker.backend("b"), Want::Any).await.expect_err("no such bundle");
        assert!(matches!(error, OpenError::Tls { .. }), "{error:?}");
        assert_eq!(error.message(), "TLS of backend b: trust bundle absent is not in the table");
        assert_eq!(server.accepted(), 0, "nothing was sent in the clear");
    });
}

#[test]
fn a_plain_backend_behind_tls_settings_is_recognised() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = tls_worker();
        worker.set("b", BackendProtocol::Http, Some(tls_to("a.test", "ca")), &[server.address]);
        let backend = worker.backend("b");
        let answering = async {
            let mut stream = server.take().await;
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
            stream
        };
        let (outcome, _stream) = tokio::join!(try_open(&backend, Want::Any), answering);
        let error = outcome.expect_err("not TLS");
        assert_eq!(error.message(), "a.test does not speak TLS; maybe this is a plain HTTP port");
    });
}

fn tls_worker() -> Worker {
    let mut worker = Worker::new();
    add_bundle(&mut worker.table, "ca", Authority::new("root").pem());
    worker
}

fn tls_to(server_name: &str, bundle: &str) -> BackendTls {
    BackendTls {
        server_name: server_name.to_owned(),
        trust_bundles: vec![bundle.to_owned()],
        subject_alt_names: Vec::new(),
        client_certificate: String::new(),
    }
}

/// Gives the answers of the test, and counts the questions.
#[derive(Default)]
struct Answers {
    asked: Cell<usize>,
    addresses: RefCell<Vec<&'static str>>,
}

impl Resolve for Answers {
    fn resolve(&self, host: Arc<str>) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>> {
        assert_eq!(&*host, "backend.test", "names are asked for in lower case");
        self.asked.set(self.asked.get() + 1);
        let addresses = self.addresses.borrow().iter().map(|text| text.parse().expect("an address")).collect();
        Box::pin(async move { Ok(addresses) })
    }
}

fn named_backend(answers: &Rc<Answers>, port: u16) -> Worker {
    let mut worker = Worker::with(UpstreamOptions { resolver: answers.clone(), ..UpstreamOptions::default() });
    worker.set("b", BackendProtocol::Http, None, &[]);
    worker.set_endpoint_list("b", vec![Endpoint::new("Backend.test", port)]);
    worker
}

#[test]
fn a_name_is_resolved_and_shown_as_a_name() {
    on_worker(async {
        let server = Server::start().await;
        let answers = Rc::new(Answers::default());
        answers.addresses.borrow_mut().push("127.0.0.1");
        let worker = named_backend(&answers, server.address.port());
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        assert_eq!(**lease.endpoint.label(), *format!("backend.test:{}", server.address.port()));
        let _another = open(&backend, Want::Any).await;
        assert_eq!(answers.asked.get(), 1, "the answer is remembered");
    });
}

#[test]
fn an_address_that_refuses_gives_way_to_the_names_next_one() {
    on_worker(async {
        let server = Server::start().await;
        let answers = Rc::new(Answers::default());
        // The server listens on the last of them only.
        *answers.addresses.borrow_mut() = vec!["127.0.0.2", "::1", "127.0.0.1"];
        let worker = named_backend(&answers, server.address.port());
        let backend = worker.backend("b");
        for _ in 0..6 {
            open(&backend, Want::Any).await;
        }
    });
}

#[test]
fn a_name_without_addresses_is_a_failure_of_its_own() {
    on_worker(async {
        let answers = Rc::new(Answers::default());
        let worker = named_backend(&answers, 80);
        let backend = worker.backend("b");
        let error = try_open(&backend, Want::Any).await.expect_err("no address");
        assert!(matches!(error, OpenError::Dns { .. }), "{error:?}");
        assert_eq!(error.to_string(), "endpoint backend.test:80: the name backend.test has no address");
    });
}

#[test]
fn localhost_resolves_through_the_system() {
    on_worker(async {
        let server = Server::start().await;
        let mut worker = Worker::new();
        worker.set("b", BackendProtocol::Http, None, &[]);
        let endpoint = Endpoint::new("localhost", server.address.port());
        worker.set_endpoint_list("b", vec![endpoint]);
        open(&worker.backend("b"), Want::Any).await;
    });
}
