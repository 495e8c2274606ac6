//! What decides about a listener: its policies, and by name, address and caller an index of what they speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sekisho_policy::AddressIndex;
use sekisho_table::{EgressAction, EgressMode};

use crate::caller::{Caller, Source};
use crate::names::NameIndex;
use crate::policy::{Policies, Policy, RuleOf};
use crate::target::{Place, Target};
use crate::under::CallerIndex;

/// What decides about a listener.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// By key.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Policies that the listener names and the table does not hold: everything is denied.
    pub(crate) missing: Vec<Box<str>>,
    /// By place: every destination of every rule of every policy.
    targets: Vec<Target>,
    pub(crate) names: NameIndex,
    /// Places of destinations that name addresses.
    pub(crate) literals: AddressIndex,
    /// Those of them that deny.
    pub(crate) denied_literals: AddressIndex,
    /// Positions of policies that cannot be enforced as they were written.
    pub(crate) refused: Vec<u32>,
    under: CallerIndex,
    under_report: CallerIndex,
    wants_credentials: bool,
}

impl PolicySet {
    pub fn of(keys: &[String], policies: &Policies) -> Self {
        let mut set = Self::default();
        let ordered: BTreeMap<&str, Option<&Arc<Policy>>> =
            keys.iter().map(|key| (key.as_str(), policies.get(key))).collect();
        let mut names = Vec::new();
        for (key, policy) in ordered {
            match policy {
                Some(policy) => set.add(policy, &mut names),
                None => set.missing.push(key.into()),
            }
        }
        set.names = NameIndex::new(names.into_iter());
        set
    }

    /// Whether [`PolicySet::of`] would make the same again.
    pub fn is_of(&self, keys: &[String], policies: &Policies) -> bool {
        let wanted: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let known = |policy: &Arc<Policy>| policies.get(&policy.key).is_some_and(|now| Arc::ptr_eq(now, policy));
        wanted.len() == self.policies.len() + self.missing.len()
            && self.policies.iter().all(|policy| wanted.contains(&*policy.key) && known(policy))
            && self.missing.iter().all(|key| wanted.contains(&**key) && policies.get(key).is_none())
    }

    fn add<'a>(&mut self, policy: &'a Arc<Policy>, names: &mut Vec<(&'a str, Place)>) {
        let position = self.policies.len() as u32;
        if !policy.refusal.is_empty() {
            self.refused.push(position);
        }
        self.under.insert(position, policy);
        if policy.mode == EgressMode::Report {
            self.under_report.insert(position, policy);
        }
        for ((number, rule), written) in (0..).zip(&policy.rules).zip(&policy.source.rules) {
            self.wants_credentials |= rule.sources.iter().any(Source::wants_credentials);
            let denies = rule.action == EgressAction::Deny && policy.mode == EgressMode::Enforce;
            for destination in &written.destinations {
                let place = Place(self.targets.len() as u32);
                self.targets.push(Target::new((position, number), policy, rule, destination));
                names.extend(destination.names.iter().map(|name| (name.as_str(), place)));
                for block in &destination.ip_blocks {
                    self.literals.insert(block, place.0);
                    if denies {
                        self.denied_literals.insert(block, place.0);
                    }
                }
            }
        }
        self.policies.push(policy.clone());
    }

    /// Whether a client that shows no credentials should be asked for them.
    pub fn wants_credentials(&self) -> bool {
        self.wants_credentials
    }

    /// The first policy that a caller is under; `reporting`: of those in Report mode.
    pub(crate) fn first_over(&self, caller: &Caller, reporting: bool) -> Option<&Policy> {
        let index = if reporting { &self.under_report } else { &self.under };
        let position = index.first(caller, |position| self.policies[position as usize].names(caller))?;
        Some(&self.policies[position as usize])
    }

    pub(crate) fn target(&self, place: Place) -> &Target {
        &self.targets[place.0 as usize]
    }

    pub(crate) fn policy_of(&self, target: &Target) -> &Arc<Policy> {
        &self.policies[target.policy as usize]
    }

    pub(crate) fn rule_of(&self, target: &Target) -> RuleOf<'_> {
        RuleOf { policy: self.policy_of(target), rule: target.rule }
    }
}
