//! Why a request or connection is let in or not, for people and for tools.

use serde::Serialize;

use crate::decide::{Cause, Decision, Recorder};
use crate::facts::Facts;
use crate::field::Failed;
use crate::policy::{Policy, PolicySet};
use crate::rule::Unmet;

/// The decision of [`PolicySet::decide`], with its reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthorizationExplanation {
    pub allowed: bool,
    /// In words.
    pub reason: String,
    pub policy: Option<String>,
    pub rule: Option<u32>,
    /// Every policy that was asked, in order; after the one that decided only those that are for audit.
    pub policies: Vec<TriedPolicy>,
    /// What policies in dry run would decide; they are listed last in `policies`.
    pub dry_run_allowed: Option<bool>,
    /// The AUDIT policy that matched.
    pub audited: Option<String>,
    /// The CUSTOM policies whose providers would be asked first; the rest is as if all of them said yes.
    pub asks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedPolicy {
    pub policy: String,
    pub action: &'static str,
    pub dry_run: bool,
    /// Why it cannot be enforced as it was written, or empty.
    pub refusal: String,
    /// Those that were tried.
    pub rules: Vec<TriedRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedRule {
    pub rule: u32,
    pub matched: bool,
    pub failed: Option<FailedCondition>,
}

/// The first condition that a rule asks for and did not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedCondition {
    /// Where it is in the rule, as Istio spells it, for example `from[0].source.principals`.
    pub field: String,
    pub want: String,
    /// `None` where the request has nothing of the kind.
    pub got: Option<String>,
}

struct Trace<'f, 'p> {
    facts: &'f Facts<'f>,
    dry_run: bool,
    policies: Vec<(&'p Policy, TriedPolicy)>,
}

impl<'f> Trace<'f, '_> {
    fn new(facts: &'f Facts<'f>, dry_run: bool) -> Self {
        Self { facts, dry_run, policies: Vec::new() }
    }
}

impl<'p> Recorder<'p> for Trace<'_, 'p> {
    fn policy(&mut self, policy: &'p Policy) {
        let tried = TriedPolicy {
            policy: policy.key.to_string(),
            action: policy.action.as_str(),
            dry_run: self.dry_run,
            refusal: policy.refusal.to_string(),
            rules: Vec::new(),
        };
        self.policies.push((policy, tried));
    }

    fn rule(&mut self, rule: usize, unmet: Option<Unmet>) {
        if let Some((policy, tried)) = self.policies.last_mut() {
            let failed = unmet.map(|unmet| failed(policy, rule, unmet, self.facts));
            tried.rules.push(TriedRule { rule: rule as u32, matched: failed.is_none(), failed });
        }
    }
}

fn failed(policy: &Policy, rule: usize, unmet: Unmet, facts: &Facts<'_>) -> FailedCondition {
    let Some((field, test, failed)) = policy.rules[rule].place(unmet) else {
        let want = match unmet {
            Unmet::NoRequest => "a request: a connection has nothing that this rule could permit",
            _ => "a condition that can be decided",
        };
        return FailedCondition { field: "rule".to_owned(), want: want.to_owned(), got: None };
    };
    let got = test.field.shown(facts);
    match failed {
        Failed::NoneOf => FailedCondition { field, want: test.want.join(", "), got },
        Failed::OneOf => FailedCondition { field, want: format!("none of {}", test.not_want.join(", ")), got },
    }
}

impl PolicySet {
    pub fn explain(&self, facts: &Facts<'_>) -> AuthorizationExplanation {
        let (mut trace, mut trial) = (Trace::new(facts, false), Trace::new(facts, true));
        let outcome = self.decide_with(facts, true, &mut trace, &mut trial);
        let asks: Vec<String> = self.asks(facts).into_iter().map(|(policy, _)| policy.to_owned()).collect();
        let reason = match asks.as_slice() {
            [] => outcome.decision.in_words(),
            asks => format!(
                "external authorization is asked for {}; if it says yes: {}",
                asks.join(", "),
                outcome.decision.in_words()
            ),
        };
        let policies = trace.policies.into_iter().chain(trial.policies).map(|(_, tried)| tried).collect();
        AuthorizationExplanation {
            allowed: outcome.decision.allowed,
            reason,
            policy: outcome.decision.policy.map(str::to_owned),
            rule: outcome.decision.rule,
            policies,
            dry_run_allowed: outcome.trial.map(|decision| decision.allowed),
            audited: outcome.audited.map(|(policy, _)| policy.to_owned()),
            asks,
        }
    }
}

impl Decision<'_> {
    fn in_words(&self) -> String {
        let policy = self.policy.unwrap_or_default();
        let rule = self.rule.unwrap_or_default();
        match self.cause {
            Cause::NoAllowPolicies => "no policy forbids it, and none has to allow it".to_owned(),
            Cause::Matched if self.allowed => format!("rule {rule} of {policy} allows it"),
            Cause::Matched => format!("rule {rule} of {policy} forbids it"),
            Cause::NothingAllows => "there are ALLOW policies, and no rule of them matches".to_owned(),
            Cause::Missing => format!("the policy {policy} is not in the table, so everything is denied"),
            Cause::Refused => format!("the policy {policy} cannot be enforced as it is written, so it fails closed"),
            Cause::Ask => format!("rule {rule} of {policy} leaves it to external authorization"),
            Cause::NobodyToAsk => {
                format!("rule {rule} of {policy} wants external authorization, which there is not: it fails closed")
            }
        }
    }
}
