//! The cases of `tests/contract/authorization`: policies, a request or connection, and what becomes of it.

use std::path::Path;

mod support;

use sekisho_policy::PolicySet;
use sekisho_table::AuthorizationPolicy;
use serde::Deserialize;
use support::Call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    policies: Vec<AuthorizationPolicy>,
    request: Option<Call>,
    connection: Option<Call>,
    allowed: bool,
    policy: Option<String>,
    rule: Option<u32>,
    /// Policies whose providers are asked first; what is decided is decided with their yes.
    #[serde(default)]
    asks: Vec<String>,
}

fn cases() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/contract/authorization/decisions.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_case_is_decided_as_written() {
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let set = PolicySet::compile(&case.policies);
        let (call, is_request) = match (&case.request, &case.connection) {
            (Some(request), None) => (request, true),
            (None, Some(connection)) => (connection, false),
            _ => panic!("{}: a case has a request or a connection", case.name),
        };
        let prepared = call.prepare();
        let facts = prepared.facts(is_request);
        let first = set.decide(&facts).decision;
        let asks: Vec<String> = set.asks(&facts).into_iter().map(|(policy, _)| policy.to_owned()).collect();
        assert_eq!(asks, case.asks, "{}", case.name);
        // Nothing that somebody is still to be asked about is let in.
        assert!(asks.is_empty() || !first.allowed, "{}", case.name);
        let decision = if asks.is_empty() { first } else { set.decide_granted(&facts).decision };
        let explained = set.explain(&facts);
        assert_eq!(explained.asks, case.asks, "{}", case.name);
        let want = (case.allowed, case.policy.as_deref(), case.rule);
        if (decision.allowed, decision.policy, decision.rule) != want {
            wrong.push(format!("{}: {decision:?}", case.name));
        }
        assert_eq!((explained.allowed, explained.policy.as_deref(), explained.rule), want, "{}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 120, "only {} cases", cases.len());
    assert!(cases.iter().filter(|case| case.connection.is_some()).count() >= 20);
}
