//! Which backends a `BackendTls` accepts, by real handshakes over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{Authority, Issued, Request, Validity, add_bundle, add_certificate, self_signed};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sekisho_table::{BackendTls, SubjectAltName, SubjectAltNameType, Table};
use sekisho_tls::{Alpn, AlpnOffer, ClientTls, TlsError, TlsErrorKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A backend of the test: accepts one connection, echoes four bytes, and tells the SNI it was sent.
struct TestServer {
    address: SocketAddr,
    sni: JoinHandle<std::io::Result<Option<String>>>,
}

#[derive(Default)]
struct ServerOptions<'a> {
    alpn: &'a [&'a [u8]],
    /// Requires client certificates of this authority.
    clients: Option<&'a Authority>,
    tls12: bool,
}

impl TestServer {
    async fn start(issued: &Issued, options: ServerOptions<'_>) -> Self {
        let versions: &[_] = if options.tls12 { &[&rustls::version::TLS12] } else { rustls::DEFAULT_VERSIONS };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
        let builder = builder.expect("versions");
        let builder = match options.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
        let mut config = builder.with_single_cert(chain, key).expect("a server");
        config.alpn_protocols = options.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sni = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
            let sni = stream.get_ref().1.server_name().map(str::to_owned);
            let mut four = [0u8; 4];
            stream.read_exact(&mut four).await?;
            stream.write_all(&four).await?;
            stream.shutdown().await?;
            Ok(sni)
        });
        Self { address, sni }
    }
}

fn spec(server_name: &str) -> BackendTls {
    BackendTls {
        server_name: server_name.to_owned(),
        trust_bundles: vec!["ca".to_owned()],
        subject_alt_names: Vec::new(),
        client_certificate: String::new(),
    }
}

fn san(kind: SubjectAltNameType, value: &str) -> SubjectAltName {
    SubjectAltName { kind, value: value.to_owned() }
}

fn dns(value: &str) -> SubjectAltName {
    san(SubjectAltNameType::Hostname, value)
}

fn uri(value: &str) -> SubjectAltName {
    san(SubjectAltNameType::Uri, value)
}

fn trusting(authorities: &[&Authority]) -> Table {
    let mut table = Table::default();
    add_bundle(&mut table, "ca", authorities.iter().map(|authority| authority.pem()).collect());
    table
}

async fn connect(
    server: &TestServer,
    spec: &BackendTls,
    table: &Table,
    offer: AlpnOffer,
) -> Result<(Transport, Alpn), TlsError> {
    let tls = ClientTls::build(spec, table).expect("a usable configuration");
    let stream = TcpStream::connect(server.address).await.expect("loopback");
    tls.connect(stream, offer).await
}

async fn echo(transport: &mut Transport) -> std::io::Result<[u8; 4]> {
    transport.write_all(b"ping").await?;
    transport.flush().await?;
    let mut four = [0u8; 4];
    transport.read_exact(&mut four).await?;
    Ok(four)
}

/// The outcome for a server with `issued`, and the SNI it saw.
async fn outcome(issued: &Issued, spec: &BackendTls, table: &Table) -> Result<Option<String>, TlsError> {
    let server = TestServer::start(issued, ServerOptions::default()).await;
    let (mut transport, _) = connect(&server, spec, table, AlpnOffer::Http1).await?;
    assert_eq!(&echo(&mut transport).await.expect("echo"), b"ping");
    Ok(server.sni.await.expect("the server").expect("the server"))
}

async fn refused(issued: &Issued, spec: &BackendTls, table: &Table) -> String {
    let error = outcome(issued, spec, table).await.expect_err("the backend must be refused");
    assert_eq!(error.kind, TlsErrorKind::Certificate, "{error}");
    error.message
}

#[tokio::test]
async fn the_hostname_authenticates_when_no_names_are_listed() {
    let root = Authority::new("root");
    let sni = outcome(&root.issue(&["a.example.com"]), &spec("a.example.com"), &trusting(&[&root])).await;
    assert_eq!(sni.expect("accepted").as_deref(), Some("a.example.com"));
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_and_both_names_are_told() {
    let root = Authority::new("root");
    let message = refused(&root.issue(&["b.example.com"]), &spec("a.example.com"), &trusting(&[&root])).await;
    assert_eq!(message, "the certificate of a.example.com does not cover a.example.com; it is for b.example.com");
}

#[tokio::test]
async fn a_wildcard_certificate_covers_one_label() {
    let root = Authority::new("root");
    let (issued, table) = (root.issue(&["*.example.com"]), trusting(&[&root]));
    outcome(&issued, &spec("a.example.com"), &table).await.expect("one label");
    refused(&issued, &spec("a.b.example.com"), &table).await;
}

#[tokio::test]
async fn trap_11_listed_names_authenticate_and_the_hostname_is_sni_only() {
    let root = Authority::new("root");
    let (issued, table) = (root.issue(&["internal.test"]), trusting(&[&root]));
    let mut spec = spec("a.example.com");
    spec.subject_alt_names = vec![dns("other.test"), dns("internal.test")];
    let sni = outcome(&issued, &spec, &table).await.expect("one of the listed names is in the certificate");
    assert_eq!(sni.as_deref(), Some("a.example.com"), "the hostname is still what the server is asked for");
}

#[tokio::test]
async fn trap_11_with_listed_names_the_hostname_must_not_authenticate() {
    let root = Authority::new("root");
    let mut spec = spec("a.example.com");
    spec.subject_alt_names = vec![dns("other.test"), uri("spiffe://cluster.local/ns/a/sa/b")];
    let message = refused(&root.issue(&["a.example.com"]), &spec, &trusting(&[&root])).await;
    assert_eq!(
        message,
        "the certificate of a.example.com does not cover any of other.test, spiffe://cluster.local/ns/a/sa/b; \
         it is for a.example.com"
    );
}

#[tokio::test]
async fn a_uri_authenticates_by_equality() {
    let root = Authority::new("root");
    let (issued, table) = (root.issue(&["spiffe://cluster.local/ns/a/sa/b"]), trusting(&[&root]));
    let mut spec = spec("a.example.com");
    spec.subject_alt_names = vec![uri("spiffe://cluster.local/ns/a/sa/b")];
    outcome(&issued, &spec, &table).await.expect("the listed URI");
    spec.subject_alt_names = vec![uri("spiffe://cluster.local/ns/a/sa")];
    refused(&issued, &spec, &table).await;
    spec.subject_alt_names = vec![dns("spiffe")];
    refused(&issued, &spec, &table).await;
}

#[tokio::test]
async fn a_listed_wildcard_accepts_one_label_or_that_wildcard() {
    let root = Authority::new("root");
    let table = trusting(&[&root]);
    let mut spec = spec("a.example.com");
    spec.subject_alt_names = vec![dns("*.internal.test")];
    outcome(&root.issue(&["db.internal.test"]), &spec, &table).await.expect("one label below");
    outcome(&root.issue(&["*.internal.test"]), &spec, &table).await.expect("that very wildcard");
    refused(&root.issue(&["a.db.internal.test"]), &spec, &table).await;
    refused(&root.issue(&["internal.test"]), &spec, &table).await;
}

#[tokio::test]
async fn certificates_out_of_their_time_are_refused() {
    let root = Authority::new("root");
    let table = trusting(&[&root]);
    let issue = |validity| root.issue_as(&Request { validity, ..Request::names(&["a.example.com"]) });
    let message = refused(&issue(Validity::Expired), &spec("a.example.com"), &table).await;
    assert_eq!(message, "the certificate of a.example.com, or one of its issuers, has expired");
    let message = refused(&issue(Validity::NotYet), &spec("a.example.com"), &table).await;
    assert_eq!(message, "the certificate of a.example.com is not valid yet; maybe a clock is wrong");
}

#[tokio::test]
async fn an_authority_that_is_not_in_the_bundle_is_refused() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let message = refused(&root.issue(&["a.example.com"]), &spec("a.example.com"), &trusting(&[&other])).await;
    assert!(message.contains("is not signed by a trusted authority"), "{message}");
}

#[tokio::test]
async fn an_authority_of_the_same_name_and_another_key_is_refused() {
    let (root, impostor) = (Authority::new("root"), Authority::new("root"));
    refused(&impostor.issue(&["a.example.com"]), &spec("a.example.com"), &trusting(&[&root])).await;
}

#[tokio::test]
async fn any_authority_of_any_bundle_will_do() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let mut table = trusting(&[&other]);
    add_bundle(&mut table, "second", root.pem());
    let mut spec = spec("a.example.com");
    spec.trust_bundles.push("second".to_owned());
    outcome(&root.issue(&["a.example.com"]), &spec, &table).await.expect("the second bundle");
    outcome(&other.issue(&["a.example.com"]), &spec, &table).await.expect("the first bundle");
}

#[tokio::test]
async fn an_intermediate_is_followed_when_the_server_sends_it() {
    let root = Authority::new("root");
    let intermediate = root.intermediate("intermediate");
    let leaf = intermediate.issue(&["a.example.com"]);
    refused(&leaf, &spec("a.example.com"), &trusting(&[&root])).await;
    outcome(&leaf.with(&intermediate), &spec("a.example.com"), &trusting(&[&root])).await.expect("a whole chain");
}

#[tokio::test]
async fn a_self_signed_server_is_refused_unless_the_bundle_holds_that_certificate() {
    let issued = self_signed(&Request::names(&["a.example.com"]));
    let other = Authority::new("other");
    refused(&issued, &spec("a.example.com"), &trusting(&[&other])).await;
    let mut table = Table::default();
    add_bundle(&mut table, "ca", issued.chain.clone());
    outcome(&issued, &spec("a.example.com"), &table).await.expect("that very certificate is trusted");
    refused(&issued, &spec("b.example.com"), &table).await;
}

#[tokio::test]
async fn a_certificate_trusted_itself_still_expires() {
    for (validity, reason) in [(Validity::Expired, "has expired"), (Validity::NotYet, "not valid yet")] {
        let issued = self_signed(&Request { validity, ..Request::names(&["a.example.com"]) });
        let mut table = Table::default();
        add_bundle(&mut table, "ca", issued.chain.clone());
        let message = refused(&issued, &spec("a.example.com"), &table).await;
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn an_ip_address_is_verified_and_never_sent_as_sni() {
    let root = Authority::new("root");
    let table = trusting(&[&root]);
    let sni = outcome(&root.issue(&["127.0.0.1"]), &spec("127.0.0.1"), &table).await.expect("an IP address SAN");
    assert_eq!(sni, None);
    refused(&root.issue(&["localhost"]), &spec("127.0.0.1"), &table).await;
}

#[tokio::test]
async fn the_client_certificate_is_presented_when_configured() {
    let (root, clients) = (Authority::new("root"), Authority::new("clients"));
    let mut table = trusting(&[&root]);
    add_certificate(&mut table, "Secret/a/client", &clients.issue(&["spiffe://cluster.local/ns/a/sa/gateway"]));
    let mut spec = spec("a.example.com");
    spec.client_certificate = "Secret/a/client".to_owned();
    for tls12 in [false, true] {
        let options = ServerOptions { clients: Some(&clients), tls12, ..ServerOptions::default() };
        let server = TestServer::start(&root.issue(&["a.example.com"]), options).await;
        let (mut transport, _) = connect(&server, &spec, &table, AlpnOffer::Http1).await.expect("a handshake");
        assert_eq!(&echo(&mut transport).await.expect("the server took the certificate"), b"ping");
    }
}

#[tokio::test]
async fn a_missing_client_certificate_is_refused_by_the_backend() {
    let (root, clients) = (Authority::new("root"), Authority::new("clients"));
    let table = trusting(&[&root]);
    for tls12 in [false, true] {
        let options = ServerOptions { clients: Some(&clients), tls12, ..ServerOptions::default() };
        let server = TestServer::start(&root.issue(&["a.example.com"]), options).await;
        // TLS 1.3 ends the client's handshake before the server has looked at its certificate.
        let message = match connect(&server, &spec("a.example.com"), &table, AlpnOffer::Http1).await {
            Ok((mut transport, _)) => echo(&mut transport).await.expect_err("no echo").to_string(),
            Err(error) => error.message,
        };
        assert!(message.to_ascii_lowercase().contains("certificate"), "{message}");
    }
}

#[tokio::test]
async fn alpn_decides_the_protocol() {
    let root = Authority::new("root");
    let (issued, table) = (root.issue(&["a.example.com"]), trusting(&[&root]));
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let http1: &[&[u8]] = &[b"http/1.1"];
    for (alpn, offer, chosen) in [
        (both, AlpnOffer::Http1, Alpn::Http1),
        (both, AlpnOffer::Http2, Alpn::Http2),
        (both, AlpnOffer::Any, Alpn::Http2),
        (http1, AlpnOffer::Any, Alpn::Http1),
        (&[], AlpnOffer::Http1, Alpn::Http1),
        (&[], AlpnOffer::Any, Alpn::Http1),
    ] {
        let server = TestServer::start(&issued, ServerOptions { alpn, ..ServerOptions::default() }).await;
        let (_, alpn) = connect(&server, &spec("a.example.com"), &table, offer).await.expect("a handshake");
        assert_eq!(alpn, chosen);
    }
}

#[tokio::test]
async fn a_backend_without_http2_is_told_apart_from_a_broken_one() {
    let root = Authority::new("root");
    let (issued, table) = (root.issue(&["a.example.com"]), trusting(&[&root]));
    let http1: &[&[u8]] = &[b"http/1.1"];
    for alpn in [http1, &[]] {
        let server = TestServer::start(&issued, ServerOptions { alpn, ..ServerOptions::default() }).await;
        let error = connect(&server, &spec("a.example.com"), &table, AlpnOffer::Http2).await.expect_err("no HTTP/2");
        assert_eq!(error.kind, TlsErrorKind::Incompatible, "{error}");
    }
}

#[tokio::test]
async fn a_plain_http_port_is_named_as_the_likely_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await
    });
    let root = Authority::new("root");
    let tls = ClientTls::build(&spec("a.example.com"), &trusting(&[&root])).expect("a configuration");
    let stream = TcpStream::connect(address).await.expect("loopback");
    let error = tls.connect(stream, AlpnOffer::Http1).await.expect_err("this is not TLS");
    assert_eq!(error.kind, TlsErrorKind::NotTls);
    assert_eq!(error.message, "a.example.com does not speak TLS; maybe this is a plain HTTP port");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_reported_as_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { listener.accept().await.map(drop) });
    let root = Authority::new("root");
    let tls = ClientTls::build(&spec("a.example.com"), &trusting(&[&root])).expect("a configuration");
    let stream = TcpStream::connect(address).await.expect("loopback");
    let error = tls.connect(stream, AlpnOffer::Http1).await.expect_err("nobody answered");
    assert_eq!(error.kind, TlsErrorKind::Closed, "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_when_built() {
    let root = Authority::new("root");
    let table = trusting(&[&root]);
    let reason = |spec: BackendTls| ClientTls::build(&spec, &table).expect_err("it must be refused");
    assert!(reason(spec("")).contains("neither a DNS name nor an IP address"));
    assert!(reason(spec("not a name")).contains("neither a DNS name nor an IP address"));
    let absent = BackendTls { trust_bundles: vec!["absent".to_owned()], ..spec("a.test") };
    assert_eq!(reason(absent), "trust bundle absent is not in the table");
    let absent = BackendTls { client_certificate: "absent".to_owned(), ..spec("a.test") };
    assert_eq!(reason(absent), "client certificate absent is not in the table");
    let empty = BackendTls { subject_alt_names: vec![uri("")], ..spec("a.test") };
    assert_eq!(reason(empty), "a subject alternative name is empty");
    let invalid = BackendTls { subject_alt_names: vec![dns("not a name")], ..spec("a.test") };
    assert!(reason(invalid).contains("\"not a name\" is not a DNS name"));
}
