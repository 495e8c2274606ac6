//! What becomes of authorization policies that are refused: whatever they apply to must be denied, not served without.

use sekisho_table::{NoChecks, TableStore};
use serde_json::{Value, json};

fn snapshot(version: &str, resources: &Value) -> Vec<u8> {
    json!({"type": "snapshot", "format": 1, "version": version, "resources": resources}).to_string().into_bytes()
}

fn delta(base: &str, version: &str, upsert: &Value, remove: &Value) -> Vec<u8> {
    json!({"type": "delta", "format": 1, "version": version, "base": base, "upsert": upsert, "remove": remove})
        .to_string()
        .into_bytes()
}

fn table(policy: &Value) -> Value {
    json!({
        "gateways": [{"key": "g"}],
        "authorization_policies": [policy],
        "listeners": [{"key": "l", "gateway": "g", "address": "127.0.0.1", "port": 80, "bind_port": 80,
                       "protocol": "HTTP", "authorization": ["n/p"]}],
    })
}

fn good() -> Value {
    json!({"key": "n/p", "rules": [{}]})
}

fn bad() -> Value {
    json!({"key": "n/p", "rules": [{"conditions": [{"key": "unknown", "values": ["x"]}]}]})
}

fn stored() -> TableStore {
    let mut store = TableStore::default();
    assert!(store.apply(&snapshot("1", &table(&good())), &NoChecks).applied.rejected.is_empty());
    assert!(store.table().authorization_policies.contains_key("n/p"));
    store
}

#[test]
fn a_refused_policy_keeps_no_previous_version() {
    for update in [
        snapshot("2", &table(&bad())),
        delta("1", "2", &json!({"authorization_policies": [bad()]}), &json!({})),
        delta("1", "2", &json!({"authorization_policies": [{"key": "n/p", "unless": 1}]}), &json!({})),
    ] {
        let mut store = stored();
        let outcome = store.apply(&update, &NoChecks);
        assert_eq!(outcome.applied.rejected.len(), 1, "{:?}", outcome.applied);
        assert!(!outcome.touched.authorization_policies.is_empty());
        assert!(store.table().authorization_policies.is_empty());
        assert_eq!(store.table().listeners["l"].authorization, ["n/p"], "the listener still asks for it");
    }
}

#[test]
fn a_policy_that_is_corrected_is_back() {
    let mut store = stored();
    store.apply(&snapshot("2", &table(&bad())), &NoChecks);
    let outcome = store.apply(&delta("2", "3", &json!({"authorization_policies": [good()]}), &json!({})), &NoChecks);
    assert!(outcome.applied.rejected.is_empty() && !outcome.touched.authorization_policies.is_empty());
    assert!(store.table().authorization_policies.contains_key("n/p"));
}

#[test]
fn a_listener_comes_without_its_policy_and_still_names_it() {
    let mut store = TableStore::default();
    let outcome = store.apply(&snapshot("1", &table(&bad())), &NoChecks);
    assert_eq!(outcome.applied.rejected.len(), 1);
    assert_eq!(outcome.applied.rejected[0].kind, "authorization_policies");
    assert_eq!(store.table().listeners["l"].authorization, ["n/p"]);
}

#[test]
fn a_policy_is_removed_although_a_listener_names_it() {
    let mut store = stored();
    let outcome = store.apply(&delta("1", "2", &json!({}), &json!({"authorization_policies": ["n/p"]})), &NoChecks);
    assert!(outcome.applied.rejected.is_empty());
    assert!(!outcome.touched.authorization_policies.is_empty() && store.table().authorization_policies.is_empty());
}

#[test]
fn a_policy_named_twice_is_the_first_one() {
    let mut store = stored();
    let mut resources = table(&good());
    resources["authorization_policies"] = json!([{"key": "n/p", "action": "DENY"}, good()]);
    let outcome = store.apply(&snapshot("2", &resources), &NoChecks);
    assert_eq!(outcome.applied.rejected.len(), 1);
    assert_eq!(store.table().authorization_policies["n/p"].action.as_str(), "DENY");
}
