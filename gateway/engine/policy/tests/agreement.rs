//! Deciding and explaining come to the same, whatever the policies and whoever calls; and doubt never permits.

mod support;

use fastrand::Rng;
use sekisho_policy::PolicySet;
use sekisho_table::{
    AuthorizationAction, AuthorizationCondition, AuthorizationOperation, AuthorizationPolicy, AuthorizationRule,
    AuthorizationSource,
};
use support::Call;

const ROUNDS: usize = 4_000;

fn some(random: &mut Rng, from: &[&str]) -> Vec<String> {
    let count = random.usize(0..3);
    (0..count).map(|_| from[random.usize(..from.len())].to_owned()).collect()
}

fn source(random: &mut Rng) -> AuthorizationSource {
    let principals = &["td/ns/a/sa/x", "td/ns/b/*", "*/sa/y", "*"];
    let blocks = &["10.0.0.0/8", "10.0.0.1", "192.0.2.0/24"];
    AuthorizationSource {
        principals: some(random, principals),
        not_principals: some(random, principals),
        namespaces: some(random, &["a", "b*", "*"]),
        service_accounts: some(random, &["a/x", "b/y"]),
        ip_blocks: some(random, blocks),
        not_remote_ip_blocks: some(random, blocks),
        ..AuthorizationSource::default()
    }
}

fn operation(random: &mut Rng) -> AuthorizationOperation {
    AuthorizationOperation {
        hosts: some(random, &["a.example", "*.example", "b.example:80"]),
        methods: some(random, &["GET", "POST"]),
        not_methods: some(random, &["DELETE"]),
        paths: some(random, &["/x", "/x*", "/{*}/y", "/x/{**}"]),
        ports: if random.bool() { vec![80] } else { Vec::new() },
        ..AuthorizationOperation::default()
    }
}

fn condition(random: &mut Rng) -> AuthorizationCondition {
    let (key, values): (&str, &[&str]) = [
        ("request.headers[x-a]", &["1", "*", "1,2"][..]),
        ("source.ip", &["10.0.0.0/8"][..]),
        ("destination.port", &["80", "81"][..]),
        ("connection.sni", &["a.example", "*"][..]),
        ("experimental.unknown", &["1"][..]),
    ][random.usize(..5)];
    let mut condition =
        AuthorizationCondition { key: key.into(), values: some(random, values), not_values: some(random, values) };
    if condition.values.is_empty() && condition.not_values.is_empty() {
        condition.values = vec![values[0].into()];
    }
    condition
}

fn several<T>(random: &mut Rng, most: usize, make: fn(&mut Rng) -> T) -> Vec<T> {
    let count = random.usize(0..=most);
    (0..count).map(|_| make(random)).collect()
}

fn rule(random: &mut Rng) -> AuthorizationRule {
    let mut rule = AuthorizationRule {
        sources: several(random, 2, source),
        operations: several(random, 2, operation),
        conditions: several(random, 2, condition),
    };
    rule.sources.retain(|source| *source != AuthorizationSource::default());
    rule.operations.retain(|operation| *operation != AuthorizationOperation::default());
    rule
}

fn policies(random: &mut Rng) -> Vec<AuthorizationPolicy> {
    use AuthorizationAction::{Allow, Audit, Custom, Deny};
    let count = random.usize(0..5);
    (0..count)
        .map(|number| AuthorizationPolicy {
            key: format!("ns/policy-{number}"),
            action: [Allow, Allow, Deny, Deny, Custom, Audit][random.usize(..6)],
            rules: several(random, 3, rule),
            dry_run: random.u8(..5) == 0,
            refusal: if random.u8(..8) == 0 { "not understood".into() } else { String::new() },
            provider: None,
        })
        .collect()
}

fn call(random: &mut Rng) -> Call {
    let one = |random: &mut Rng, of: &[&str]| of[random.usize(..of.len())].to_owned();
    let identities =
        ["", "spiffe://td/ns/a/sa/x", "spiffe://td/ns/b/sa/y", "spiffe://td/ns/bc/sa/z", "spiffe://td/other"];
    let from = one(random, &identities);
    Call {
        method: one(random, &["GET", "POST", "DELETE"]),
        host: one(random, &["a.example", "b.example:80", "other"]),
        path: one(random, &["/x", "/x/y", "/z/y", "/"]),
        headers: (0..random.usize(0..3)).map(|number| ("x-a".into(), (number + 1).to_string())).collect(),
        from: (!from.is_empty()).then_some(from),
        source: one(random, &["10.0.0.1", "10.9.0.1", "192.0.2.9"]).parse().expect("an address"),
        remote: random.bool().then(|| [10, 0, 0, 1].into()),
        port: if random.bool() { 80 } else { 81 },
        sni: random.bool().then(|| "a.example".into()),
        ..Call::default()
    }
}

#[test]
fn explaining_decides_as_deciding_does() {
    let mut random = Rng::with_seed(7);
    let mut allowed = 0;
    for round in 0..ROUNDS {
        let policies = policies(&mut random);
        let set = PolicySet::compile(&policies);
        let call = call(&mut random);
        let prepared = call.prepare();
        let facts = prepared.facts(random.bool());
        let outcome = set.decide(&facts);
        let explained = set.explain(&facts);
        let context = || format!("round {round}: {policies:?}\n{call:?}\n{explained:?}");
        assert_eq!(explained.allowed, outcome.decision.allowed, "{}", context());
        assert_eq!(explained.policy.as_deref(), outcome.decision.policy, "{}", context());
        assert_eq!(explained.rule, outcome.decision.rule, "{}", context());
        assert_eq!(explained.dry_run_allowed, outcome.trial.map(|trial| trial.allowed), "{}", context());
        let matched: Vec<_> = explained.policies.iter().flat_map(|policy| &policy.rules).collect();
        assert!(matched.iter().all(|rule| rule.matched == rule.failed.is_none()), "{}", context());
        allowed += usize::from(outcome.decision.allowed);
    }
    assert!((ROUNDS / 5..ROUNDS * 4 / 5).contains(&allowed), "{allowed} of {ROUNDS} are allowed: no good mixture");
}

#[test]
fn a_policy_that_denies_never_lets_more_in() {
    let mut random = Rng::with_seed(11);
    for _ in 0..ROUNDS {
        let mut policies = policies(&mut random);
        let call = call(&mut random);
        let prepared = call.prepare();
        let facts = prepared.facts(random.bool());
        let before = PolicySet::compile(&policies).decide(&facts).decision.allowed;
        policies.push(AuthorizationPolicy {
            key: "ns/more".into(),
            action: AuthorizationAction::Deny,
            rules: several(&mut random, 2, rule),
            dry_run: false,
            refusal: String::new(),
            provider: None,
        });
        let after = PolicySet::compile(&policies).decide(&facts).decision.allowed;
        assert!(before || !after, "{policies:?}\n{call:?}");
    }
}

#[test]
fn a_policy_that_is_not_in_the_table_denies_everything() {
    let table = std::collections::BTreeMap::new();
    let set = PolicySet::of(&["ns/gone".to_owned()], &table);
    let call = Call::default();
    let prepared = call.prepare();
    for is_request in [true, false] {
        let decision = set.decide(&prepared.facts(is_request)).decision;
        assert!(!decision.allowed);
        assert_eq!(decision.policy, Some("ns/gone"));
    }
    assert!(!set.is_empty());
    assert!(PolicySet::of(&[], &table).is_empty());
}

#[test]
fn the_first_condition_that_fails_is_named() {
    let policy = AuthorizationPolicy {
        key: "ns/only-cart".into(),
        action: AuthorizationAction::Allow,
        rules: vec![AuthorizationRule {
            sources: vec![AuthorizationSource {
                principals: vec!["td/ns/shop/sa/cart".into()],
                ..AuthorizationSource::default()
            }],
            ..AuthorizationRule::default()
        }],
        dry_run: false,
        refusal: String::new(),
        provider: None,
    };
    let set = PolicySet::compile([&policy]);
    let call = Call { from: Some("spiffe://td/ns/pay/sa/pay".into()), ..Call::default() };
    let explained = set.explain(&call.prepare().facts(true));
    let failed = explained.policies[0].rules[0].failed.clone().expect("a failure");
    assert_eq!(failed.field, "from[0].source.principals");
    assert_eq!(failed.want, "td/ns/shop/sa/cart");
    assert_eq!(failed.got.as_deref(), Some("td/ns/pay/sa/pay"));
}
