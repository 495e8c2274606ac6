//! A router that follows changes is the router that is built from the table that they lead to.
//!
//! Random sequences of deltas: after each, decisions, explanations and carriers of connections are compared with those of
//! a router that was built from scratch, and an older version is asked again what it said before.

mod support;

use fastrand::Rng;
use sekisho_router::Router;
use sekisho_table::{NoChecks, TableStore};
use serde_json::{Value, json};
use support::vocabulary::{HOSTS, pick, random_listeners, random_request, random_route};
use support::{ADDRESS, Request, TLS_PORT, decide, listener, route};

const SEQUENCES: u64 = 20;
const CHANGES: usize = 30;
const REQUESTS: usize = 12;
const KEYS: usize = 40;

#[test]
fn any_sequence_of_deltas_leads_to_the_router_of_the_table() {
    let mut taken = 0;
    for seed in 0..SEQUENCES {
        let mut rng = Rng::with_seed(seed);
        let (mut listeners, hostnames) = random_listeners(&mut rng);
        listeners.extend(["", "*.a.com", "b.a.com"].map(|host| listener(&format!("TLS{host}"), "TLS", host)));
        let mut store = TableStore::default();
        let ground = json!({"certificates": [{"key": "c", "chain": "chain", "private_key": "key"}],
                            "gateways": [{"key": "g"}], "listeners": listeners});
        let snapshot = json!({"type": "snapshot", "format": 1, "version": "0", "resources": ground});
        let outcome = store.apply(snapshot.to_string().as_bytes(), &NoChecks);
        let mut router = Router::default().rebuild(store.table(), &outcome.touched);
        for change in 0..CHANGES {
            let delta = random_delta(&mut rng, change, &listeners, hostnames);
            let outcome = store.apply(delta.to_string().as_bytes(), &NoChecks);
            assert_eq!((outcome.applied.error.as_str(), outcome.applied.rejected), ("", vec![]), "{delta}");
            let before = router.clone();
            let asked: Vec<Request> = (0..REQUESTS).map(|_| random_request(&mut rng)).collect();
            let said: Vec<String> = asked.iter().map(|request| told(&before, request)).collect();
            router = router.rebuild(store.table(), &outcome.touched);
            let scratch = Router::build(store.table());
            for (request, said) in asked.iter().zip(said) {
                let place = format!("seed {seed}, change {change}: {:?}", request.view());
                assert_eq!(told(&router, request), told(&scratch, request), "{place}");
                assert_eq!(told(&before, request), said, "an older version changed, {place}");
                taken += usize::from(said.contains('#'));
            }
            assert_eq!(carriers(&router), carriers(&scratch), "seed {seed}, change {change}");
        }
    }
    let all = SEQUENCES as usize * CHANGES * REQUESTS;
    assert!((all / 8..all * 7 / 8).contains(&taken), "the vocabulary is off: {taken} of {all} requests found a route");
}

/// The decision and its explanation, or that there is no socket.
fn told(router: &Router, request: &Request) -> String {
    if router.socket(ADDRESS, if request.tls { support::HTTPS_PORT } else { support::HTTP_PORT }).is_none() {
        return "no socket".to_owned();
    }
    let explanation = router.explain(request.socket(router), &request.view());
    format!("{} {}", decide(router, request), serde_json::to_string(&explanation).expect("JSON"))
}

/// For each listener and server name, the rule that carries the connection.
fn carriers(router: &Router) -> Vec<(String, String, Option<String>)> {
    let listeners = router.listeners().iter().enumerate().filter(|(_, it)| it.bind_port == TLS_PORT);
    let asked = listeners.flat_map(|(position, it)| HOSTS.iter().map(move |host| (position, it, *host)));
    asked
        .map(|(position, listener, host)| {
            let found = router.carrier(sekisho_router::ListenerId(position as u32), host);
            (listener.key.clone(), host.to_owned(), found.map(|id| router.route(id).key.clone()))
        })
        .collect()
}

fn random_delta(rng: &mut Rng, change: usize, listeners: &[Value], hostnames: &[&str]) -> Value {
    let mut routes: Vec<Value> = Vec::new();
    for _ in 0..rng.usize(..if change == 0 { 30 } else { 4 }) {
        let index = rng.usize(..KEYS);
        if rng.u8(..5) > 0 {
            routes.push(random_route(rng, index, listeners, hostnames));
        } else {
            let host = pick(rng, HOSTS.split_last().expect("hosts").1);
            let listener = format!("TLS{}", pick(rng, &["", "*.a.com", "b.a.com"]));
            let mut made = route(&format!("TLSRoute/n/t/{index}"), &listener, &[host], json!([]));
            made["created"] = json!(rng.i64(0..2));
            routes.push(made);
        }
    }
    let mut seen = std::collections::HashSet::new();
    routes.retain(|route| seen.insert(route["key"].to_string()));
    let removed: Vec<String> = (0..rng.usize(..3)).flat_map(|_| keys_of(rng.usize(..KEYS))).collect();
    let mut remove = json!({"routes": removed});
    let mut upsert = json!({"routes": routes});
    // Listeners come and go under their routes.
    match rng.u8(..6) {
        0 => remove["listeners"] = json!([listeners[rng.usize(..listeners.len())]["key"]]),
        1 => upsert["listeners"] = json!([listeners[rng.usize(..listeners.len())]]),
        _ => {}
    }
    json!({"type": "delta", "format": 1, "base": change.to_string(), "version": (change + 1).to_string(),
           "upsert": upsert, "remove": remove})
}

/// Every key that the vocabulary makes of a number.
fn keys_of(index: usize) -> Vec<String> {
    let http = ["HTTPRoute/n/a", "HTTPRoute/n/b", "GRPCRoute/n/a", "GRPCRoute/n/b", "TLSRoute/n/t"];
    http.iter().map(|prefix| format!("{prefix}/{index}")).collect()
}
