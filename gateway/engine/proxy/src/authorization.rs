//! Authorization of requests and connections: the facts of each, and what is told of a decision.
//!
//! Owns where facts come from; what they mean for a policy is `sekisho_policy`'s. A listener without policies costs a
//! branch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_codec::RequestHead;
use sekisho_policy::{AuthorizationExplanation, Cause, Decision, Facts, Http, Outcome, Peer, PolicySet, Token};
use sekisho_router::{ListenerId, Router};
use sekisho_table::{Listener, Table};

use crate::reason::Reason;

/// What decides at each listener.
#[derive(Debug, Default)]
pub struct Policies {
    /// By [`ListenerId`]; empty where no listener has policies.
    by_listener: Vec<Option<Arc<PolicySet>>>,
    /// Of listeners that carry connections: these outlive the table in which their listener had its number.
    by_key: HashMap<String, Arc<PolicySet>>,
}

impl Policies {
    #[inline]
    pub fn of(&self, listener: ListenerId) -> Option<&PolicySet> {
        self.by_listener.get(listener.0 as usize)?.as_deref()
    }

    /// Of a listener that carries connections. `None` where everybody is let in, and for a listener that is gone.
    pub fn of_key(&self, key: &str) -> Option<&PolicySet> {
        self.by_key.get(key).map(|set| &**set)
    }
}

pub fn compile(router: &Router, table: &Table) -> Policies {
    let by_listener = by_listener(router, table);
    let carrying = router.listeners().iter().zip(&by_listener);
    let by_key = carrying
        .filter(|(listener, _)| !listener.protocol.takes_requests())
        .filter_map(|(listener, set)| Some((listener.key.clone(), set.clone()?)))
        .collect();
    Policies { by_listener, by_key }
}

fn by_listener(router: &Router, table: &Table) -> Vec<Option<Arc<PolicySet>>> {
    if router.listeners().iter().all(|listener| listener.authorization.is_empty()) {
        return Vec::new();
    }
    let mut known: Vec<(&[String], Arc<PolicySet>)> = Vec::new();
    let listeners = router.listeners().iter();
    listeners
        .map(|listener| {
            let keys = listener.authorization.as_slice();
            if keys.is_empty() {
                return None;
            }
            // Listeners of one Gateway have the same policies.
            if let Some((_, set)) = known.iter().find(|(of, _)| *of == keys) {
                return Some(set.clone());
            }
            let set = Arc::new(PolicySet::of(keys, &table.authorization_policies));
            known.push((keys, set.clone()));
            Some(set)
        })
        .collect()
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// From a verified certificate.
    pub peer: Option<&'a Peer>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub server_name: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// `remote`: the client, as far as hops are trusted.
    pub fn facts(&self, port: u16, remote: IpAddr, http: Option<Http<'a>>) -> Facts<'a> {
        Facts {
            peer: self.peer,
            source: self.source,
            remote,
            destination: self.destination,
            port,
            sni: self.server_name,
            http,
        }
    }
}

/// The part of the facts that a request has. `host`: as it was matched; `token`: proved.
pub fn request<'a>(head: &'a RequestHead, host: &'a str, token: Option<&'a Token>) -> Http<'a> {
    let (path, _) = head.path_and_query();
    Http {
        method: head.method.as_str(),
        authority: head.authority.to_str().unwrap_or_default(),
        host,
        path,
        headers: &head.headers,
        token,
    }
}

/// What the log says of a decision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Which policy and rule denied.
    pub denied: Option<String>,
    /// What policies in dry run would have done.
    pub dry_run: Option<String>,
    /// Which AUDIT policy matched.
    pub audited: Option<String>,
}

/// What was decided: why it is denied, if it is, and what is told of it.
pub struct Verdict {
    pub refused: Option<Reason>,
    pub told: Option<Box<Told>>,
}

/// Effects of a policy, as metrics name them.
pub const DENIED: &str = "denied";
pub const DRY_RUN_DENIED: &str = "dry_run_denied";
pub const AUDITED: &str = "audited";
/// Stands for the policy where no single one is to blame.
pub const NO_POLICY: &str = "none";

/// Effects of who is asked besides.
pub const ASKED: &str = "asked";
pub const FAILED_OPEN: &str = "failed_open";

/// Decides once all that were to be asked have let it in. `count` is told the policy and the effect of everything that is worth a count.
pub fn decide(set: &PolicySet, facts: &Facts<'_>, mut count: impl FnMut(&str, &'static str)) -> Verdict {
    let Outcome { decision, trial, audited } = set.decide_granted(facts);
    let refused = (!decision.allowed).then(|| {
        count(decision.policy.unwrap_or(NO_POLICY), DENIED);
        reason(&decision)
    });
    let trial_denies = trial.filter(|trial| !trial.allowed);
    if let Some(trial) = &trial_denies {
        count(trial.policy.unwrap_or(NO_POLICY), DRY_RUN_DENIED);
    }
    if let Some((policy, _)) = audited {
        count(policy, AUDITED);
    }
    if refused.is_none() && trial.is_none() && audited.is_none() {
        return Verdict { refused: None, told: None };
    }
    let dry_run = trial.map(|trial| {
        let effect = if trial.allowed { "allowed" } else { "denied" };
        format!("{effect} {}", place(&trial))
    });
    let told = Told {
        denied: refused.is_some().then(|| place(&decision)),
        dry_run,
        audited: audited.map(|(policy, rule)| format!("{policy}/{rule}")),
    };
    Verdict { refused, told: Some(Box::new(told)) }
}

fn reason(decision: &Decision<'_>) -> Reason {
    match decision.cause {
        Cause::NoAllowPolicies | Cause::Matched | Cause::NothingAllows | Cause::Ask => Reason::AuthorizationDenied,
        Cause::Missing | Cause::Refused | Cause::NobodyToAsk => Reason::AuthorizationUnavailable,
    }
}

/// `namespace/name/rule`, as far as there are a policy and a rule.
fn place(decision: &Decision<'_>) -> String {
    match (decision.policy, decision.rule) {
        (Some(policy), Some(rule)) => format!("{policy}/{rule}"),
        (Some(policy), None) => policy.to_owned(),
        (None, _) => NO_POLICY.to_owned(),
    }
}

/// The same for people: the decision with its reasons, and why it is denied.
pub fn explain(set: &PolicySet, facts: &Facts<'_>) -> (AuthorizationExplanation, Option<Reason>) {
    let refused = set.decide_granted(facts).decision;
    (set.explain(facts), (!refused.allowed).then(|| reason(&refused)))
}

/// Position of a listener.
pub fn listener_of(router: &Router, key: &str) -> Option<(ListenerId, Arc<Listener>)> {
    let position = router.listeners().iter().position(|listener| listener.key == key)?;
    Some((ListenerId(position as u32), router.listeners()[position].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_table::{NoChecks, TableStore};
    use serde_json::json;

    fn set(policies: serde_json::Value) -> PolicySet {
        let update = json!({"type": "snapshot", "format": 1, "version": "1",
                            "resources": {"authorization_policies": policies}});
        let mut store = TableStore::default();
        let outcome = store.apply(update.to_string().as_bytes(), &NoChecks);
        assert_eq!((outcome.applied.error.as_str(), &outcome.applied.rejected), ("", &vec![]));
        let table = &store.table().authorization_policies;
        PolicySet::of(&table.keys().cloned().collect::<Vec<_>>(), table)
    }

    type Counted = Vec<(String, &'static str)>;

    fn decided(set: &PolicySet) -> (Option<Reason>, Option<Box<Told>>, Counted) {
        let caller = Caller {
            peer: None,
            source: IpAddr::from([10, 0, 0, 1]),
            destination: IpAddr::from([10, 0, 0, 2]),
            server_name: None,
        };
        let mut counted = Vec::new();
        let verdict = decide(set, &caller.facts(80, caller.source, None), |policy, effect| {
            counted.push((policy.to_owned(), effect));
        });
        (verdict.refused, verdict.told, counted)
    }

    #[test]
    fn what_is_simply_allowed_tells_and_counts_nothing() {
        assert_eq!(decided(&set(json!([{"key": "a/allow", "rules": [{}]}]))), (None, None, Vec::new()));
    }

    #[test]
    fn a_denial_names_policy_and_rule() {
        let (refused, told, counted) = decided(&set(json!([{"key": "a/deny", "action": "DENY", "rules": [{}]}])));
        assert_eq!(refused, Some(Reason::AuthorizationDenied));
        assert_eq!(told.and_then(|told| told.denied).as_deref(), Some("a/deny/0"));
        assert_eq!(counted, [("a/deny".to_owned(), DENIED)]);
    }

    #[test]
    fn what_fails_closed_has_a_reason_of_its_own() {
        let custom = json!([{"key": "a/custom", "action": "CUSTOM", "rules": [{}]}]);
        assert_eq!(decided(&set(custom)).0, Some(Reason::AuthorizationUnavailable));
        let refused = json!([{"key": "a/deny", "action": "DENY", "refusal": "not understood"}]);
        assert_eq!(decided(&set(refused)).0, Some(Reason::AuthorizationUnavailable));
        let missing = PolicySet::of(&["a/gone".to_owned()], &Default::default());
        let (reason, told, counted) = decided(&missing);
        assert_eq!(reason, Some(Reason::AuthorizationUnavailable));
        assert_eq!(told.and_then(|told| told.denied).as_deref(), Some("a/gone"));
        assert_eq!(counted, [("a/gone".to_owned(), DENIED)]);
    }

    #[test]
    fn dry_run_and_audit_are_told_and_counted_and_deny_nothing() {
        let (refused, told, counted) = decided(&set(json!([
            {"key": "a/audit", "action": "AUDIT", "rules": [{}]},
            {"key": "a/trial", "action": "DENY", "rules": [{}], "dry_run": true},
        ])));
        assert_eq!(refused, None);
        let told = told.expect("something is told");
        assert_eq!(told.dry_run.as_deref(), Some("denied a/trial/0"));
        assert_eq!(told.audited.as_deref(), Some("a/audit/0"));
        assert_eq!(counted, [("a/trial".to_owned(), DRY_RUN_DENIED), ("a/audit".to_owned(), AUDITED)]);
    }
}
