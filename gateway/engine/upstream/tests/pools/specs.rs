//! What is compiled from the table, and what is carried over.

use std::sync::Arc;

use sekisho_table::{Backend, BackendProtocol, BackendTls, Endpoint, Endpoints, Table, Touched};
use sekisho_upstream::{BackendSpecs, Target, TransportSpec};

use crate::certificates::{Authority, add_bundle};
use crate::support::everything;

fn first(table: &Table) -> Arc<BackendSpecs> {
    next(table, &Arc::default())
}

fn next(table: &Table, before: &Arc<BackendSpecs>) -> Arc<BackendSpecs> {
    BackendSpecs::build(table, before, &everything(table, before))
}

fn add(table: &mut Table, key: &str, tls: Option<BackendTls>) {
    let backend = Backend::new(key, BackendProtocol::Http, tls);
    table.backends.insert(key.to_owned(), Arc::new(backend));
}

fn add_endpoints(table: &mut Table, key: &str, addresses: &[&str]) {
    let endpoints = addresses.iter().map(|address| Endpoint::new(*address, 8080)).collect();
    table.endpoints.insert(key.to_owned(), Arc::new(Endpoints { key: key.to_owned(), endpoints }));
}

fn verified_by(bundle: &str) -> Option<BackendTls> {
    Some(BackendTls {
        server_name: "a.test".to_owned(),
        trust_bundles: vec![bundle.to_owned()],
        subject_alt_names: Vec::new(),
        client_certificate: String::new(),
    })
}

fn same_tls(left: &TransportSpec, right: &TransportSpec) -> bool {
    matches!((left, right), (TransportSpec::Tls(left), TransportSpec::Tls(right)) if Arc::ptr_eq(left, right))
}

#[test]
fn backends_are_found_by_key_and_kept_by_position() {
    let mut table = Table::default();
    for key in ["c", "a", "b"] {
        add(&mut table, key, None);
    }
    let specs = first(&table);
    assert_eq!(specs.iter().map(|spec| spec.key()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(specs.index("b"), Some(1));
    assert_eq!(specs.get(1).key(), "b");
    assert_eq!(specs.index("d"), None);
}

#[test]
fn endpoints_are_told_apart_and_named_once() {
    let mut table = Table::default();
    add(&mut table, "a", None);
    add_endpoints(&mut table, "a", &["10.0.0.1", "::1", "Backend.Test", "10.0.0.1"]);
    let specs = first(&table);
    let labels: Vec<_> = specs.get(0).endpoints.iter().map(|endpoint| endpoint.target.label()).collect();
    assert_eq!(labels, ["10.0.0.1:8080", "[::1]:8080", "backend.test:8080"]);
    assert!(matches!(specs.get(0).endpoints[1].target, Target::Address(_)));
    assert!(
        matches!(&specs.get(0).endpoints[2].target, Target::Name { host, port: 8080 } if &**host == "backend.test")
    );
}

#[test]
fn what_an_update_does_not_touch_is_carried_over() {
    let mut table = Table::default();
    for key in ["a", "b", "c"] {
        add(&mut table, key, None);
        add_endpoints(&mut table, key, &["10.0.0.1"]);
    }
    let before = first(&table);
    add_endpoints(&mut table, "b", &["10.0.0.2"]);
    add(&mut table, "bb", None);
    table.backends.remove("a");
    let after = next(&table, &before);
    assert_eq!(after.iter().map(|spec| spec.key()).collect::<Vec<_>>(), ["bb", "b", "c"], "positions are used again");
    assert_eq!((before.index("b"), after.index("b")), (Some(1), Some(1)), "and stay with their keys");
    assert!(!Arc::ptr_eq(before.get(1), after.get(1)), "b has other endpoints");
    assert!(Arc::ptr_eq(before.get(2), after.get(2)), "c is what it was");
}

#[test]
fn equal_resources_under_new_pointers_change_nothing() {
    let mut table = Table::default();
    add(&mut table, "a", None);
    add_endpoints(&mut table, "a", &["10.0.0.1"]);
    let before = first(&table);
    add(&mut table, "a", None);
    add_endpoints(&mut table, "a", &["10.0.0.1"]);
    let after = next(&table, &before);
    assert!(Arc::ptr_eq(before.get(0), after.get(0)));
}

#[test]
fn an_update_of_other_kinds_returns_the_same_specs() {
    let mut table = Table::default();
    add(&mut table, "a", None);
    let before = first(&table);
    let keys = || vec!["a".to_owned()];
    let touched = Touched { routes: keys(), listeners: keys(), gateways: keys(), ..Touched::default() };
    assert!(Arc::ptr_eq(&before, &BackendSpecs::build(&table, &before, &touched)));
}

#[test]
fn tls_is_built_again_only_when_it_changed() {
    let mut table = Table::default();
    add_bundle(&mut table, "ca", Authority::new("root").pem());
    add(&mut table, "a", verified_by("ca"));
    let one = first(&table);
    add_endpoints(&mut table, "a", &["10.0.0.1"]);
    let second = next(&table, &one);
    assert!(same_tls(&one.get(0).transport, &second.get(0).transport), "other endpoints, same sessions");
    add_bundle(&mut table, "ca", Authority::new("another root").pem());
    let third = next(&table, &second);
    assert!(matches!(third.get(0).transport, TransportSpec::Tls(_)));
    assert!(!same_tls(&second.get(0).transport, &third.get(0).transport), "the bundle was replaced");
}

#[test]
fn unusable_tls_costs_its_backend_alone_and_recovers() {
    let mut table = Table::default();
    add(&mut table, "a", verified_by("absent"));
    add(&mut table, "b", None);
    let broken = first(&table);
    assert!(matches!(&broken.get(0).transport, TransportSpec::Unusable(reason)
        if &**reason == "TLS of backend a: trust bundle absent is not in the table"));
    assert!(matches!(broken.get(1).transport, TransportSpec::Plain));
    add_bundle(&mut table, "absent", Authority::new("root").pem());
    let mended = next(&table, &broken);
    assert!(matches!(mended.get(0).transport, TransportSpec::Tls(_)));
}
