//! What a change of one route costs as the table grows: `cargo run --release -p sekisho-proxy --example change_cost`.
//!
//! An engine with one worker; each route has a host, a backend and endpoints of its own. Prints milliseconds
//! from the update to the answer that every worker has taken it over, the best and the middle of many.

use std::time::Instant;

use sekisho_proxy::{Engine, EngineOptions};
use serde_json::{Value, json};

const ROUTES: [usize; 4] = [10, 500, 5_000, 20_000];
const CHANGES: usize = 200;

fn main() {
    println!("{:>7} {:>14} {:>14} {:>14} {:>14}", "routes", "snapshot ms", "route best", "route median", "endpoints");
    for count in ROUTES {
        measure(count);
    }
}

fn measure(count: usize) {
    let options = EngineOptions { workers: 1, access_log: "none".to_owned(), ..EngineOptions::default() };
    let engine = Engine::start(&options).expect("an engine");
    let snapshot = json!({"type": "snapshot", "format": 1, "version": "0", "resources": resources(count)}).to_string();
    let started = Instant::now();
    apply(&engine, &snapshot);
    let loaded = started.elapsed().as_secs_f64() * 1e3;
    let mut version = 0;
    let mut timed = |upsert: &dyn Fn(usize) -> Value| -> Vec<f64> {
        let changes = (0..CHANGES).map(|change| {
            let update = json!({"type": "delta", "format": 1, "base": version.to_string(),
                                "version": (version + 1).to_string(), "upsert": upsert(change)});
            version += 1;
            update.to_string()
        });
        let changes: Vec<String> = changes.collect();
        let mut taken: Vec<f64> = changes
            .iter()
            .map(|update| {
                let started = Instant::now();
                apply(&engine, update);
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        taken.sort_by(f64::total_cmp);
        taken
    };
    let routes = timed(&|change| json!({"routes": [route(change % count, &format!("/{change}"))]}));
    let endpoints = timed(&|change| json!({"endpoints": [endpoints(change % count, 9_000 + change)]}));
    let middle = CHANGES / 2;
    println!("{count:>7} {loaded:>14.2} {:>14.3} {:>14.3} {:>14.3}", routes[0], routes[middle], endpoints[middle]);
    engine.close();
}

fn apply(engine: &Engine, update: &str) {
    let answer: Value = serde_json::from_slice(&engine.apply(update.as_bytes())).expect("an answer");
    assert!(
        answer["rejected"].as_array().is_none_or(Vec::is_empty) && answer["error"].as_str().is_none_or(str::is_empty),
        "{answer}"
    );
}

fn resources(count: usize) -> Value {
    let indexes = 0..count;
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    json!({
        "endpoints": indexes.clone().map(|index| endpoints(index, 8_080)).collect::<Vec<_>>(),
        "backends": indexes.clone().map(backend).collect::<Vec<_>>(),
        "gateways": [{"key": "bench/edge"}],
        "routes": indexes.map(|index| route(index, "/")).collect::<Vec<_>>(),
        "listeners": [{"key": "bench/edge/http", "gateway": "bench/edge", "address": "127.0.0.1", "port": 80,
                       "bind_port": free.port(), "protocol": "HTTP"}],
    })
}

fn backend(index: usize) -> Value {
    json!({"key": format!("Service/space/service-{index}/80"),
           "destination": {"service": format!("service-{index}.space.svc.cluster.local"),
                           "service_name": format!("service-{index}"), "service_namespace": "space"}})
}

fn endpoints(index: usize, port: usize) -> Value {
    json!({"key": format!("Service/space/service-{index}/80"), "endpoints": [{"address": "10.0.0.1", "port": port}]})
}

fn route(index: usize, path: &str) -> Value {
    json!({
        "key": format!("HTTPRoute/space/route-{index}/0"), "kind": "HTTPRoute",
        "object": format!("space/route-{index}"), "rule": 0,
        "attachments": [{"listener": "bench/edge/http", "hostnames": [format!("host-{index}.bench.example")]}],
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": [{"type": "RequestHeaderModifier", "set": [{"name": "x-bench", "value": "start"}]}],
        "backends": [{"backend": format!("Service/space/service-{index}/80")}],
    })
}
