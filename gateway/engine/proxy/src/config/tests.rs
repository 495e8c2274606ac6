//! A configuration that follows changes is the one that is built from the table that they lead to.

use fastrand::Rng;
use sekisho_table::{NoChecks, TableStore, Touched};
use serde_json::{Value, json};

use super::*;

const SEQUENCES: u64 = 40;
const CHANGES: usize = 40;
const ROUTES: usize = 30;
const BACKENDS: usize = 12;

#[test]
fn any_sequence_of_deltas_leads_to_the_plans_and_backends_of_the_table() {
    for seed in 0..SEQUENCES {
        let mut rng = Rng::with_seed(seed);
        let mut store = TableStore::default();
        let outcome = store.apply(ground().to_string().as_bytes(), &NoChecks);
        assert_eq!((outcome.applied.error.as_str(), outcome.applied.rejected), ("", vec![]));
        let mut compiled = Compiled::build(store.table(), &Compiled::default(), &outcome.touched);
        for change in 0..CHANGES {
            let outcome = store.apply(random_delta(&mut rng, change).to_string().as_bytes(), &NoChecks);
            assert_eq!(outcome.applied.error, "");
            let before = told(&compiled);
            let next = Compiled::build(store.table(), &compiled, &outcome.touched);
            let scratch = Compiled::build(store.table(), &Compiled::default(), &Touched::everything(store.table()));
            assert_eq!(told(&next), told(&scratch), "seed {seed}, change {change}");
            assert_eq!(told(&compiled), before, "an older version changed: seed {seed}, change {change}");
            compiled = next;
        }
    }
}

#[test]
fn a_change_of_one_route_keeps_everything_else() {
    let mut store = TableStore::default();
    let outcome = store.apply(ground().to_string().as_bytes(), &NoChecks);
    let before = Compiled::build(store.table(), &Compiled::default(), &outcome.touched);
    let delta = json!({"type": "delta", "format": 1, "base": "0", "version": "1",
                       "upsert": {"routes": [route(&mut Rng::with_seed(1), 0)]}});
    let outcome = store.apply(delta.to_string().as_bytes(), &NoChecks);
    let after = Compiled::build(store.table(), &before, &outcome.touched);
    assert!(Arc::ptr_eq(&before.specs, &after.specs) && Arc::ptr_eq(&before.sockets, &after.sockets));
    assert!(Arc::ptr_eq(&before.table, &after.table) && Arc::ptr_eq(&before.policies, &after.policies));
    for (id, route) in after.router.routes().filter(|(_, route)| route.key != "HTTPRoute/n/r/0") {
        assert!(Arc::ptr_eq(&before.plans[id.0 as usize], &after.plans[id.0 as usize]), "{}", route.key);
    }
}

#[test]
fn what_leads_out_does_not_stand_before_a_workload_although_it_takes_the_mesh_s_mutual_tls() {
    let before_workload = |more: Value| {
        let mut listener = json!({"key": "n/g/l", "gateway": "n/g", "address": "127.0.0.1", "port": 80, "bind_port": 80,
                                  "protocol": "HTTP", "mesh": {}});
        for (name, value) in more.as_object().expect("an object") {
            listener[name] = value.clone();
        }
        let update = json!({"type": "snapshot", "format": 1, "version": "0",
                            "resources": {"gateways": [{"key": "n/g"}], "listeners": [listener]}});
        let mut store = TableStore::default();
        let outcome = store.apply(update.to_string().as_bytes(), &NoChecks);
        assert_eq!((outcome.applied.error.as_str(), outcome.applied.rejected), ("", vec![]));
        let compiled = Compiled::build(store.table(), &Compiled::default(), &outcome.touched);
        assert_eq!(compiled.sockets[0].mesh.is_some(), more.get("mesh").is_none());
        compiled.sockets[0].before_workload
    };
    assert!(before_workload(json!({})));
    assert!(!before_workload(json!({"egress": {"way": "Proxy"}})));
    assert!(!before_workload(json!({"routed_egress": {}})));
    assert!(!before_workload(json!({"mesh": null})));
}

/// What each rule and each backend of a configuration is, by key.
fn told(compiled: &Compiled) -> Vec<String> {
    let spec = |position: u32| compiled.specs.get(position).key().to_owned();
    let mut lines: Vec<String> = compiled
        .router
        .routes()
        .map(|(id, route)| {
            let plan = compiled.plan(id);
            let shares: Vec<_> = (0..6).map(|point| plan.backend(point)).collect();
            let shares: Vec<_> = shares
                .iter()
                .map(|share| share.map(|share| (share.target.as_ref().map(|it| spec(*it)), &share.filters)))
                .collect();
            let mirrors: Vec<_> = plan.mirrors.iter().map(|mirror| spec(mirror.backend)).collect();
            format!("{} {shares:?} {mirrors:?} {:?} {:?}", route.key, plan.filters, plan.failure)
        })
        .collect();
    lines.extend(compiled.specs.iter().map(|spec| {
        let position = compiled.specs.index(spec.key()).map(|position| compiled.specs.get(position).key());
        format!("{:?} {:?} {:?}", spec.backend, spec.endpoints, position)
    }));
    let plans = compiled.plans.iter().count();
    lines.extend([format!("{plans} plans"), format!("{:?}", compiled.table), format!("{:?}", compiled.sockets)]);
    lines.sort();
    lines
}

fn ground() -> Value {
    let mut rng = Rng::with_seed(0);
    let listener = |key: &str, port: u16| json!({"key": key, "gateway": "g", "address": "127.0.0.1", "port": port, "bind_port": port, "protocol": "HTTP"});
    json!({"type": "snapshot", "format": 1, "version": "0", "resources": {
        "gateways": [{"key": "g"}],
        "listeners": [listener("l0", 80), listener("l1", 81)],
        "backends": (0..BACKENDS).map(|index| backend(&mut rng, index)).collect::<Vec<_>>(),
        "routes": (0..ROUTES).map(|index| route(&mut rng, index)).collect::<Vec<_>>(),
    }})
}

fn backend(rng: &mut Rng, index: usize) -> Value {
    let service = format!("service-{}", rng.u8(..3));
    json!({"key": format!("b{index}"), "destination": {"service": service}})
}

fn route(rng: &mut Rng, index: usize) -> Value {
    let shares = (0..rng.usize(..3)).map(|_| json!({"backend": format!("b{}", rng.usize(..BACKENDS)), "weight": 1}));
    let shares: Vec<Value> = shares.collect();
    let filters = match rng.u8(..3) {
        0 => json!([{"type": "RequestMirror", "backend": format!("b{}", rng.usize(..BACKENDS))}]),
        1 => json!([{"type": "RequestHeaderModifier", "remove": [format!("x-{}", rng.u8(..3))]}]),
        _ => json!([]),
    };
    json!({"key": format!("HTTPRoute/n/r/{index}"), "kind": "HTTPRoute", "object": format!("n/r{index}"), "rule": 0,
           "attachments": [{"listener": format!("l{}", rng.u8(..2)), "hostnames": [format!("h{}.test", rng.u8(..4))]}],
           "matches": [{}], "filters": filters, "backends": shares})
}

/// Some of it is refused: what still refers to a backend keeps it, and what refers to none does not come.
fn random_delta(rng: &mut Rng, change: usize) -> Value {
    let some = |rng: &mut Rng, bound: usize| -> Vec<usize> {
        let mut indexes: Vec<usize> = (0..rng.usize(..4)).map(|_| rng.usize(..bound)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    };
    let routes = some(rng, ROUTES).into_iter().map(|index| route(rng, index)).collect::<Vec<_>>();
    let backends = some(rng, BACKENDS).into_iter().map(|index| backend(rng, index)).collect::<Vec<_>>();
    let endpoints = some(rng, BACKENDS)
        .into_iter()
        .map(|index| json!({"key": format!("b{index}"), "endpoints": [{"address": "10.0.0.1", "port": rng.u16(1..)}]}));
    let mut upsert = json!({"routes": routes, "backends": backends, "endpoints": endpoints.collect::<Vec<_>>()});
    if rng.u8(..6) == 0 {
        upsert["gateways"] = json!([{"key": "g", "trusted_hops": rng.u8(..3)}]);
    }
    let keys = |prefix: &str, indexes: Vec<usize>| -> Vec<String> {
        indexes.into_iter().map(|index| format!("{prefix}{index}")).collect()
    };
    let remove = json!({"routes": keys("HTTPRoute/n/r/", some(rng, ROUTES)), "backends": keys("b", some(rng, BACKENDS)),
                        "endpoints": keys("b", some(rng, BACKENDS))});
    json!({"type": "delta", "format": 1, "base": change.to_string(), "version": (change + 1).to_string(),
           "upsert": upsert, "remove": remove})
}
