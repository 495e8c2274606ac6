//! Which certificate a client is shown, and when it is refused, by real handshakes over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{Authority, KeyType, Request, add_certificate, on_one_thread};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sekisho_table::{Listener, ListenerProtocol, Table};
use sekisho_tls::{Accepted, ServerTls, TlsError, TlsErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use webpki::EndEntityCert;

/// Accepts every certificate: these tests look at which one was shown.
#[derive(Debug)]
struct TakesAnything {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for TakesAnything {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

struct Client {
    config: ClientConfig,
}

impl Client {
    fn new() -> Self {
        Self::verifying(&[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519])
    }

    fn verifying(schemes: &[SignatureScheme]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAnything { schemes: schemes.to_vec() }))
            .with_no_client_auth();
        Self { config }
    }

    fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    fn without_sni(mut self) -> Self {
        self.config.enable_sni = false;
        self
    }

    /// The first DNS name of the certificate that the server shows for `server_name`, and the kind of handshake.
    async fn shown(&self, address: SocketAddr, server_name: &str) -> std::io::Result<(String, HandshakeKind)> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(server_name.to_owned()).expect("a server name");
        let mut stream = TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await?;
        // Session tickets arrive after the handshake: read until the server closes.
        stream.read_to_end(&mut Vec::new()).await?;
        let connection = stream.get_ref().1;
        let leaf = connection.peer_certificates().and_then(|chain| chain.first()).expect("a certificate");
        let name =
            EndEntityCert::try_from(leaf).expect("readable").valid_dns_names().next().expect("a name").to_owned();
        Ok((name, connection.handshake_kind().expect("a finished handshake")))
    }
}

/// `accept`s every connection and keeps what came of each.
struct Served {
    address: SocketAddr,
    outcomes: tokio::sync::mpsc::UnboundedReceiver<Result<Accepted, TlsError>>,
}

async fn serve(tls: ServerTls) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, outcomes) = tokio::sync::mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut outcome = tls.accept(stream).await;
            if let Ok(accepted) = &mut outcome {
                accepted.transport.shutdown().await.ok();
            }
            if sender.send(outcome).is_err() {
                return;
            }
        }
    });
    Served { address, outcomes }
}

impl Served {
    async fn accepted(&mut self) -> Accepted {
        self.outcomes.recv().await.expect("an outcome").unwrap_or_else(|error| panic!("accepted: {error}"))
    }

    async fn refused(&mut self) -> TlsError {
        self.outcomes.recv().await.expect("an outcome").err().expect("a refusal")
    }
}

fn listener(key: &str, hostname: &str, certificates: &[&str]) -> Listener {
    Listener {
        key: key.to_owned(),
        gateway: "a/gateway".to_owned(),
        address: "127.0.0.1".parse().expect("an address"),
        port: 443,
        bind_port: 443,
        protocol: ListenerProtocol::Https,
        hostname: hostname.to_owned(),
        certificates: certificates.iter().map(|key| (*key).to_owned()).collect(),
        tls_mode: Default::default(),
        client_validation: None,
        authorization: Vec::new(),
        authentication: Vec::new(),
        egress: None,
        routed_egress: None,
        captured: None,
        mesh: None,
        inner: String::new(),
    }
}

fn build(listeners: &[Listener], table: &Table) -> ServerTls {
    ServerTls::build(&listeners.iter().collect::<Vec<_>>(), table).expect("a usable certificate")
}

/// Certificates named `exact`, `wild` and `open` for listeners of the same kinds.
fn three_listeners() -> (Vec<Listener>, Table) {
    let root = Authority::new("root");
    let mut table = Table::default();
    for (key, name) in [("exact", "a.example.com"), ("wild", "*.example.com"), ("open", "open.test")] {
        add_certificate(&mut table, key, &root.issue(&[name]));
    }
    let listeners = vec![
        listener("open", "", &["open"]),
        listener("wild", "*.example.com", &["wild"]),
        listener("exact", "a.example.com", &["exact"]),
    ];
    (listeners, table)
}

#[test]
fn the_server_name_picks_the_listener_exact_then_wildcard_then_open() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let mut served = serve(build(&listeners, &table)).await;
        for (name, certificate) in [
            ("a.example.com", "a.example.com"),
            ("b.example.com", "*.example.com"),
            ("a.b.example.com", "*.example.com"),
            ("example.com", "open.test"),
            ("elsewhere.test", "open.test"),
            ("A.Example.COM", "a.example.com"),
        ] {
            let (shown, _) = Client::new().shown(served.address, name).await.expect("a handshake");
            assert_eq!(shown, certificate, "for {name}");
            assert_eq!(served.accepted().await.sni, Some(name.to_ascii_lowercase()));
        }
    });
}

#[test]
fn without_a_server_name_the_open_listener_answers() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let mut served = serve(build(&listeners, &table)).await;
        let (shown, _) = Client::new().without_sni().shown(served.address, "a.example.com").await.expect("a handshake");
        assert_eq!(shown, "open.test");
        assert_eq!(served.accepted().await.sni, None);
    });
}

#[test]
fn an_unknown_or_missing_server_name_is_refused_where_every_listener_has_a_hostname() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let mut served = serve(build(&listeners[1..], &table)).await;
        let error = Client::new().shown(served.address, "elsewhere.test").await.expect_err("refused");
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert_eq!(alert, Some(&Error::AlertReceived(AlertDescription::UnrecognisedName)));
        let refusal = served.refused().await;
        assert_eq!(refusal.kind, TlsErrorKind::UnrecognizedName);
        assert_eq!(refusal.message, "no listener of this port serves the server name \"elsewhere.test\"");
        Client::new().without_sni().shown(served.address, "a.example.com").await.expect_err("refused");
        assert_eq!(served.refused().await.kind, TlsErrorKind::UnrecognizedName);
    });
}

#[test]
fn a_socket_of_tls_listeners_alone_closes_without_an_alert() {
    on_one_thread(async {
        let (mut listeners, table) = three_listeners();
        for listener in &mut listeners {
            listener.protocol = ListenerProtocol::Tls;
        }
        let mut served = serve(build(&listeners[1..], &table)).await;
        let error = Client::new().shown(served.address, "elsewhere.test").await.expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(served.refused().await.kind, TlsErrorKind::UnrecognizedName);
    });
}

#[test]
fn among_several_certificates_the_one_that_covers_the_name_is_shown() {
    on_one_thread(async {
        let root = Authority::new("root");
        let mut table = Table::default();
        for (key, name) in [("one", "one.test"), ("two", "two.test"), ("wild", "*.wild.test")] {
            add_certificate(&mut table, key, &root.issue(&[name]));
        }
        let served = serve(build(&[listener("l", "", &["one", "two", "wild"])], &table)).await;
        for (name, certificate) in [
            ("two.test", "two.test"),
            ("a.wild.test", "*.wild.test"),
            ("one.test", "one.test"),
            ("other.test", "one.test"),
        ] {
            let (shown, _) = Client::new().shown(served.address, name).await.expect("a handshake");
            assert_eq!(shown, certificate, "for {name}");
        }
    });
}

#[test]
fn among_certificates_for_one_name_the_clients_key_type_decides() {
    on_one_thread(async {
        let root = Authority::new("root");
        let mut table = Table::default();
        let issue = |names: &[&str], key_type| root.issue_as(&Request { key_type, ..Request::names(names) });
        add_certificate(&mut table, "modern", &issue(&["modern.test", "a.test"], KeyType::Ed25519));
        add_certificate(&mut table, "common", &issue(&["common.test", "a.test"], KeyType::Ecdsa));
        let served = serve(build(&[listener("l", "a.test", &["modern", "common"])], &table)).await;
        let (shown, _) = Client::new().shown(served.address, "a.test").await.expect("a handshake");
        assert_eq!(shown, "modern.test", "the listener's order decides between two that the client can verify");
        let old = Client::verifying(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
        let (shown, _) = old.shown(served.address, "a.test").await.expect("a handshake");
        assert_eq!(shown, "common.test");
    });
}

#[test]
fn alpn_prefers_http2_and_an_absent_offer_means_http1() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let mut served = serve(build(&listeners, &table)).await;
        for (offer, h2) in [(&["http/1.1", "h2"][..], true), (&["http/1.1"], false), (&[], false)] {
            Client::new().offering(offer).shown(served.address, "a.example.com").await.expect("a handshake");
            assert_eq!(served.accepted().await.alpn_h2, h2, "for {offer:?}");
        }
        Client::new()
            .offering(&["spdy/1"])
            .shown(served.address, "a.example.com")
            .await
            .expect_err("nothing in common");
        served.refused().await;
    });
}

#[test]
fn a_session_resumes_also_after_a_reload() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let client = Client::new();
        let first = serve(build(&listeners, &table)).await;
        let (_, kind) = client.shown(first.address, "a.example.com").await.expect("a handshake");
        assert_eq!(kind, HandshakeKind::Full);
        let reloaded = serve(build(&listeners, &table)).await;
        let (_, kind) = client.shown(reloaded.address, "a.example.com").await.expect("a handshake");
        assert_eq!(kind, HandshakeKind::Resumed);
    });
}

#[test]
fn a_listener_whose_certificate_is_unusable_costs_only_itself() {
    on_one_thread(async {
        let (mut listeners, mut table) = three_listeners();
        listeners.push(listener("absent", "absent.test", &["no-such-certificate"]));
        let mut broken = Authority::new("root").issue(&["broken.test"]);
        broken.key = "garbage".to_owned();
        add_certificate(&mut table, "broken", &broken);
        listeners.push(listener("broken", "broken.test", &["broken"]));
        let tls = build(&listeners, &table);
        let problems: Vec<_> = tls.problems().iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
        assert_eq!(
            problems,
            [
                "absent: certificate no-such-certificate: it is not in the table",
                "broken: certificate broken: there is no private key in it",
            ]
        );
        let mut served = serve(tls).await;
        let (shown, _) = Client::new().shown(served.address, "a.example.com").await.expect("the others serve");
        assert_eq!(shown, "a.example.com");
        served.accepted().await;
        Client::new().shown(served.address, "broken.test").await.expect_err("no other listener's certificate steps in");
        assert_eq!(served.refused().await.kind, TlsErrorKind::UnrecognizedName);
    });
}

#[test]
fn a_socket_without_any_usable_certificate_is_an_error_that_names_each() {
    let listeners = [listener("a/gateway/web", "", &["absent"]), listener("a/gateway/api", "", &[])];
    let reason =
        ServerTls::build(&listeners.iter().collect::<Vec<_>>(), &Table::default()).expect_err("nothing usable");
    assert_eq!(
        reason,
        "no listener has a usable certificate: a/gateway/web: certificate absent: it is not in the table; \
         a/gateway/api: it names no certificate"
    );
}

#[test]
fn plain_http_to_a_tls_port_and_a_hang_up_are_told_apart() {
    on_one_thread(async {
        let (listeners, table) = three_listeners();
        let mut served = serve(build(&listeners, &table)).await;
        let mut stream = TcpStream::connect(served.address).await.expect("loopback");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example.com\r\n\r\n").await.expect("written");
        assert_eq!(served.refused().await.kind, TlsErrorKind::NotTls);
        drop(TcpStream::connect(served.address).await.expect("loopback"));
        assert_eq!(served.refused().await.kind, TlsErrorKind::Closed);
    });
}
