//! The decision: CUSTOM and DENY first, then ALLOW where there is any (Istio, "Authorization Policy").

use sekisho_table::AuthorizationAction;

use crate::facts::Facts;
use crate::policy::{Layer, Policy, PolicySet};
use crate::rule::Unmet;

/// Why a decision is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing forbids it, and no policy has to permit it.
    NoAllowPolicies,
    /// The rule of the policy matched.
    Matched,
    /// There are ALLOW policies, and none of them matched.
    NothingAllows,
    /// The policy, which the listener names, is not in the table.
    Missing,
    /// The policy cannot be enforced as it was written.
    Refused,
    /// The rule of a CUSTOM policy matched, and there is nobody to ask.
    NobodyToAsk,
    /// The rule of a CUSTOM policy matched: its provider decides, and then the other policies.
    Ask,
}

/// What becomes of a request or connection, and which policy and rule say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    pub allowed: bool,
    pub cause: Cause,
    /// Key of the policy that decided.
    pub policy: Option<&'p str>,
    pub rule: Option<u32>,
}

impl Decision<'_> {
    const OPEN: Self = Self { allowed: true, cause: Cause::NoAllowPolicies, policy: None, rule: None };
}

/// All that policies have to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'p> {
    pub decision: Decision<'p>,
    /// What the policies in dry run would decide, where there are any.
    pub trial: Option<Decision<'p>>,
    /// The first AUDIT policy that matched, and its rule.
    pub audited: Option<(&'p str, u32)>,
}

/// Is told of every policy and rule that was looked at.
pub(crate) trait Recorder<'p> {
    fn policy(&mut self, policy: &'p Policy);
    /// Of the policy told last.
    fn rule(&mut self, rule: usize, unmet: Option<Unmet>);
}

/// Deciding alone tells nobody.
impl<'p> Recorder<'p> for () {
    #[inline]
    fn policy(&mut self, _: &'p Policy) {}
    #[inline]
    fn rule(&mut self, _: usize, _: Option<Unmet>) {}
}

impl PolicySet {
    pub fn decide(&self, facts: &Facts<'_>) -> Outcome<'_> {
        self.decide_with(facts, false, &mut (), &mut ())
    }

    /// The same once the providers of all that [`Self::asks`] names have let it in.
    pub fn decide_granted(&self, facts: &Facts<'_>) -> Outcome<'_> {
        self.decide_with(facts, true, &mut (), &mut ())
    }

    /// Whether there are requests about which anybody is asked. What cannot be enforced at all denies without.
    pub fn may_ask(&self) -> bool {
        self.missing.is_empty() && self.enforced.denying.iter().any(|policy| policy.has_provider)
    }

    /// The CUSTOM policies whose providers are to be asked about a request, and the rule of each that matched.
    pub fn asks<'p>(&'p self, facts: &Facts<'_>) -> Vec<(&'p str, u32)> {
        let custom = self.enforced.denying.iter().filter(|policy| policy.asks(facts));
        custom.filter_map(|policy| Some((&*policy.key, policy.matching(facts, &mut ())?))).collect()
    }

    /// `trial` is told of the policies in dry run.
    pub(crate) fn decide_with<'p>(
        &'p self,
        facts: &Facts<'_>,
        granted: bool,
        recorder: &mut impl Recorder<'p>,
        trial: &mut impl Recorder<'p>,
    ) -> Outcome<'p> {
        let decision = match self.missing.first() {
            Some(key) => Decision { allowed: false, cause: Cause::Missing, policy: Some(key), rule: None },
            None => self.enforced.decide(facts, granted, recorder),
        };
        let has_trial = !self.trial.denying.is_empty() || !self.trial.allowing.is_empty();
        Outcome {
            decision,
            // Nobody is asked for a trial.
            trial: has_trial.then(|| self.trial.decide(facts, true, trial)),
            audited: self.enforced.audited(facts, recorder),
        }
    }
}

impl Layer {
    /// `granted`: whoever is to be asked has said yes.
    fn decide<'p>(&'p self, facts: &Facts<'_>, granted: bool, recorder: &mut impl Recorder<'p>) -> Decision<'p> {
        let mut ask = None;
        for policy in &self.denying {
            if policy.action != AuthorizationAction::Custom && ask.is_some() {
                break;
            }
            recorder.policy(policy);
            if !policy.refusal.is_empty() {
                return Decision { allowed: false, cause: Cause::Refused, policy: Some(&policy.key), rule: None };
            }
            if let Some(rule) = policy.matching(facts, recorder) {
                let is_custom = policy.action == AuthorizationAction::Custom;
                if policy.asks(facts) {
                    if !granted && ask.is_none() {
                        ask = Some(Decision {
                            allowed: false,
                            cause: Cause::Ask,
                            policy: Some(&policy.key),
                            rule: Some(rule),
                        });
                    }
                    continue;
                }
                let cause = if is_custom { Cause::NobodyToAsk } else { Cause::Matched };
                return Decision { allowed: false, cause, policy: Some(&policy.key), rule: Some(rule) };
            }
        }
        if let Some(ask) = ask {
            return ask;
        }
        for policy in &self.allowing {
            recorder.policy(policy);
            if let Some(rule) = policy.matching(facts, recorder) {
                return Decision { allowed: true, cause: Cause::Matched, policy: Some(&policy.key), rule: Some(rule) };
            }
        }
        match self.allowing.as_slice() {
            [] => Decision::OPEN,
            // The only one is to blame, and whoever reads the log need not search for it.
            [only] => {
                let cause = if only.refusal.is_empty() { Cause::NothingAllows } else { Cause::Refused };
                Decision { allowed: false, cause, policy: Some(&only.key), rule: None }
            }
            _ => Decision { allowed: false, cause: Cause::NothingAllows, policy: None, rule: None },
        }
    }

    fn audited<'p>(&'p self, facts: &Facts<'_>, recorder: &mut impl Recorder<'p>) -> Option<(&'p str, u32)> {
        self.auditing.iter().find_map(|policy| {
            recorder.policy(policy);
            Some((&*policy.key, policy.matching(facts, recorder)?))
        })
    }
}

impl Policy {
    /// Its provider is asked about what its rules match: about requests alone.
    fn asks(&self, facts: &Facts<'_>) -> bool {
        self.has_provider
            && self.action == AuthorizationAction::Custom
            && self.refusal.is_empty()
            && facts.http.is_some()
    }

    /// The first rule that matches.
    fn matching<'p>(&'p self, facts: &Facts<'_>, recorder: &mut impl Recorder<'p>) -> Option<u32> {
        if !self.refusal.is_empty() {
            return None;
        }
        let permits = self.action == AuthorizationAction::Allow;
        let found = self.rules.iter().enumerate().find(|(position, rule)| {
            let unmet = rule.unmet(facts, permits);
            recorder.rule(*position, unmet);
            unmet.is_none()
        });
        found.map(|(position, _)| position as u32)
    }
}
