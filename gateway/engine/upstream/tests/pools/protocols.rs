//! Which HTTP version a backend is spoken to in.

use std::rc::Rc;

use sekisho_table::{BackendProtocol, BackendTls, Listener, ListenerProtocol, Table};
use sekisho_tls::ServerTls;
use sekisho_upstream::{Connection, Lease, Want};
use tokio::net::TcpListener;

use crate::certificates::{Authority, add_bundle, add_certificate};
use crate::http2_server::{Http2Server, serve};
use crate::support::{Worker, on_worker, open};

fn version(lease: &Lease) -> &'static str {
    match lease.connection {
        Connection::Http1(_) => "HTTP/1.1",
        Connection::Http2(_) => "HTTP/2",
    }
}

#[test]
fn a_plain_backend_speaks_what_it_declares_unless_the_request_needs_otherwise() {
    on_worker(async {
        let server = Http2Server::start(100).await;
        for (protocol, want, expected) in [
            (BackendProtocol::Http, Want::Any, "HTTP/1.1"),
            (BackendProtocol::Http, Want::Http1, "HTTP/1.1"),
            (BackendProtocol::Http, Want::Http2, "HTTP/2"),
            (BackendProtocol::H2C, Want::Any, "HTTP/2"),
            (BackendProtocol::H2C, Want::Http2, "HTTP/2"),
            (BackendProtocol::H2C, Want::Http1, "HTTP/1.1"),
            (BackendProtocol::WebSocket, Want::Any, "HTTP/1.1"),
        ] {
            let mut worker = Worker::new();
            worker.set("b", protocol, None, &[server.address]);
            let lease = open(&worker.backend("b"), want).await;
            assert_eq!(version(&lease), expected, "{protocol:?} {want:?}");
        }
    });
}

#[test]
fn over_tls_the_protocol_is_the_one_offered_by_alpn() {
    on_worker(async {
        let (mut worker, mut handshakes) = tls_backend().await;
        for (protocol, want, h2) in [
            (BackendProtocol::Http, Want::Any, false),
            (BackendProtocol::Http, Want::Http1, false),
            (BackendProtocol::Http, Want::Http2, true),
            (BackendProtocol::H2C, Want::Any, true),
            (BackendProtocol::H2C, Want::Http1, false),
        ] {
            worker.restart_as(protocol);
            let lease = open(&worker.backend("b"), want).await;
            assert_eq!(version(&lease), if h2 { "HTTP/2" } else { "HTTP/1.1" }, "{protocol:?} {want:?}");
            assert_eq!(handshakes.recv().await, Some(h2), "{protocol:?} {want:?}");
        }
    });
}

/// A backend over TLS, and what each handshake chose: true for HTTP/2.
async fn tls_backend() -> (Worker, tokio::sync::mpsc::UnboundedReceiver<bool>) {
    let root = Authority::new("root");
    let mut servers = Table::default();
    add_certificate(&mut servers, "web", &root.issue(&["a.test"]));
    let listener = Listener {
        key: "l".to_owned(),
        gateway: "g".to_owned(),
        address: "127.0.0.1".parse().expect("an address"),
        port: 443,
        bind_port: 443,
        protocol: ListenerProtocol::Https,
        hostname: String::new(),
        certificates: vec!["web".to_owned()],
        tls_mode: Default::default(),
        client_validation: None,
        authorization: Vec::new(),
        authentication: Vec::new(),
        egress: None,
        routed_egress: None,
        captured: None,
        mesh: None,
        inner: String::new(),
    };
    let tls = ServerTls::build(&[&listener], &servers).expect("a server");
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    let (sender, handshakes) = tokio::sync::mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let accepted = tls.accept(stream).await.unwrap_or_else(|error| panic!("a handshake: {error}"));
            sender.send(accepted.alpn_h2).ok();
            tokio::task::spawn_local(serve(accepted.transport, 100, Rc::default(), Rc::default()));
        }
    });
    let mut worker = Worker::new();
    add_bundle(&mut worker.table, "ca", root.pem());
    let tls = BackendTls {
        server_name: "a.test".to_owned(),
        trust_bundles: vec!["ca".to_owned()],
        subject_alt_names: Vec::new(),
        client_certificate: String::new(),
    };
    worker.set("b", BackendProtocol::Http, Some(tls), &[address]);
    (worker, handshakes)
}
