//! A small vocabulary of tables and requests, so that routes collide.

use fastrand::Rng;
use sekisho_table::Table;
use serde_json::{Value, json};

use super::{Request, listener, route, table};

pub const HOSTS: &[&str] = &["a.com", "b.a.com", "c.b.a.com", "x.org", "com", ""];
const HOSTNAMES: &[&str] = &["*", "*", "*.com", "*.a.com", "*.b.a.com", "a.com", "b.a.com", "c.b.a.com", "x.org"];
const LISTENER_HOSTNAMES: &[&str] = &["", "*.a.com", "b.a.com", "*.org"];
const PATHS: &[&str] = &["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/s.S/M", "/s.S/N", "/s.T/M"];
const PATTERNS: &[&str] = &["/a.*", "/[ab]+", "/a/b|/ab", ".*/"];
const METHODS: &[&str] = &["GET", "POST"];
const NAMES: &[&str] = &["x-one", "x-two"];
const VALUES: &[&str] = &["1", "2", "1,2"];
const VALUE_PATTERNS: &[&str] = &["[12]", "1|1,2", "."];
const QUERY_NAMES: &[&str] = &["q", "r s"];
const QUERIES: &[&str] = &["", "q=1", "q=2&q=1", "r%20s=1&q=2", "%71=%31", "q", "r%20s=2", "q=1&r%20s=1"];
const SERVICES: &[&str] = &["", "s.S", "s.T"];
const SERVICE_PATTERNS: &[&str] = &["", "s\\..", ".*"];
const GRPC_METHODS: &[&str] = &["", "M", "N"];

pub fn pick<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.usize(..list.len())]
}

pub fn random_table(rng: &mut Rng) -> Table {
    let (listeners, hostnames) = random_listeners(rng);
    let routes = (0..rng.usize(1..60)).map(|index| random_route(rng, index, &listeners, hostnames)).collect();
    table(listeners, routes)
}

/// Listeners, and the hostnames that their routes have.
pub fn random_listeners(rng: &mut Rng) -> (Vec<Value>, &'static [&'static str]) {
    // Every second table crowds its routes on few names, so that ties are settled down to the last criterion.
    let (own, hostnames) = if rng.bool() { (LISTENER_HOSTNAMES, HOSTNAMES) } else { (&[""][..], &["*", "a.com"][..]) };
    let mut listeners = Vec::new();
    for protocol in ["HTTP", "HTTPS"] {
        for (index, hostname) in own.iter().enumerate() {
            if index < 2 || rng.bool() {
                listeners.push(listener(&format!("{protocol}{index}"), protocol, hostname));
            }
        }
    }
    (listeners, hostnames)
}

pub fn random_route(rng: &mut Rng, index: usize, listeners: &[Value], hostnames: &[&str]) -> Value {
    let kind = if rng.u8(..4) == 0 { "GRPCRoute" } else { "HTTPRoute" };
    let matches: Vec<Value> = (0..rng.usize(1..4)).map(|_| random_match(rng, kind)).collect();
    let object = pick(rng, &["a", "b"]);
    let mut made = route(&format!("{kind}/n/{object}/{index}"), "l", &["*"], json!(matches));
    made["created"] = json!(rng.i64(0..2));
    made["rank"] = json!(rng.u8(..2));
    // Several rules of one object may have the same number here: then the key decides.
    made["rule"] = json!(rng.u8(..3));
    let attachments: Vec<Value> = (0..rng.usize(1..3))
        .map(|_| {
            let attached: Vec<&str> = (0..rng.usize(1..3)).map(|_| pick(rng, hostnames)).collect();
            json!({"listener": listeners[rng.usize(..listeners.len())]["key"], "hostnames": attached})
        })
        .collect();
    made["attachments"] = json!(attachments);
    made
}

pub fn random_match(rng: &mut Rng, kind: &str) -> Value {
    let mut made = json!({});
    if rng.u8(..4) == 0 {
        made["headers"] = json!((0..rng.usize(1..3)).map(|_| random_value_match(rng, NAMES)).collect::<Vec<_>>());
    }
    if kind == "GRPCRoute" {
        let is_pattern = rng.u8(..3) == 0;
        let service = pick(rng, if is_pattern { SERVICE_PATTERNS } else { SERVICES });
        let method = pick(rng, GRPC_METHODS);
        if !service.is_empty() || !method.is_empty() {
            let kind = if is_pattern { "RegularExpression" } else { "Exact" };
            made["grpc"] = json!({"type": kind, "service": service, "method": method});
        }
        return made;
    }
    match rng.u8(..8) {
        0 => {}
        1 | 2 => made["path"] = json!({"type": "RegularExpression", "value": pick(rng, PATTERNS)}),
        3 | 4 => made["path"] = json!({"type": "Exact", "value": pick(rng, PATHS)}),
        _ => made["path"] = json!({"type": "PathPrefix", "value": pick(rng, PATHS)}),
    }
    if rng.u8(..4) == 0 {
        made["method"] = json!(pick(rng, METHODS));
    }
    if rng.u8(..4) == 0 {
        made["query"] = json!((0..rng.usize(1..3)).map(|_| random_value_match(rng, QUERY_NAMES)).collect::<Vec<_>>());
    }
    made
}

pub fn random_value_match(rng: &mut Rng, names: &[&str]) -> Value {
    let name = pick(rng, names);
    match rng.bool() {
        true => json!({"name": name, "value": pick(rng, VALUES)}),
        false => json!({"name": name, "type": "RegularExpression", "value": pick(rng, VALUE_PATTERNS)}),
    }
}

pub fn random_request(rng: &mut Rng) -> Request {
    let mut headers: Vec<_> = (0..rng.usize(..4)).map(|_| (pick(rng, NAMES), pick(rng, &["1", "2"]))).collect();
    match rng.u8(..4) {
        0 => headers.push(("content-type", "application/grpc+proto")),
        1 => headers.push(("content-type", "application/grpc-web")),
        _ => {}
    }
    let target = format!("{}?{}", pick(rng, PATHS), pick(rng, QUERIES));
    let request = Request::get(pick(rng, HOSTS), &target).method(pick(rng, METHODS)).headers(&headers);
    match rng.u8(..12) {
        0 => request.tls(None),
        1 => request.tls(Some(pick(rng, HOSTS))),
        2..5 => {
            let host = request.host.clone();
            request.tls(Some(&host))
        }
        _ => request,
    }
}
