//! Policies of one listener, prepared and in the order in which they are asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_table::{AuthorizationAction, AuthorizationPolicy};

use crate::rule::Rule;

#[derive(Debug)]
pub struct Policy {
    pub key: Box<str>,
    pub action: AuthorizationAction,
    /// Why it cannot be enforced as it was written, or empty.
    pub refusal: Box<str>,
    /// There is somebody to ask, of a CUSTOM policy.
    pub has_provider: bool,
    pub rules: Box<[Rule]>,
}

impl Policy {
    fn new(policy: &AuthorizationPolicy) -> Self {
        Self {
            key: policy.key.as_str().into(),
            action: policy.action,
            refusal: policy.refusal.as_str().into(),
            has_provider: policy.provider.is_some(),
            rules: policy.rules.iter().map(Rule::new).collect(),
        }
    }
}

/// Policies that are decided together.
#[derive(Debug, Default)]
pub struct Layer {
    /// CUSTOM, then DENY.
    pub denying: Vec<Policy>,
    pub allowing: Vec<Policy>,
    pub auditing: Vec<Policy>,
}

impl Layer {
    fn add(&mut self, policy: Policy) {
        match policy.action {
            AuthorizationAction::Custom | AuthorizationAction::Deny => self.denying.push(policy),
            AuthorizationAction::Allow => self.allowing.push(policy),
            AuthorizationAction::Audit => self.auditing.push(policy),
        }
    }

    fn order(&mut self) {
        let rank = |policy: &Policy| policy.action != AuthorizationAction::Custom;
        self.denying.sort_by(|one, other| (rank(one), &one.key).cmp(&(rank(other), &other.key)));
        self.allowing.sort_by(|one, other| one.key.cmp(&other.key));
        self.auditing.sort_by(|one, other| one.key.cmp(&other.key));
    }

    pub fn is_empty(&self) -> bool {
        self.denying.is_empty() && self.allowing.is_empty() && self.auditing.is_empty()
    }
}

/// What decides about the requests and connections of a listener.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// Policies that the listener names and the table does not hold: everything is denied.
    pub(crate) missing: Vec<Box<str>>,
    pub(crate) enforced: Layer,
    /// Policies in dry run.
    pub(crate) trial: Layer,
}

impl PolicySet {
    pub fn compile<'a>(policies: impl IntoIterator<Item = &'a AuthorizationPolicy>) -> Self {
        let mut set = Self::default();
        for policy in policies {
            let layer = if policy.dry_run { &mut set.trial } else { &mut set.enforced };
            layer.add(Policy::new(policy));
        }
        set.enforced.order();
        set.trial.order();
        set
    }

    /// The policies that a listener names.
    pub fn of(keys: &[String], table: &BTreeMap<String, Arc<AuthorizationPolicy>>) -> Self {
        let mut set = Self::compile(keys.iter().filter_map(|key| table.get(key)).map(|policy| &**policy));
        set.missing = keys.iter().filter(|key| !table.contains_key(*key)).map(|key| key.as_str().into()).collect();
        set
    }

    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.enforced.is_empty() && self.trial.is_empty()
    }
}
