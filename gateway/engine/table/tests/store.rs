//! How updates change the table: what is refused stays alone, and nothing dangles.

use std::sync::Arc;

use sekisho_table::{
    Certificate, Checks, NoChecks, Outcome, Rejection, SnapshotText, Table, TableStore, Touched, TrustBundle,
};
use serde_json::{Value, json};

fn snapshot(version: &str, resources: Value) -> Vec<u8> {
    json!({"type": "snapshot", "format": 1, "version": version, "resources": resources}).to_string().into_bytes()
}

fn delta(base: &str, version: &str, upsert: Value, remove: Value) -> Vec<u8> {
    json!({"type": "delta", "format": 1, "version": version, "base": base, "upsert": upsert, "remove": remove})
        .to_string()
        .into_bytes()
}

fn gateway() -> Value {
    json!({"key": "g"})
}

fn listener(key: &str, port: u16, hostname: &str) -> Value {
    json!({"key": key, "gateway": "g", "address": "127.0.0.1", "port": port, "bind_port": port, "protocol": "HTTP",
           "hostname": hostname})
}

fn https(key: &str, certificate: &str) -> Value {
    json!({"key": key, "gateway": "g", "address": "127.0.0.1", "port": 443, "bind_port": 443, "protocol": "HTTPS",
           "certificates": [certificate]})
}

fn certificate(key: &str, chain: &str) -> Value {
    json!({"key": key, "chain": chain, "private_key": "k"})
}

fn route(key: &str, backend: &str) -> Value {
    json!({"key": key, "kind": "HTTPRoute", "object": "n/r", "rule": 0, "attachments": [], "matches": [{}],
           "backends": [{"backend": backend}]})
}

fn backend(key: &str) -> Value {
    json!({"key": key})
}

fn stored(resources: Value) -> TableStore {
    let mut store = TableStore::default();
    let outcome = store.apply(&snapshot("1", resources), &NoChecks);
    assert_eq!((outcome.applied.error.as_str(), &outcome.applied.rejected), ("", &vec![]));
    store
}

fn keys(table: &Table) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    keys.extend(table.certificates.keys().cloned());
    keys.extend(table.backends.keys().cloned());
    keys.extend(table.listeners.keys().cloned());
    keys.extend(table.routes.keys().cloned());
    keys
}

fn only(outcome: &Outcome) -> &Rejection {
    assert_eq!(outcome.applied.error, "");
    match outcome.applied.rejected.as_slice() {
        [rejection] => rejection,
        other => panic!("not one rejection: {other:?}"),
    }
}

/// Accepts every chain but `bad`.
struct Strict;

impl Checks for Strict {
    fn certificate(&self, certificate: &Certificate) -> Result<(), String> {
        if certificate.chain == "bad" { Err("the chain does not parse; send PEM".to_owned()) } else { Ok(()) }
    }

    fn trust_bundle(&self, bundle: &TrustBundle) -> Result<(), String> {
        if bundle.certificates == "bad" { Err("no authority in it; send PEM".to_owned()) } else { Ok(()) }
    }
}

#[test]
fn a_snapshot_replaces_everything() {
    let mut store = stored(json!({"backends": [backend("a"), backend("b")], "routes": [route("r", "a")]}));
    let outcome =
        store.apply(&snapshot("2", json!({"backends": [backend("b")], "routes": [route("s", "b")]})), &NoChecks);
    assert_eq!((outcome.applied.version.as_str(), outcome.applied.rejected.len()), ("2", 0));
    assert_eq!(keys(store.table()), ["b", "s"]);
    assert_eq!(store.table().version, "2");
}

#[test]
fn a_delta_changes_only_what_it_names() {
    let mut store =
        stored(json!({"backends": [backend("a"), backend("b")], "routes": [route("r", "a"), route("s", "b")]}));
    let before = store.table().clone();
    let upsert = json!({"backends": [backend("c")], "routes": [route("r", "c")]});
    let outcome = store.apply(&delta("1", "2", upsert, json!({"backends": ["a", "never"]})), &NoChecks);
    assert_eq!((outcome.applied.version.as_str(), outcome.applied.rejected.len()), ("2", 0));
    assert_eq!(keys(store.table()), ["b", "c", "r", "s"]);
    assert!(Arc::ptr_eq(&before.routes["s"], &store.table().routes["s"]));
    let touched = |keys: [&str; 2]| keys.map(str::to_owned).to_vec();
    let expected = Touched { backends: touched(["c", "a"]), routes: vec!["r".to_owned()], ..Touched::default() };
    assert_eq!(outcome.touched, expected);
}

#[test]
fn what_is_equal_touches_nothing_and_keeps_its_identity() {
    let resources = || json!({"backends": [backend("a")], "gateways": [gateway()], "routes": [route("r", "a")]});
    let mut store = stored(resources());
    let before = store.table().clone();
    let outcome = store.apply(&snapshot("2", resources()), &NoChecks);
    assert_eq!((outcome.applied.version.as_str(), outcome.touched), ("2", Touched::default()));
    assert!(Arc::ptr_eq(&before.routes["r"], &store.table().routes["r"]));
    assert!(Arc::ptr_eq(&before.gateways["g"], &store.table().gateways["g"]));
}

#[test]
fn each_kind_is_touched_alone() {
    let bundle = json!({"key": "t", "certificates": "x"});
    let one = |key: &str| vec![key.to_owned()];
    for (upsert, touched) in [
        (json!({"trust_bundles": [bundle]}), Touched { trust_bundles: one("t"), ..Touched::default() }),
        (json!({"certificates": [certificate("c", "x")]}), Touched { certificates: one("c"), ..Touched::default() }),
        (json!({"endpoints": [{"key": "a"}]}), Touched { endpoints: one("a"), ..Touched::default() }),
        (json!({"backends": [backend("a")]}), Touched { backends: one("a"), ..Touched::default() }),
        (json!({"gateways": [{"key": "h"}]}), Touched { gateways: one("h"), ..Touched::default() }),
        (json!({"listeners": [listener("l", 80, "")]}), Touched { listeners: one("l"), ..Touched::default() }),
    ] {
        let outcome =
            stored(json!({"gateways": [gateway()]})).apply(&delta("1", "2", upsert.clone(), json!({})), &NoChecks);
        assert_eq!(outcome.touched, touched, "{upsert}");
    }
}

#[test]
fn an_update_that_cannot_be_read_changes_nothing() {
    for (update, error) in [
        (b"not json".to_vec(), "not a routing table message"),
        (b"".to_vec(), "not a routing table message"),
        (b"\xff\xfe".to_vec(), "not a routing table message"),
        (br#"{"type":"snapshot","format":7,"version":"2","novel":{}}"#.to_vec(), "format 7"),
        (delta("0", "2", json!({}), json!({})), "changes version `0` and version `1` is served; send a snapshot"),
        (snapshot("2", json!({"policies": []})), "unknown field `policies`"),
        ("[".repeat(100_000).into_bytes(), "not a routing table message"),
    ] {
        let mut store = stored(json!({"backends": [backend("a")]}));
        let outcome = store.apply(&update, &NoChecks);
        assert!(outcome.applied.error.contains(error), "{}", outcome.applied.error);
        assert_eq!((outcome.applied.version.as_str(), outcome.touched), ("1", Touched::default()));
        assert_eq!(keys(store.table()), ["a"]);
    }
}

#[test]
fn a_bad_resource_keeps_its_previous_version_and_costs_nobody_else() {
    let changed = json!({"backends": [{"key": "a", "protocol": "H2C"}, {"key": "b", "protocol": "GOPHER"}],
                         "routes": [route("r", "a"), {"key": "s", "rule": "x"}]});
    for update in [snapshot("2", changed.clone()), delta("1", "2", changed, json!({}))] {
        let mut store =
            stored(json!({"backends": [backend("a"), backend("b")], "routes": [route("r", "b"), route("s", "b")]}));
        let before = store.table().clone();
        let outcome = store.apply(&update, &NoChecks);
        let named: Vec<_> = outcome.applied.rejected.iter().map(|it| (it.kind.as_str(), it.key.as_str())).collect();
        assert_eq!(named, [("backends", "b"), ("routes", "s")]);
        assert_eq!(outcome.applied.version, "2");
        assert_eq!(store.table().routes["r"].backends[0].backend, "a");
        assert!(Arc::ptr_eq(&before.routes["s"], &store.table().routes["s"]));
        assert!(Arc::ptr_eq(&before.backends["b"], &store.table().backends["b"]));
    }
}

#[test]
fn a_bad_resource_recovers_with_the_next_good_version() {
    let mut store = stored(json!({"backends": [backend("a")]}));
    let bad = json!({"routes": [{"key": "r", "novelty": 1}]});
    assert_eq!(only(&store.apply(&delta("1", "2", bad, json!({})), &NoChecks)).key, "r");
    let outcome = store.apply(&delta("2", "3", json!({"routes": [route("r", "a")]}), json!({})), &NoChecks);
    assert_eq!(outcome.applied.rejected, []);
    assert_eq!(keys(store.table()), ["a", "r"]);
}

#[test]
fn reasons_name_the_field_and_the_remedy() {
    let with = |field: &str, value: Value| {
        let mut made = route("r", "a");
        made[field] = value;
        json!({"backends": [backend("a")], "routes": [made]})
    };
    for (resources, reason) in [
        (
            with("matches", json!([{}, {"path": {"type": "Exact", "value": "x"}}])),
            "matches[1].path.value: `x` does not start with `/`; write `/x`",
        ),
        (
            with("matches", json!([{"headers": [{"name": "X-A", "value": ""}]}])),
            "matches[0].headers[0].name: `X-A` is not in lower case; write `x-a`",
        ),
        (
            with("matches", json!([{"path": {"type": "RegularExpression", "value": "("}}])),
            "matches[0].path.value: the regular expression does not compile: unclosed group",
        ),
        (
            with(
                "backends",
                json!([{"backend": "a", "filters": [{"type": "RequestHeaderModifier", "remove": ["host"]}]}]),
            ),
            "backends[0].filters[0].remove[0]: `host` is not changed by a header modifier; \
             use a URLRewrite filter with `hostname`",
        ),
        (with("backends", json!([{"backend": "b"}])), "backend `b` is not in the table; send it too"),
        (
            json!({"gateways": [{"key": "g", "limits": {"max_connections": 0}}]}),
            "limits.max_connections: 0 is not allowed; write 1 or more",
        ),
        (
            json!({"gateways": [gateway()], "listeners": [listener("l", 80, "A.com")]}),
            "hostname: `A.com` is not in lower case; write `a.com`",
        ),
        (json!({"certificates": [certificate("c", "bad")]}), "the chain does not parse; send PEM"),
        (json!({"trust_bundles": [{"key": "t", "certificates": "bad"}]}), "certificates: no authority in it; send PEM"),
    ] {
        let outcome = TableStore::default().apply(&snapshot("1", resources), &Strict);
        assert_eq!(only(&outcome).reason, reason);
    }
}

#[test]
fn regular_expressions_are_compiled_wherever_they_stand() {
    let pattern = |value: &str| json!({"name": "x", "type": "RegularExpression", "value": value});
    for found in [
        json!({"path": {"type": "RegularExpression", "value": "("}}),
        json!({"path": {"type": "RegularExpression", "value": r"(\w{1000}){1000}"}}),
        json!({"headers": [pattern("a)|(b")]}),
        json!({"query": [pattern("(?=a)")]}),
    ] {
        let mut made = route("r", "a");
        made["matches"] = json!([found]);
        let outcome = TableStore::default()
            .apply(&snapshot("1", json!({"backends": [backend("a")], "routes": [made]})), &NoChecks);
        assert!(only(&outcome).reason.contains("regular expression"), "{found}");
    }
}

#[test]
fn what_is_in_use_is_not_removed() {
    let resources = || {
        json!({"certificates": [certificate("c", "x")], "gateways": [gateway()], "listeners": [https("l", "c")],
               "backends": [backend("a")], "routes": [route("r", "a")]})
    };
    for (remove, kind, reason) in [
        (json!({"backends": ["a"]}), "backends", "route `r` still uses it; change or remove that first"),
        (json!({"certificates": ["c"]}), "certificates", "listener `l` still uses it; change or remove that first"),
        (json!({"gateways": ["g"]}), "gateways", "listener `l` still uses it; change or remove that first"),
    ] {
        let mut store = stored(resources());
        let outcome = store.apply(&delta("1", "2", json!({}), remove), &NoChecks);
        let rejection = only(&outcome);
        assert_eq!((rejection.kind.as_str(), rejection.reason.as_str()), (kind, reason));
        assert_eq!((keys(store.table()).len(), outcome.touched), (4, Touched::default()));
    }
    let everything =
        json!({"backends": ["a"], "certificates": ["c"], "gateways": ["g"], "listeners": ["l"], "routes": ["r"]});
    let mut store = stored(resources());
    let outcome = store.apply(&delta("1", "2", json!({}), everything), &NoChecks);
    assert_eq!((outcome.applied.rejected.len(), keys(store.table()).len()), (0, 0));
}

#[test]
fn a_snapshot_keeps_what_a_refused_resource_still_needs() {
    let mut store = stored(json!({"backends": [backend("a")], "routes": [route("r", "a")]}));
    let outcome =
        store.apply(&snapshot("2", json!({"backends": [backend("b")], "routes": [{"key": "r", "bad": 1}]})), &NoChecks);
    assert_eq!(only(&outcome).key, "r");
    assert_eq!(keys(store.table()), ["a", "b", "r"]);
    store.apply(&snapshot("3", json!({"backends": [backend("b")], "routes": [route("r", "b")]})), &NoChecks);
    assert_eq!(keys(store.table()), ["b", "r"]);
}

#[test]
fn a_delta_cannot_add_a_user_of_what_it_removes() {
    let mut store = stored(json!({"backends": [backend("a")]}));
    let outcome =
        store.apply(&delta("1", "2", json!({"routes": [route("r", "a")]}), json!({"backends": ["a"]})), &NoChecks);
    assert_eq!(only(&outcome).reason, "backend `a` is not in the table; send it too");
    assert!(keys(store.table()).is_empty());
}

#[test]
fn a_key_both_sent_and_removed_is_removed() {
    let mut store = stored(json!({"backends": [backend("a")]}));
    let outcome =
        store.apply(&delta("1", "2", json!({"backends": [backend("a")]}), json!({"backends": ["a"]})), &NoChecks);
    assert_eq!((outcome.applied.rejected.len(), keys(store.table()).len()), (0, 0));
}

#[test]
fn a_certificate_that_breaks_leaves_the_previous_one_serving() {
    let mut store = TableStore::default();
    store.apply(&snapshot("1", json!({"certificates": [certificate("c", "good")]})), &Strict);
    let outcome = store.apply(&delta("1", "2", json!({"certificates": [certificate("c", "bad")]}), json!({})), &Strict);
    assert_eq!(only(&outcome).kind, "certificates");
    assert_eq!(store.table().certificates["c"].chain, "good");
}

#[test]
fn listeners_that_contend_for_a_socket_are_refused_and_who_serves_stays() {
    let own = |listeners: Value| json!({"gateways": [gateway()], "certificates": [certificate("c", "x")], "listeners": listeners});
    let mut tls_on_80 = https("b", "c");
    tls_on_80["bind_port"] = json!(80);
    for (served, sent, refused, reason) in [
        (
            json!([listener("b", 80, "")]),
            json!([listener("a", 80, ""), listener("b", 80, "")]),
            vec!["a"],
            "owns every hostname",
        ),
        (json!([]), json!([listener("a", 80, "x.com"), listener("b", 80, "x.com")]), vec!["b"], "owns x.com"),
        (json!([listener("a", 80, "")]), json!([listener("a", 80, ""), tls_on_80]), vec!["b"], "speaks HTTP"),
        (
            json!([]),
            json!([listener("a", 80, "x.com"), listener("b", 80, "y.com"), listener("c", 81, "x.com")]),
            vec![],
            "",
        ),
        // Two that swap their names do not contend.
        (
            json!([listener("a", 80, "x.com"), listener("b", 80, "y.com")]),
            json!([listener("a", 80, "y.com"), listener("b", 80, "x.com")]),
            vec![],
            "",
        ),
    ] {
        let mut store = stored(own(served));
        let outcome = store.apply(&snapshot("2", own(sent.clone())), &NoChecks);
        let names: Vec<_> = outcome.applied.rejected.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(names, refused, "{sent}");
        assert!(outcome.applied.rejected.iter().all(|it| it.reason.contains(reason)), "{:?}", outcome.applied.rejected);
    }
}

#[test]
fn a_swap_of_which_half_is_refused_is_refused_whole() {
    let mut store =
        stored(json!({"gateways": [gateway()], "listeners": [listener("a", 80, "x.com"), listener("b", 80, "y.com")]}));
    let mut bad = listener("b", 80, "x.com");
    bad["novelty"] = json!(1);
    let outcome =
        store.apply(&delta("1", "2", json!({"listeners": [listener("a", 80, "y.com"), bad]}), json!({})), &NoChecks);
    assert_eq!(outcome.applied.rejected.len(), 2);
    assert_eq!(store.table().listeners["a"].hostname, "x.com");
    assert_eq!(store.table().listeners["b"].hostname, "y.com");
}

#[test]
fn secrets_do_not_reach_debug_output() {
    let store = stored(json!({"certificates": [certificate("c", "PUBLIC-CHAIN")]}));
    let shown = format!("{:?}", store.table());
    assert!(!shown.contains("private_key") && !shown.contains("PUBLIC-CHAIN"), "{shown}");
}

#[test]
fn five_thousand_routes_are_one_update() {
    let routes: Vec<Value> = (0..5000).map(|i| route(&format!("HTTPRoute/n/r{i}/0"), &format!("b{i}"))).collect();
    let backends: Vec<Value> = (0..5000).map(|i| backend(&format!("b{i}"))).collect();
    let store = stored(json!({"backends": backends, "routes": routes}));
    assert_eq!(store.table().routes.len(), 5000);
}

#[test]
fn the_text_of_a_table_leads_to_the_same_table() {
    let routes: Vec<Value> = (0..2_000).map(|number| route(&format!("r{number}"), "a")).collect();
    let mut store = stored(json!({
        "backends": [backend("a"), backend("b")], "gateways": [gateway()], "listeners": [listener("l", 80, "a.com")],
        "certificates": [certificate("c", "x")], "endpoints": [{"key": "a", "endpoints": [{"address": "10.0.0.1", "port": 1}]}],
        "routes": routes,
    }));
    let kinds: Vec<&str> = store.table().counts().map(|(kind, _)| kind).collect();
    let pieces: Vec<Vec<u8>> = SnapshotText::new(store.table(), &kinds).map(|piece| piece.expect("a piece")).collect();
    assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() < 80_000), "{} pieces", pieces.len());
    let mut other = TableStore::default();
    let outcome = other.apply(&pieces.concat(), &NoChecks);
    assert_eq!((outcome.applied.error.as_str(), outcome.applied.rejected), ("", vec![]));
    assert_eq!(format!("{:?}", other.table()), format!("{:?}", store.table()));
    assert_eq!(store.apply(&pieces.concat(), &NoChecks).touched, Touched::default(), "nothing is changed by it");
    let only = SnapshotText::new(store.table(), &["gateways"]).map(|piece| piece.expect("a piece")).collect::<Vec<_>>();
    let expected = r#"{"type":"snapshot","format":1,"version":"1","resources":{"gateways":[{"key":"g""#;
    assert!(only.concat().starts_with(expected.as_bytes()));
}
