//! Why something goes out or does not, for people and for tools.

use serde::Serialize;

use sekisho_table::{EgressAction, EgressLimits};

use crate::decide::{Decision, Denial, Recorder, Request, Verdict};
use crate::guard::Prohibited;
use crate::policy::RuleOf;
use crate::policy_set::PolicySet;
use crate::target::Target;

/// The decision of [`PolicySet::decide`], with its reasons. What a name resolves to is not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EgressExplanation {
    pub allowed: bool,
    pub would_deny: bool,
    /// Of what is let out as a tunnel: nobody looks into it.
    pub opaque: bool,
    /// In words.
    pub reason: String,
    pub policy: Option<String>,
    pub rule: Option<String>,
    pub mode: &'static str,
    pub contact: String,
    /// Of the rule that lets it out; zeros for none.
    pub limits: EgressLimits,
    /// Addresses that are not public and may be dialled, by the rules that let it out.
    pub address_blocks: Vec<String>,
    /// Rules that speak of the host, in the order in which they were tried.
    pub tried: Vec<TriedRule>,
    /// How many policies decide about the listener.
    pub policies: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedRule {
    pub policy: String,
    pub rule: String,
    pub action: &'static str,
    pub mode: &'static str,
    pub matched: bool,
    /// The first field that does not hold.
    pub failed: Option<&'static str>,
}

#[derive(Default)]
struct Trace(Vec<TriedRule>);

impl Recorder for Trace {
    fn target(&mut self, set: &PolicySet, target: &Target, unmet: Option<&'static str>) {
        let policy = set.policy_of(target);
        let rule = &policy.rules[target.rule as usize];
        self.0.push(TriedRule {
            policy: policy.key.to_string(),
            rule: rule.name.to_string(),
            action: if rule.action == EgressAction::Deny { "Deny" } else { "Allow" },
            mode: policy.mode.as_str(),
            matched: unmet.is_none(),
            failed: unmet,
        });
    }
}

impl PolicySet {
    /// With the decision that it explains.
    pub fn explain(&self, request: &Request<'_>) -> (Decision<'_>, EgressExplanation) {
        let mut trace = Trace::default();
        let decision = self.decide_with(request, &mut trace);
        let rules = || decision.offers.iter().filter_map(|offer| offer.rule);
        let mut address_blocks: Vec<String> = Vec::new();
        for block in rules().flat_map(RuleOf::address_blocks) {
            if !address_blocks.contains(block) {
                address_blocks.push(block.clone());
            }
        }
        let explanation = EgressExplanation {
            allowed: decision.verdict == Verdict::Allow,
            would_deny: decision.would_deny,
            opaque: decision.offers.first().is_some_and(|offer| offer.taken().opaque),
            reason: decision.in_words(self.policies.len()),
            mode: decision.mode.as_str(),
            contact: decision.contact().to_owned(),
            limits: rules().next().map(|rule| rule.rule().limits).unwrap_or_default(),
            address_blocks,
            policy: decision.policy().map(Into::into),
            rule: decision.rule().map(Into::into),
            tried: trace.0,
            policies: self.policies.len(),
        };
        (decision, explanation)
    }
}

impl EgressExplanation {
    /// The guard on addresses does not let it out, whatever the policies said.
    pub fn prohibit(&mut self, why: &Prohibited) {
        self.allowed = false;
        self.reason = match why {
            Prohibited::Rule(rule) => format!("rule {} of {} denies its address", rule.name(), rule.policy()),
            Prohibited::Address { address, own: true, .. } => {
                format!(
                    "{address} is an address of this gateway, and no rule that allows the destination names it alone"
                )
            }
            Prohibited::Address { address, class, own: false } => {
                format!(
                    "{address} is not public but {}, and no rule that allows the destination permits it",
                    class.as_str()
                )
            }
        };
    }
}

impl Decision<'_> {
    fn in_words(&self, policies: usize) -> String {
        let policy = self.policy().unwrap_or_default();
        let rule = self.rule().unwrap_or_default();
        match self.verdict {
            Verdict::Allow if self.would_deny && rule.is_empty() => {
                format!("nothing allows it; {policy} is in Report mode and lets it through")
            }
            Verdict::Allow if self.would_deny => {
                format!("rule {rule} of {policy} would deny it, and the policy is in Report mode")
            }
            Verdict::Allow => format!("rule {rule} of {policy} allows it, if all addresses of the host may be dialled"),
            Verdict::Deny(Denial::Rule) => format!("rule {rule} of {policy} denies it"),
            Verdict::Deny(Denial::NothingAllows) if policies == 0 => {
                "no egress policy applies, so nothing goes out".to_owned()
            }
            Verdict::Deny(Denial::NothingAllows) => "no rule allows it".to_owned(),
            Verdict::Deny(Denial::PolicyMissing) => {
                format!("the policy {policy} is not in the table, so everything is denied")
            }
            Verdict::Deny(Denial::PolicyRefused) => {
                format!("the policy {policy} cannot be enforced as it is written, so it fails closed")
            }
        }
    }
}
