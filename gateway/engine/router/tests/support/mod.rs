//! Tables and requests in a few words.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod vocabulary;

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HeaderName, HeaderValue};
use sekisho_codec::message::Headers;
use sekisho_router::{Decision, RequestView, Router, SocketId};
use sekisho_table::{NoChecks, Table, TableStore, Touched};
use serde_json::{Value, json};

pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const HTTP_PORT: u16 = 8080;
pub const HTTPS_PORT: u16 = 8443;
pub const TLS_PORT: u16 = 9443;

pub fn listener(name: &str, protocol: &str, hostname: &str) -> Value {
    let (port, certificates) = match protocol {
        "HTTP" => (HTTP_PORT, json!([])),
        "HTTPS" => (HTTPS_PORT, json!(["c"])),
        _ => (TLS_PORT, json!(["c"])),
    };
    json!({
        "key": name, "gateway": "g", "address": ADDRESS, "port": port, "bind_port": port,
        "protocol": protocol, "hostname": hostname, "certificates": certificates,
    })
}

/// A route of the kind that its key begins with, attached to one listener.
pub fn route(key: &str, listener: &str, hostnames: &[&str], matches: Value) -> Value {
    let parts: Vec<&str> = key.split('/').collect();
    json!({
        "key": key, "kind": parts[0], "object": format!("{}/{}", parts[1], parts[2]),
        "rule": parts[3].parse::<u32>().expect("a rule"),
        "attachments": [{"listener": listener, "hostnames": hostnames}],
        "matches": matches,
    })
}

pub fn table(listeners: Vec<Value>, routes: Vec<Value>) -> Table {
    let snapshot = json!({
        "type": "snapshot", "format": 1, "version": "1",
        "resources": {
            "certificates": [{"key": "c", "chain": "chain", "private_key": "key"}],
            "gateways": [{"key": "g"}],
            "listeners": listeners,
            "routes": routes,
        },
    });
    let mut store = TableStore::default();
    let outcome = store.apply(snapshot.to_string().as_bytes(), &NoChecks);
    assert_eq!((outcome.applied.error.as_str(), outcome.applied.rejected), ("", vec![]));
    store.table().clone()
}

/// One HTTP listener for every host, called `l`.
pub fn router(routes: Vec<Value>) -> Router {
    Router::build(&table(vec![listener("l", "HTTP", "")], routes))
}

/// The router of a table that may have nothing in common with the one before it.
pub fn rebuilt(router: &Router, table: &Table) -> Router {
    let mut touched = Touched::everything(table);
    touched.routes.extend(router.routes().map(|(_, route)| route.key.clone()));
    touched.listeners.extend(router.listeners().iter().map(|listener| listener.key.clone()));
    router.rebuild(table, &touched)
}

pub fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

pub struct Request {
    pub sni: Option<String>,
    pub tls: bool,
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: String,
    pub headers: Headers,
}

impl Request {
    pub fn get(host: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            sni: None,
            tls: false,
            method: "GET".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers::default(),
        }
    }

    pub fn grpc(host: &str, path: &str) -> Self {
        Self::get(host, path).method("POST").headers(&[("content-type", "application/grpc")])
    }

    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    pub fn headers(self, pairs: &[(&str, &str)]) -> Self {
        Self { headers: headers(pairs), ..self }
    }

    pub fn tls(self, sni: Option<&str>) -> Self {
        Self { tls: true, sni: sni.map(str::to_owned), ..self }
    }

    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            tls: self.tls,
            sni: self.sni.as_deref(),
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }

    pub fn socket(&self, router: &Router) -> SocketId {
        let port = if self.tls { HTTPS_PORT } else { HTTP_PORT };
        router.socket(ADDRESS, port).expect("a socket")
    }
}

/// What becomes of a request: `route#match`, `404` or `421`. Checks on the way that explaining agrees.
pub fn decide(router: &Router, request: &Request) -> String {
    let socket = request.socket(router);
    let decision = router.find(socket, &request.view());
    let explanation = router.explain(socket, &request.view());
    let (text, kind) = match decision {
        Decision::Matched { route, rule_match, .. } => (format!("{}#{rule_match}", router.route(route).key), "route"),
        Decision::NoRoute { .. } => ("404".to_owned(), "not_found"),
        Decision::Misdirected { .. } => ("421".to_owned(), "misdirected"),
    };
    assert_eq!(explanation.decision, kind);
    let listener = match decision {
        Decision::Matched { listener, .. } | Decision::Misdirected { listener } => Some(listener),
        Decision::NoRoute { listener } => listener,
    };
    assert_eq!(explanation.listener, listener.map(|id| router.listener(id).key.clone()));
    let matched: Vec<_> = explanation.candidates.iter().filter(|it| it.matched).collect();
    match decision {
        Decision::Matched { .. } => {
            assert_eq!(matched.len(), 1, "one candidate wins");
            let winner = explanation.candidates.last().expect("a winner");
            assert_eq!(format!("{}#{}", winner.route, winner.rule_match), text);
            assert_eq!(
                (explanation.route.as_ref(), explanation.rule_match),
                (Some(&winner.route), Some(winner.rule_match))
            );
        }
        Decision::NoRoute { .. } | Decision::Misdirected { .. } => assert!(matched.is_empty()),
    }
    text
}

/// The name of the route in a decision, or its status.
pub fn name_of(decided: &str) -> String {
    decided.split('/').nth(2).unwrap_or(decided).to_owned()
}
