//! Ways out that take the mesh's mutual TLS: who asks, what is demanded, and what proves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_tls::{AlpnOffer, MeshIdentity, TlsError, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::{Authority, on_one_thread};
use crate::support::{Backend, Client, Gateway, PATIENCE, Setup, free_address, until};

const GATEWAY: &str = "mesh.test/ns/infra/sa/out";
const CART: &str = "spiffe://mesh.test/ns/shop/sa/cart";
const WEB: &str = "spiffe://mesh.test/ns/shop/sa/web";

/// A forward proxy in front of an echo on loopback, which `shop/cart` may reach.
struct WayOut {
    gateway: Gateway,
    address: SocketAddr,
    root: Authority,
    target: SocketAddr,
}

impl WayOut {
    fn start(mode: &str, sources: &Value) -> Self {
        let root = Authority::new("root");
        let backend = Backend::start(|mut peer, _| {
            while let Some(line) = peer.read_past("\n") {
                peer.send(line.as_bytes());
            }
        });
        let gateway = Gateway::start(&Setup::with(&[]));
        let own = root.issue(&[&format!("spiffe://{GATEWAY}")]);
        gateway.engine.set_identity(&own.chain, &own.key, &root.pem(), "mesh.test").expect("an identity");
        let address = free_address();
        let (here, port) = ("127.0.0.1/32", backend.address.port());
        let applied = gateway.apply(&json!({
            "gateways": [{"key": "infra/out"}],
            "listeners": [{
                "key": "infra/out/proxy", "gateway": "infra/out", "address": address.ip().to_string(),
                "port": 3128, "bind_port": address.port(), "protocol": "HTTP",
                "egress": {"way": "Proxy", "policies": ["infra/who"]}, "mesh": {"mode": mode},
            }],
            "egress_policies": [{"key": "infra/who", "rules": [{
                "name": "cart", "sources": sources, "address_blocks": [here],
                "destinations": [{"ip_blocks": [here], "ports": [port], "protocols": ["TCP"]}],
            }]}],
        }));
        assert_eq!(applied["rejected"], json!([]), "{applied}");
        assert_eq!(applied["listeners"][0]["bound"], true, "{applied}");
        Self { gateway, address, root, target: backend.address }
    }

    fn of_cart(mode: &str) -> Self {
        Self::start(mode, &json!([{"service_accounts": ["shop/cart"]}]))
    }

    fn request(&self) -> String {
        format!("CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n\r\n", self.target)
    }

    /// As a sidecar does it, with a certificate of this authority.
    async fn connect(&self, authority: &Authority, uri: &str, offer: AlpnOffer) -> Result<Transport, TlsError> {
        let (identity, issued) = (MeshIdentity::default(), authority.issue(&[uri]));
        let domain = uri.trim_start_matches("spiffe://").split('/').next().expect("a trust domain");
        identity.set(&issued.chain, &issued.key, &self.root.pem(), domain).expect("an identity");
        let stream = TcpStream::connect(self.address).await.expect("connected");
        Ok(identity.connect(stream, GATEWAY, "", offer).await?.0)
    }

    /// What is answered to a CONNECT, and to a line behind it in the same packet; empty where the connection just ends.
    async fn answer(&self, authority: &Authority, uri: &str) -> String {
        let Ok(mut transport) = self.connect(authority, uri, AlpnOffer::None).await else { return String::new() };
        let said = format!("{}behind it\n", self.request());
        if transport.write_all(said.as_bytes()).await.is_err() || transport.flush().await.is_err() {
            return String::new();
        }
        let mut answer = Vec::new();
        let read = async {
            while !answer.ends_with(b"behind it\n") && transport.read_buf(&mut answer).await.is_ok_and(|read| read > 0)
            {
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
        String::from_utf8(answer).expect("text")
    }

    /// The first decision with this reason.
    fn decision(&self, reason: &str) -> Value {
        let found = || {
            let lines = self.gateway.lines();
            lines.into_iter().find(|line| line["record"] == "egress_decision" && line["reason"] == reason)
        };
        until(|| found().is_some());
        found().expect("a decision")
    }
}

#[test]
fn whoever_a_sidecar_proves_to_be_asks_and_nothing_that_it_sent_is_lost() {
    let way_out = WayOut::of_cart("STRICT");
    on_one_thread(async {
        let answer = way_out.answer(&way_out.root, CART).await;
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nbehind it\n");
        assert!(way_out.answer(&way_out.root, WEB).await.starts_with("HTTP/1.1 403 "));
    });
    let allowed = way_out.decision("via_upstream");
    assert_eq!((&allowed["identity"], &allowed["proved_by"]), (&json!(CART), &json!("mesh")));
    assert_eq!((&allowed["policy"], &allowed["rule"]), (&json!("infra/who"), &json!("cart")));
    let denied = way_out.decision("egress_denied");
    assert_eq!((&denied["identity"], &denied["proved_by"]), (&json!(WEB), &json!("mesh")));
}

#[test]
fn certificates_of_others_are_turned_away_and_recorded() {
    let way_out = WayOut::of_cart("PERMISSIVE");
    on_one_thread(async {
        assert_eq!(way_out.answer(&Authority::new("root"), CART).await, "", "another authority of the same name");
        assert_eq!(way_out.answer(&way_out.root, "spiffe://other.test/ns/shop/sa/cart").await, "");
    });
    let turned_away = || {
        let lines = way_out.gateway.lines();
        let denied = lines.iter().filter(|line| line["record"] == "egress_decision" && line["decision"] == "deny");
        denied.filter(|line| line["reason"] == "mutual_tls_failed" && line["identity"].is_null()).count()
    };
    until(|| turned_away() == 2);
}

#[test]
fn strict_takes_neither_plaintext_nor_tls_without_a_certificate() {
    let way_out = WayOut::start("STRICT", &json!([]));
    let mut client = Client::connect(way_out.address);
    client.send(way_out.request().as_bytes());
    assert_eq!(client.read_head(), None);
    let denied = way_out.decision("mutual_tls_required");
    assert_eq!((&denied["decision"], &denied["identity"]), (&json!("deny"), &Value::Null));
    assert_eq!((&denied["way"], &denied["proved_by"]), (&json!("Proxy"), &json!("address")));
}

#[test]
fn permissive_takes_plaintext_as_nobody_and_no_tls_but_the_mesh_s() {
    let way_out = WayOut::start("PERMISSIVE", &json!([{"ip_blocks": ["127.0.0.1/32"]}]));
    let mut client = Client::connect(way_out.address);
    client.send(format!("{}behind it\n", way_out.request()).as_bytes());
    assert!(client.read_head().expect("a head").starts_with("http/1.1 200"));
    assert_eq!(client.read_past("\n").as_deref(), Some("behind it\n"));
    let allowed = way_out.decision("via_upstream");
    assert_eq!((&allowed["identity"], &allowed["proved_by"]), (&Value::Null, &json!("address")));
    on_one_thread(async {
        // As a tunnel's client offers it: nothing of Istio's, so it is taken for somebody else's TLS.
        assert!(way_out.connect(&way_out.root, CART, AlpnOffer::Tunnel).await.is_err());
    });
    assert_eq!(way_out.decision("mutual_tls_required")["decision"], "deny");
}

#[test]
fn who_only_looks_in_is_not_recorded() {
    let way_out = WayOut::of_cart("STRICT");
    drop(Client::connect(way_out.address));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(way_out.gateway.lines(), Vec::<Value>::new());
}
