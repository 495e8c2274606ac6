//! Mutual TLS of the mesh: which peers are taken, on either side, by real handshakes over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sekisho_tls::{Alpn, AlpnOffer, Arrival, MeshIdentity, PeerIdentity, Serves, TlsError, TlsErrorKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::support::{Authority, Issued, Request, Usage, Validity, on_one_thread, self_signed};

const CART: &str = "spiffe://mesh.test/ns/shop/sa/cart";
const EDGE: &str = "spiffe://mesh.test/ns/edge/sa/gateway";

fn identity(root: &Authority, issued: &Issued) -> Arc<MeshIdentity> {
    let identity = MeshIdentity::default();
    identity.set(&issued.chain, &issued.key, &root.pem(), "mesh.test").expect("an identity");
    Arc::new(identity)
}

/// A listener that takes one connection; over mutual TLS it echoes four bytes.
async fn listen(
    identity: Arc<MeshIdentity>,
    serves: Serves,
    every: bool,
) -> (SocketAddr, JoinHandle<Result<Arrival, TlsError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let arrived = tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut arrival = identity.accept(stream, serves, every).await?;
        if let Arrival::Mutual { transport, .. } = &mut arrival {
            let mut four = [0; 4];
            transport.read_exact(&mut four).await.expect("four bytes");
            transport.write_all(&four).await.expect("written");
            transport.flush().await.expect("flushed");
        }
        Ok(arrival)
    });
    (address, arrived)
}

async fn echoes(transport: &mut Transport) -> std::io::Result<bool> {
    transport.write_all(b"ping").await?;
    transport.flush().await?;
    let mut four = [0; 4];
    transport.read_exact(&mut four).await?;
    Ok(four == *b"ping")
}

fn peer(arrival: Result<Arrival, TlsError>) -> (PeerIdentity, Option<String>, Option<bool>) {
    match arrival {
        Ok(Arrival::Mutual { peer, sni, http2, .. }) => (peer, sni, http2),
        Ok(Arrival::Plain { .. }) => panic!("plaintext"),
        Ok(Arrival::Foreign { .. }) => panic!("somebody else's TLS"),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn both_sides_learn_who_the_other_is() {
    on_one_thread(async {
        let root = Authority::new("root");
        let intermediate = root.intermediate("intermediate");
        let cart = identity(&root, &intermediate.issue(&[CART]).with(&intermediate));
        let edge = identity(&root, &root.issue(&[EDGE, "a.dns.name"]));
        for (offer, chosen, serves) in [
            (AlpnOffer::Http2, Some(true), Serves::Http),
            (AlpnOffer::Http1, Some(false), Serves::Http),
            (AlpnOffer::Any, Some(true), Serves::Http),
            (AlpnOffer::None, None, Serves::Http),
            (AlpnOffer::None, None, Serves::Bytes),
            (AlpnOffer::Tunnel, Some(true), Serves::Http2),
        ] {
            // A tunnel offers nothing of Istio's, and its listener takes every handshake for its own.
            let (address, arrived) = listen(cart.clone(), serves, serves == Serves::Http2).await;
            let stream = TcpStream::connect(address).await.expect("connected");
            let name = "outbound_.80_._.cart.shop.svc.cluster.local";
            let connected = edge.connect(stream, "mesh.test/ns/shop/sa/cart", name, offer).await;
            let (mut transport, alpn) = connected.unwrap_or_else(|error| panic!("{offer:?}: {error:?}"));
            assert!(echoes(&mut transport).await.expect("an echo"));
            assert_eq!(alpn, if chosen == Some(true) { Alpn::Http2 } else { Alpn::Http1 });
            let (peer, sni, http2) = peer(arrived.await.expect("no panic"));
            assert_eq!((peer.uris, http2), (vec![EDGE.to_owned()], chosen), "{offer:?}");
            assert_eq!(sni.as_deref(), Some(name));
        }
    });
}

#[test]
fn without_a_server_name_none_is_sent() {
    on_one_thread(async {
        let root = Authority::new("root");
        let (address, arrived) = listen(identity(&root, &root.issue(&[CART])), Serves::Http2, true).await;
        let stream = TcpStream::connect(address).await.expect("connected");
        let edge = identity(&root, &root.issue(&[EDGE]));
        let connected = edge.connect(stream, "mesh.test/ns/shop/sa/cart", "", AlpnOffer::Tunnel).await;
        assert!(echoes(&mut connected.expect("connected").0).await.expect("an echo"));
        assert_eq!(peer(arrived.await.expect("no panic")).1, None);
    });
}

/// Certificates that nobody may take, with what is said of each by a gateway that meets it.
fn bad_certificates(
    root: &Authority,
    other: &Authority,
    wrong_usage: Usage,
) -> Vec<(&'static str, Issued, &'static str)> {
    let names: &[&str] = &[CART];
    let with = |names, validity, usage| root.issue_as(&Request { validity, usage, ..Request::names(names) });
    vec![
        ("expired", with(names, Validity::Expired, Usage::Both), "has expired"),
        ("not yet valid", with(names, Validity::NotYet, Usage::Both), "is not valid yet"),
        ("wrong usage", with(names, Validity::Current, wrong_usage), "extended key usage"),
        ("two URIs", root.issue(&[CART, EDGE]), "2 URIs"),
        ("the same URI twice", root.issue(&[CART, CART]), "2 URIs"),
        ("a URI and another scheme's", root.issue(&[CART, "https://mesh.test/x"]), "2 URIs"),
        ("no URI", root.issue(&["cart.shop"]), "holds no URI"),
        ("no name at all", root.issue(&[]), "holds no URI"),
        ("no SPIFFE URI", root.issue(&["https://mesh.test/ns/shop/sa/cart"]), "no SPIFFE identity"),
        ("wrong trust domain", root.issue(&["spiffe://other.test/ns/shop/sa/cart"]), "other.test"),
        ("another authority", other.issue(names), "not signed by a trusted authority"),
        // A certificate of an authority is none of a workload, and it is nobody's here besides.
        ("self-signed", self_signed(&Request::names(names)), ""),
    ]
}

#[test]
fn a_server_is_refused_unless_it_is_exactly_the_expected_one() {
    on_one_thread(async {
        let (root, other) = (Authority::new("root"), Authority::new("other"));
        let edge = identity(&root, &root.issue(&[EDGE]));
        let mut cases = bad_certificates(&root, &other, Usage::ClientOnly);
        cases.push(("somebody else", root.issue(&["spiffe://mesh.test/ns/shop/sa/other"]), "is expected there"));
        cases.push(("a longer name", root.issue(&["spiffe://mesh.test/ns/shop/sa/cart2"]), "is expected there"));
        for (what, issued, said) in cases {
            let address = bad_server(&issued).await;
            let stream = TcpStream::connect(address).await.expect("connected");
            let outcome = edge.connect(stream, "mesh.test/ns/shop/sa/cart", "", AlpnOffer::None).await;
            let error = outcome.err().unwrap_or_else(|| panic!("{what} was taken"));
            assert!(error.message.contains(said), "{what}: {}", error.message);
            let identity_is_wrong = error.kind == TlsErrorKind::Identity;
            assert!(identity_is_wrong || error.kind == TlsErrorKind::Certificate, "{what}: {error:?}");
        }
    });
}

#[test]
fn a_client_is_refused_unless_it_is_of_the_mesh() {
    on_one_thread(async {
        let (root, other) = (Authority::new("root"), Authority::new("other"));
        for (what, issued, said) in bad_certificates(&root, &other, Usage::ServerOnly) {
            let (address, arrived) = listen(identity(&root, &root.issue(&[CART])), Serves::Bytes, true).await;
            // In TLS 1.3 a client hears of its refusal after its own handshake.
            let outcome = bad_client(address, Some(&issued)).await;
            let error = arrived.await.expect("no panic").err().unwrap_or_else(|| panic!("{what} was taken"));
            assert!(error.message.contains(said), "{what}: {}", error.message);
            assert!(outcome.is_err(), "{what} heard an answer");
        }
        let (address, arrived) = listen(identity(&root, &root.issue(&[CART])), Serves::Bytes, true).await;
        assert!(bad_client(address, None).await.is_err());
        let error = arrived.await.expect("no panic").expect_err("a client without certificate is refused");
        assert_eq!(error.kind, TlsErrorKind::Certificate, "{error:?}");
    });
}

#[test]
fn the_first_bytes_tell_whose_connection_it_is() {
    on_one_thread(async {
        let root = Authority::new("root");
        let cart = identity(&root, &root.issue(&[CART]));
        let (address, arrived) = listen(cart.clone(), Serves::Http, false).await;
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("written");
        match arrived.await.expect("no panic") {
            Ok(Arrival::Plain { unread, .. }) => assert_eq!(&unread[..], b"GET / HTTP/1.1\r\n"),
            _ => panic!("this is plaintext"),
        }
        // TLS of others, which offers nothing of the mesh's, is left as it is.
        let (address, arrived) = listen(cart.clone(), Serves::Http, false).await;
        let foreign = tokio::task::spawn_local(async move { bad_client(address, None).await.is_err() });
        match arrived.await.expect("no panic") {
            Ok(Arrival::Foreign { unread, sni, .. }) => {
                assert_eq!((unread[0], sni.as_deref()), (22, Some("whoever.test")));
            }
            _ => panic!("this is somebody else's TLS"),
        }
        assert!(foreign.await.expect("no panic"));
    });
}

#[test]
fn without_an_identity_nothing_is_proved_nor_taken() {
    on_one_thread(async {
        let root = Authority::new("root");
        let edge = identity(&root, &root.issue(&[EDGE]));
        let (address, arrived) = listen(Arc::default(), Serves::Bytes, true).await;
        let stream = TcpStream::connect(address).await.expect("connected");
        assert!(edge.connect(stream, "mesh.test/ns/shop/sa/cart", "", AlpnOffer::None).await.is_err());
        let error = arrived.await.expect("no panic").expect_err("there is no identity");
        assert_eq!(error.kind, TlsErrorKind::NoIdentity);
        let (address, _arrived) = listen(edge, Serves::Bytes, true).await;
        let stream = TcpStream::connect(address).await.expect("connected");
        let nobody = MeshIdentity::default();
        let error = nobody.connect(stream, "mesh.test/ns/edge/sa/gateway", "", AlpnOffer::None).await;
        assert_eq!(error.expect_err("there is no identity").kind, TlsErrorKind::NoIdentity);
    });
}

#[test]
fn an_identity_is_swapped_for_new_handshakes_and_open_connections_stay() {
    on_one_thread(async {
        let (root, next) = (Authority::new("root"), Authority::new("next"));
        let cart = identity(&root, &root.issue(&[CART]));
        let edge = identity(&root, &root.issue(&[EDGE]));
        let (address, arrived) = listen(cart.clone(), Serves::Bytes, true).await;
        let stream = TcpStream::connect(address).await.expect("connected");
        let connected = edge.connect(stream, "mesh.test/ns/shop/sa/cart", "", AlpnOffer::None).await;
        let mut open = connected.expect("connected").0;
        // Both move to another root while the connection is open.
        for (identity, uri) in [(&cart, CART), (&edge, EDGE)] {
            let issued = next.issue(&[uri]);
            identity.set(&issued.chain, &issued.key, &next.pem(), "mesh.test").expect("an identity");
        }
        assert!(echoes(&mut open).await.expect("the open connection stays"));
        assert_eq!(peer(arrived.await.expect("no panic")).0.uris, [EDGE]);
        let (address, arrived) = listen(cart, Serves::Bytes, true).await;
        let stream = TcpStream::connect(address).await.expect("connected");
        let connected = edge.connect(stream, "mesh.test/ns/shop/sa/cart", "", AlpnOffer::None).await;
        assert!(echoes(&mut connected.expect("the new root is trusted").0).await.expect("an echo"));
        assert!(arrived.await.expect("no panic").is_ok());
    });
}

#[test]
fn credentials_that_cannot_be_used_are_refused_and_those_before_stay() {
    let root = Authority::new("root");
    let good = root.issue(&[CART]);
    let identity = MeshIdentity::default();
    identity.set(&good.chain, &good.key, &root.pem(), "mesh.test").expect("an identity");
    let (two, none, other) = (root.issue(&[CART, EDGE]), root.issue(&["cart.shop"]), root.issue(&[EDGE]));
    for (chain, key, bundle, domain, said) in [
        (&two.chain, &two.key, root.pem(), "mesh.test", "2 URIs"),
        (&none.chain, &none.key, root.pem(), "mesh.test", "holds no URI"),
        (&good.chain, &other.key, root.pem(), "mesh.test", "does not belong to the certificate"),
        (&good.chain, &good.key, String::new(), "mesh.test", "the trust bundle"),
        (&good.chain, &good.key, root.pem(), "other.test", "not in the trust domain other.test"),
        (&good.chain, &good.key, root.pem(), "", "the trust domain is empty"),
    ] {
        let error = identity.set(chain, key, &bundle, domain).expect_err(said);
        assert!(error.contains(said), "{error}");
    }
    let current = identity.current().expect("the first one");
    assert_eq!(current.uri(), CART);
    assert!(!format!("{identity:?}").contains("PRIVATE"));
}

/// A server with any certificate, that asks its client for none.
async fn bad_server(issued: &Issued) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server");
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        // It fails, as it should.
        let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    address
}

/// A client with any certificate, that takes every server; true when it heard its bytes again.
async fn bad_client(address: SocketAddr, issued: Option<&Issued>) -> std::io::Result<bool> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAll));
    let config = match issued {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(chain, key).expect("a client")
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("whoever.test").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    echoes(&mut Transport::Client(Box::new(stream))).await
}

#[derive(Debug)]
struct TakesAll;

impl ServerCertVerifier for TakesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
