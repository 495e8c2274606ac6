//! Policies, prepared: each once for a table.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sekisho_policy::AddressSet;
use sekisho_table::{EgressAction, EgressLimits, EgressMode, EgressPolicy, EgressRule};

use crate::caller::{Caller, Source, unmet_source};

#[derive(Debug)]
pub(crate) struct Policy {
    pub key: Box<str>,
    pub mode: EgressMode,
    /// Empty, or the namespace whose principals alone it speaks of.
    confined_to: Box<str>,
    pub contact: Box<str>,
    pub refusal: Box<str>,
    pub rules: Box<[Rule]>,
    /// Those of its rules, without repetition.
    sources: Box<[Arc<[Source]>]>,
    pub source: Arc<EgressPolicy>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub name: Box<str>,
    pub action: EgressAction,
    /// Rules of a policy mostly have the same ones, and then share them.
    pub sources: Arc<[Source]>,
    /// Addresses that are not public and may be dialled nevertheless.
    pub permitted: AddressSet,
    /// Those that were written alone.
    pub permitted_alone: HashSet<IpAddr>,
    pub encrypted_client_hello: bool,
    pub limits: EgressLimits,
    /// Connections that are open by this rule; it lives on when the policy changes.
    load: Arc<AtomicU32>,
}

impl Policy {
    fn new(source: &Arc<EgressPolicy>, previous: Option<&Policy>) -> Self {
        let load = |rule: &EgressRule| {
            let known = previous.and_then(|policy| policy.rules.iter().find(|known| *known.name == *rule.name));
            known.map_or_else(Arc::default, |known| known.load.clone())
        };
        let mut rules: Vec<Rule> = Vec::with_capacity(source.rules.len());
        let mut distinct: Vec<Arc<[Source]>> = Vec::new();
        for (position, rule) in source.rules.iter().enumerate() {
            let same = source.rules[..position].iter().position(|other| other.sources == rule.sources);
            let sources = match same {
                Some(same) => rules[same].sources.clone(),
                None => {
                    distinct.push(rule.sources.iter().map(Source::new).collect());
                    distinct[distinct.len() - 1].clone()
                }
            };
            rules.push(Rule::new(rule, sources, load(rule)));
        }
        Self {
            key: source.key.as_str().into(),
            mode: source.mode,
            confined_to: source.confined_to.as_str().into(),
            contact: source.contact.as_str().into(),
            refusal: source.refusal.as_str().into(),
            rules: rules.into(),
            sources: distinct.into(),
            source: source.clone(),
        }
    }

    /// Whether it speaks of one namespace's principals alone.
    pub(crate) fn is_confined(&self) -> bool {
        !self.confined_to.is_empty()
    }

    /// Whether it could speak of a caller at all.
    pub(crate) fn concerns(&self, caller: &Caller) -> bool {
        !self.is_confined() || caller.peer.as_deref().and_then(|peer| peer.namespace()) == Some(&*self.confined_to)
    }

    /// Whether the sources of one of its rules hold.
    pub(crate) fn names(&self, caller: &Caller) -> bool {
        self.concerns(caller) && self.sources.iter().any(|sources| unmet_source(sources, caller).is_none())
    }
}

impl Rule {
    fn new(rule: &EgressRule, sources: Arc<[Source]>, load: Arc<AtomicU32>) -> Self {
        let alone = rule.address_blocks.iter().filter_map(|text| {
            let (address, length) = text.split_once('/').unwrap_or((text, ""));
            let address: IpAddr = address.parse().ok()?;
            let whole = if address.is_ipv4() { "32" } else { "128" };
            (length.is_empty() || length == whole).then(|| address.to_canonical())
        });
        Self {
            name: rule.name.as_str().into(),
            action: rule.action,
            sources,
            permitted: AddressSet::new(rule.address_blocks.iter().map(String::as_str)),
            permitted_alone: alone.collect(),
            encrypted_client_hello: rule.encrypted_client_hello,
            limits: rule.limits,
            load,
        }
    }
}

/// A rule of a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleOf<'a> {
    pub policy: &'a Arc<Policy>,
    /// Its position.
    pub rule: u32,
}

impl<'a> RuleOf<'a> {
    pub(crate) fn rule(self) -> &'a Rule {
        &self.policy.rules[self.rule as usize]
    }

    /// Addresses that are not public and that a name of this rule may resolve to, as they were written.
    pub(crate) fn address_blocks(self) -> &'a [String] {
        &self.policy.source.rules[self.rule as usize].address_blocks
    }

    pub(crate) fn kept(self) -> RuleRef {
        RuleRef { policy: self.policy.clone(), rule: self.rule }
    }
}

/// A rule, kept by whoever relies on it.
#[derive(Clone, Debug)]
pub struct RuleRef {
    policy: Arc<Policy>,
    rule: u32,
}

impl RuleRef {
    pub fn policy(&self) -> &str {
        &self.policy.key
    }

    pub fn name(&self) -> &str {
        &self.rule().name
    }

    pub fn limits(&self) -> &EgressLimits {
        &self.rule().limits
    }

    /// Whether a `ClientHello` may hide its server name.
    pub fn takes_encrypted_hello(&self) -> bool {
        self.rule().encrypted_client_hello
    }

    /// Counts one connection; `None` when the rule has as many as it permits.
    pub fn admit(&self) -> Option<Load> {
        let (load, most) = (&self.rule().load, self.limits().connections);
        if load.fetch_add(1, Ordering::Relaxed) >= most && most > 0 {
            load.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Load(load.clone()))
    }

    fn rule(&self) -> &Rule {
        &self.policy.rules[self.rule as usize]
    }
}

/// One connection of a rule, for as long as it lives.
#[derive(Debug)]
pub struct Load(Arc<AtomicU32>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Every policy of a table.
#[derive(Debug, Default)]
pub struct Policies {
    by_key: HashMap<Box<str>, Arc<Policy>>,
}

impl Policies {
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Policy>> {
        self.by_key.get(key)
    }

    /// What did not change is taken over, and so are the counts of rules that keep their names.
    pub fn compile(table: &BTreeMap<String, Arc<EgressPolicy>>, previous: &Policies) -> Self {
        let prepared = |source: &Arc<EgressPolicy>| match previous.by_key.get(source.key.as_str()) {
            Some(known) if Arc::ptr_eq(&known.source, source) => known.clone(),
            known => Arc::new(Policy::new(source, known.map(|known| &**known))),
        };
        Self { by_key: table.values().map(|source| (source.key.as_str().into(), prepared(source))).collect() }
    }
}
