//! What finding a route costs as the table grows: `cargo run --release -p sekisho-router --example route_cost`.
//!
//! Two shapes: many hosts with ten routes each, and one host with all the paths. Prints nanoseconds for each
//! decision, the best of several rounds, and how long the router took to build.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use sekisho_codec::message::Headers;
use sekisho_router::{Decision, RequestView, Router};
use sekisho_table::{NoChecks, Table, TableStore};
use serde_json::{Value, json};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 8080;
const ROUTES: [usize; 3] = [1, 500, 5_000];
const ROUNDS: usize = 7;
const FINDS: usize = 200_000;

struct Shape {
    name: &'static str,
    host: fn(usize) -> String,
    path: fn(usize) -> String,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "ten routes a host",
        host: |index| format!("host-{}.example.com", index / 10),
        path: |index| format!("/service-{}/api", index % 10),
    },
    Shape {
        name: "one host, all paths",
        host: |_| "www.example.com".to_owned(),
        path: |index| format!("/service-{index}/api"),
    },
];

fn main() {
    println!(
        "{:<22} {:>7} {:>10} {:>10} {:>10} {:>10}",
        "shape", "routes", "hit ns", "miss ns", "apply ms", "build ms"
    );
    for shape in &SHAPES {
        for count in ROUTES {
            measure(shape, count);
        }
    }
}

fn measure(shape: &Shape, count: usize) {
    let update = snapshot(shape, count);
    let started = Instant::now();
    let table = apply(&update);
    let applied = started.elapsed();
    let started = Instant::now();
    let router = Router::build(&table);
    let built = started.elapsed();
    let hits: Vec<_> =
        (0..count).map(|index| ((shape.host)(index), format!("{}/item/7", (shape.path)(index)))).collect();
    let misses: Vec<_> = hits.iter().map(|(host, path)| (host.clone(), format!("/absent{path}"))).collect();
    let hit = nanoseconds(&router, &hits, true);
    let miss = nanoseconds(&router, &misses, false);
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "{:<22} {count:>7} {hit:>10.1} {miss:>10.1} {:>10.2} {:>10.2}",
        shape.name,
        milliseconds(applied),
        milliseconds(built)
    );
}

/// The best of several rounds: the others measure the machine's neighbours.
fn nanoseconds(router: &Router, requests: &[(String, String)], found: bool) -> f64 {
    let headers = Headers::default();
    let socket = router.socket(ADDRESS, PORT).expect("the socket of the table");
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        // A step that is coprime with the counts, so that neighbours in the table are not neighbours in time.
        for (host, path) in (0..FINDS).map(|turn| &requests[turn * 7919 % requests.len()]) {
            let view = RequestView { tls: false, sni: None, method: "GET", host, path, query: "", headers: &headers };
            let decision = black_box(router.find(socket, black_box(&view)));
            assert_eq!(matches!(decision, Decision::Matched { .. }), found);
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e9 / FINDS as f64);
    }
    best
}

fn apply(update: &str) -> Table {
    let mut store = TableStore::default();
    let outcome = store.apply(update.as_bytes(), &NoChecks);
    assert!(outcome.applied.error.is_empty() && outcome.applied.rejected.is_empty());
    store.table().clone()
}

fn snapshot(shape: &Shape, count: usize) -> String {
    let routes: Vec<Value> = (0..count).map(|index| route(shape, index)).collect();
    json!({
        "type": "snapshot", "format": 1, "version": "1",
        "resources": {
            "backends": [{"key": "Service/default/app/80"}],
            "gateways": [{"key": "default/edge"}],
            "listeners": [{"key": "default/edge/http", "gateway": "default/edge", "address": ADDRESS, "port": PORT,
                           "bind_port": PORT, "protocol": "HTTP"}],
            "routes": routes,
        },
    })
    .to_string()
}

fn route(shape: &Shape, index: usize) -> Value {
    json!({
        "key": format!("HTTPRoute/default/route-{index}/0"), "kind": "HTTPRoute",
        "object": format!("default/route-{index}"), "rule": 0,
        "attachments": [{"listener": "default/edge/http", "hostnames": [(shape.host)(index)]}],
        "matches": [{"path": {"type": "PathPrefix", "value": (shape.path)(index)}}],
        "backends": [{"backend": "Service/default/app/80"}],
    })
}
