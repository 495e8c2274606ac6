//! Policies, prepared: each once for a table, and by listener an index of what they speak of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sekisho_policy::{AddressIndex, AddressSet};
use sekisho_table::{
    EgressAction, EgressDestination, EgressLimits, EgressMode, EgressPolicy, EgressProtocol, EgressRule,
};

use crate::caller::{Caller, Source};
use crate::names::NameIndex;
use crate::under::CallerIndex;

#[derive(Debug)]
pub(crate) struct Policy {
    pub key: Box<str>,
    pub mode: EgressMode,
    /// Empty, or the namespace whose principals alone it speaks of.
    confined_to: Box<str>,
    pub contact: Box<str>,
    pub refusal: Box<str>,
    pub rules: Box<[Rule]>,
    source: Arc<EgressPolicy>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub name: Box<str>,
    pub action: EgressAction,
    /// Rules of a policy mostly have the same ones, and then share them.
    sources: Arc<[Source]>,
    pub destinations: Box<[Target]>,
    /// Addresses that are not public and may be dialled nevertheless.
    pub permitted: AddressSet,
    /// Those that were written alone.
    pub permitted_alone: HashSet<IpAddr>,
    pub encrypted_client_hello: bool,
    pub limits: EgressLimits,
    /// Connections that are open by this rule; it lives on when the policy changes.
    load: Arc<AtomicU32>,
}

/// One destination of a rule, without names and addresses: the indexes have them.
#[derive(Debug)]
pub(crate) struct Target {
    pub ports: Box<[u16]>,
    pub protocols: Box<[EgressProtocol]>,
    pub methods: Box<[Box<str>]>,
    pub path_prefixes: Box<[Box<str>]>,
}

impl Policy {
    fn new(source: &Arc<EgressPolicy>, previous: Option<&Policy>) -> Self {
        let load = |rule: &EgressRule| {
            let known = previous.and_then(|policy| policy.rules.iter().find(|known| *known.name == *rule.name));
            known.map_or_else(Arc::default, |known| known.load.clone())
        };
        let mut rules: Vec<Rule> = Vec::with_capacity(source.rules.len());
        for (position, rule) in source.rules.iter().enumerate() {
            let same = source.rules[..position].iter().position(|other| other.sources == rule.sources);
            let sources = match same {
                Some(same) => rules[same].sources.clone(),
                None => rule.sources.iter().map(Source::new).collect(),
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
            source: source.clone(),
        }
    }

    /// Whether it could speak of a caller at all.
    pub(crate) fn concerns(&self, caller: &Caller) -> bool {
        self.confined_to.is_empty()
            || caller.peer.as_deref().and_then(|peer| peer.namespace()) == Some(&*self.confined_to)
    }

    /// Whether the sources of one of its rules hold.
    pub(crate) fn names(&self, caller: &Caller) -> bool {
        self.concerns(caller) && self.rules.iter().any(|rule| rule.unmet_source(caller).is_none())
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
            destinations: rule.destinations.iter().map(Target::new).collect(),
            permitted: AddressSet::new(rule.address_blocks.iter().map(String::as_str)),
            permitted_alone: alone.collect(),
            encrypted_client_hello: rule.encrypted_client_hello,
            limits: rule.limits,
            load,
        }
    }

    /// The field of its sources that does not hold; `None` where one source does, or none is given.
    pub(crate) fn unmet_source(&self, caller: &Caller) -> Option<&'static str> {
        let mut first = None;
        for source in &*self.sources {
            let unmet = source.unmet(caller)?;
            first.get_or_insert(unmet);
        }
        first
    }
}

impl Target {
    fn new(destination: &EgressDestination) -> Self {
        let texts = |values: &[String]| values.iter().map(|value| value.as_str().into()).collect();
        Self {
            ports: destination.ports.clone().into(),
            protocols: destination.protocols.clone().into(),
            methods: texts(&destination.methods),
            path_prefixes: texts(&destination.path_prefixes),
        }
    }
}

/// A rule, kept by whoever relies on it.
#[derive(Clone, Debug)]
pub struct RuleRef {
    policy: Arc<Policy>,
    rule: usize,
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

    pub fn mode(&self) -> EgressMode {
        self.policy.mode
    }

    /// Addresses that are not public and that a name of this rule may resolve to, as they were written.
    pub fn address_blocks(&self) -> &[String] {
        &self.policy.source.rules[self.rule].address_blocks
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

    pub(crate) fn rule(&self) -> &Rule {
        &self.policy.rules[self.rule]
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
    /// What did not change is taken over, and so are the counts of rules that keep their names.
    pub fn compile(table: &BTreeMap<String, Arc<EgressPolicy>>, previous: &Policies) -> Self {
        let prepared = |source: &Arc<EgressPolicy>| match previous.by_key.get(source.key.as_str()) {
            Some(known) if Arc::ptr_eq(&known.source, source) => known.clone(),
            known => Arc::new(Policy::new(source, known.map(|known| &**known))),
        };
        Self { by_key: table.values().map(|source| (source.key.as_str().into(), prepared(source))).collect() }
    }
}

/// Where a destination of a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub policy: u32,
    pub rule: u32,
    pub destination: u32,
}

/// What decides about a listener.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// By key.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Policies that the listener names and the table does not hold: everything is denied.
    pub(crate) missing: Vec<Box<str>>,
    pub(crate) names: NameIndex,
    /// Places of destinations that name addresses.
    pub(crate) places: Vec<Place>,
    /// Positions among these.
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
            keys.iter().map(|key| (key.as_str(), policies.by_key.get(key.as_str()))).collect();
        for (key, policy) in ordered {
            match policy {
                Some(policy) => set.add(policy),
                None => set.missing.push(key.into()),
            }
        }
        set
    }

    /// Whether [`PolicySet::of`] would make the same again.
    pub fn is_of(&self, keys: &[String], policies: &Policies) -> bool {
        let wanted: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let known = |policy: &Arc<Policy>| policies.by_key.get(&policy.key).is_some_and(|now| Arc::ptr_eq(now, policy));
        wanted.len() == self.policies.len() + self.missing.len()
            && self.policies.iter().all(|policy| wanted.contains(&*policy.key) && known(policy))
            && self.missing.iter().all(|key| wanted.contains(&**key) && !policies.by_key.contains_key(key))
    }

    fn add(&mut self, policy: &Arc<Policy>) {
        let position = self.policies.len() as u32;
        if !policy.refusal.is_empty() {
            self.refused.push(position);
        }
        self.under.insert(position, &policy.confined_to, &policy.source.rules);
        if policy.mode == EgressMode::Report {
            self.under_report.insert(position, &policy.confined_to, &policy.source.rules);
        }
        for (rule, written) in policy.source.rules.iter().enumerate() {
            let prepared = &policy.rules[rule];
            self.wants_credentials |= prepared.sources.iter().any(Source::wants_credentials);
            for (destination, written) in written.destinations.iter().enumerate() {
                let place = Place { policy: position, rule: rule as u32, destination: destination as u32 };
                written.names.iter().for_each(|name| self.names.insert(name, place));
                if written.ip_blocks.is_empty() {
                    continue;
                }
                let number = self.places.len() as u32;
                self.places.push(place);
                let denies = prepared.action == EgressAction::Deny && policy.mode == EgressMode::Enforce;
                for block in &written.ip_blocks {
                    self.literals.insert(block, number);
                    if denies {
                        self.denied_literals.insert(block, number);
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

    pub(crate) fn rule(&self, place: Place) -> RuleRef {
        RuleRef { policy: self.policies[place.policy as usize].clone(), rule: place.rule as usize }
    }
}
