//! Keyed store of resources: applies updates resource by resource, so that a bad one costs itself.
//!
//! Owns what is served after an update: a rejected resource keeps its previous version (a policy
//! none), a reference never dangles, and an update that cannot be read changes nothing. Decoding is [`crate::update`]'s, judging one
//! resource [`crate::validate`]'s.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::kind::{KINDS, Kind, Resource};
use crate::model::*;
use crate::sockets::SocketOwners;
use crate::touched::Touched;
use crate::update::{self, RawResources, Scope};
use crate::validate::Checks;

/// An immutable table: cheap to clone, every resource shared.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub version: String,
    pub trust_bundles: BTreeMap<String, Arc<TrustBundle>>,
    pub certificates: BTreeMap<String, Arc<Certificate>>,
    pub endpoints: BTreeMap<String, Arc<Endpoints>>,
    pub backends: BTreeMap<String, Arc<Backend>>,
    pub gateways: BTreeMap<String, Arc<Gateway>>,
    pub authorization_policies: BTreeMap<String, Arc<AuthorizationPolicy>>,
    pub request_authentications: BTreeMap<String, Arc<RequestAuthentication>>,
    pub egress_policies: BTreeMap<String, Arc<EgressPolicy>>,
    pub listeners: BTreeMap<String, Arc<Listener>>,
    pub routes: BTreeMap<String, Arc<Route>>,
}

impl Table {
    /// The same without what there may be thousands of, which is kept elsewhere in the form that serves it: routes,
    /// backends and endpoints.
    pub fn settings(&self) -> Table {
        Table {
            trust_bundles: self.trust_bundles.clone(),
            certificates: self.certificates.clone(),
            gateways: self.gateways.clone(),
            authorization_policies: self.authorization_policies.clone(),
            request_authentications: self.request_authentications.clone(),
            egress_policies: self.egress_policies.clone(),
            listeners: self.listeners.clone(),
            ..Table::default()
        }
    }
}

/// What became of an update. `applied.listeners` is left for whoever binds them.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub applied: Applied,
    pub touched: Touched,
}

/// The store behind the live table.
#[derive(Debug, Default)]
pub struct TableStore {
    table: Table,
}

impl TableStore {
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Applies one update, a wire `Snapshot` or `Delta`. Unchanged resources keep their identity (`Arc`).
    pub fn apply(&mut self, update: &[u8], checks: &dyn Checks) -> Outcome {
        match self.change(update, checks) {
            Ok(outcome) => outcome,
            Err(error) => {
                let version = self.table.version.clone();
                Outcome { applied: Applied { version, error, ..Applied::default() }, touched: Touched::default() }
            }
        }
    }

    fn change(&mut self, update: &[u8], checks: &dyn Checks) -> Result<Outcome, String> {
        let update = update::decode(update)?;
        if let Scope::Delta { base, .. } = &update.scope
            && *base != self.table.version
        {
            return Err(format!(
                "the update changes version `{base}` and version `{}` is served; send a snapshot",
                self.table.version
            ));
        }
        let mut change = Change::new(&self.table, &update.scope, checks);
        change.stage_all(&update.resources);
        change.refuse_dangling_all();
        change.refuse_conflicting_listeners();
        let Change { staged, named, mut rejected, .. } = change;
        let touched = self.commit(staged, &update.scope, &named, &mut rejected);
        self.table.version.clone_from(&update.version);
        Ok(Outcome { applied: Applied { version: update.version, rejected, ..Applied::default() }, touched })
    }

    fn commit(&mut self, staged: Table, scope: &Scope, named: &Names, rejected: &mut Vec<Rejection>) -> Touched {
        let mut touched = Touched::default();
        let mut sweep = Sweep { table: &mut self.table, scope, named, rejected, touched: &mut touched };
        sweep.insert(staged.trust_bundles);
        sweep.insert(staged.certificates);
        sweep.insert(staged.endpoints);
        sweep.insert(staged.backends);
        sweep.insert(staged.gateways);
        sweep.withdraw_refused(&staged.authorization_policies);
        sweep.insert(staged.authorization_policies);
        sweep.withdraw_refused(&staged.request_authentications);
        sweep.insert(staged.request_authentications);
        sweep.withdraw_refused(&staged.egress_policies);
        sweep.insert(staged.egress_policies);
        sweep.insert(staged.listeners);
        sweep.insert(staged.routes);
        // What uses goes before what is used.
        sweep.remove::<Route>();
        sweep.remove::<Listener>();
        sweep.remove::<RequestAuthentication>();
        sweep.remove::<EgressPolicy>();
        sweep.remove::<AuthorizationPolicy>();
        sweep.remove::<Gateway>();
        sweep.remove::<Backend>();
        sweep.remove::<Endpoints>();
        sweep.remove::<Certificate>();
        sweep.remove::<TrustBundle>();
        touched
    }
}

/// The keys that decide what goes: those a snapshot names, good or bad, or those a delta removes.
type Names = HashMap<Kind, HashSet<String>>;

/// An update on its way into the table: everything here can still be refused.
struct Change<'a> {
    current: &'a Table,
    scope: &'a Scope,
    checks: &'a dyn Checks,
    staged: Table,
    named: Names,
    rejected: Vec<Rejection>,
}

impl<'a> Change<'a> {
    fn new(current: &'a Table, scope: &'a Scope, checks: &'a dyn Checks) -> Self {
        let named = match scope {
            Scope::Snapshot => Names::new(),
            Scope::Delta { remove, .. } => {
                KINDS.into_iter().map(|kind| (kind, kind.removed(remove).iter().cloned().collect())).collect()
            }
        };
        Self { current, scope, checks, staged: Table::default(), named, rejected: Vec::new() }
    }

    fn stage_all(&mut self, raw: &RawResources<'_>) {
        self.stage::<TrustBundle>(&raw.trust_bundles);
        self.stage::<Certificate>(&raw.certificates);
        self.stage::<Endpoints>(&raw.endpoints);
        self.stage::<Backend>(&raw.backends);
        self.stage::<Gateway>(&raw.gateways);
        self.stage::<AuthorizationPolicy>(&raw.authorization_policies);
        self.stage::<RequestAuthentication>(&raw.request_authentications);
        self.stage::<EgressPolicy>(&raw.egress_policies);
        self.stage::<Listener>(&raw.listeners);
        self.stage::<Route>(&raw.routes);
    }

    fn stage<T: Resource>(&mut self, documents: &[&RawValue]) {
        let decoded = update::decode_kind(T::KIND.field(), documents, T::key, &mut self.rejected);
        let is_snapshot = matches!(self.scope, Scope::Snapshot);
        let mut named = decoded.bad;
        for resource in decoded.good {
            let key = resource.key().to_owned();
            named.insert(key.clone());
            if !is_snapshot && goes(self.scope, &self.named, T::KIND, &key) {
                continue;
            }
            // What is served already has been judged already.
            let known = T::of(self.current).get(&key).filter(|known| ***known == resource);
            if let Some(known) = known {
                T::of_mut(&mut self.staged).insert(key, Arc::clone(known));
                continue;
            }
            match resource.judge(self.checks) {
                Ok(()) => {
                    T::of_mut(&mut self.staged).insert(key, Arc::new(resource));
                }
                Err(reason) => self.reject(T::KIND, key, reason),
            }
        }
        if is_snapshot {
            self.named.insert(T::KIND, named);
        }
    }

    fn refuse_dangling_all(&mut self) {
        // In the order of use: what is refused here is missing for the kinds that follow.
        self.refuse_dangling::<Backend>();
        self.refuse_dangling::<Listener>();
        self.refuse_dangling::<Route>();
    }

    fn refuse_dangling<T: Resource>(&mut self) {
        let mut dangling = Vec::new();
        for (key, resource) in T::of(&self.staged) {
            let mut missing = None;
            resource.references(&mut |kind, target| {
                if missing.is_none() && !self.holds(kind, target) {
                    missing = Some((kind, target.to_owned()));
                }
            });
            if let Some((kind, target)) = missing {
                dangling.push((key.clone(), format!("{} `{target}` is not in the table; send it too", kind.noun())));
            }
        }
        for (key, reason) in dangling {
            T::of_mut(&mut self.staged).remove(&key);
            self.reject(T::KIND, key, reason);
        }
    }

    /// Whether the table holds `key` once the update is applied.
    fn holds(&self, kind: Kind, key: &str) -> bool {
        kind.is_in(&self.staged, key) || (kind.is_in(self.current, key) && !goes(self.scope, &self.named, kind, key))
    }

    /// One socket speaks one protocol, and each hostname on it has one owner. Who is served already stays.
    fn refuse_conflicting_listeners(&mut self) {
        while !self.staged.listeners.is_empty() {
            let staying = self.current.listeners.values().filter(|listener| {
                let key = &listener.key;
                !self.staged.listeners.contains_key(key) && !goes(self.scope, &self.named, Kind::Listeners, key)
            });
            let unchanged = |listener: &&Arc<Listener>| {
                self.current.listeners.get(&listener.key).is_some_and(|known| Arc::ptr_eq(known, listener))
            };
            let staged = self.staged.listeners.values();
            let mut owners = SocketOwners::default();
            let conflicts: Vec<_> = staying
                .chain(staged.clone().filter(unchanged))
                .chain(staged.filter(|listener| !unchanged(listener)))
                .filter_map(|listener| Some((listener.key.clone(), owners.claim(listener)?)))
                .collect();
            let before = self.staged.listeners.len();
            for (key, reason) in conflicts {
                if self.staged.listeners.remove(&key).is_some() {
                    self.reject(Kind::Listeners, key, reason);
                }
            }
            // A refused listener keeps its previous version, which may be in the way of another.
            if self.staged.listeners.len() == before {
                return;
            }
        }
    }

    fn reject(&mut self, kind: Kind, key: String, reason: String) {
        self.rejected.push(Rejection { kind: kind.field().to_owned(), key, reason });
    }
}

/// Whether `key`, served now, goes with the update.
fn goes(scope: &Scope, named: &Names, kind: Kind, key: &str) -> bool {
    let is_named = named.get(&kind).is_some_and(|keys| keys.contains(key));
    match scope {
        Scope::Snapshot => !is_named,
        Scope::Delta { .. } => is_named,
    }
}

/// The last step: puts resources into the table and takes out what goes.
struct Sweep<'a> {
    table: &'a mut Table,
    scope: &'a Scope,
    named: &'a Names,
    rejected: &'a mut Vec<Rejection>,
    touched: &'a mut Touched,
}

impl Sweep<'_> {
    fn insert<T: Resource>(&mut self, staged: BTreeMap<String, Arc<T>>) {
        let resources = T::of_mut(self.table);
        for (key, resource) in staged {
            match resources.get_mut(&key) {
                Some(known) if Arc::ptr_eq(known, &resource) => continue,
                Some(known) => *known = resource,
                None => drop(resources.insert(key.clone(), resource)),
            }
            self.touched.of_mut(T::KIND).push(key);
        }
    }

    /// An older version may permit what the refused one was to forbid: what it applied to is denied instead.
    fn withdraw_refused<T: Resource>(&mut self, staged: &BTreeMap<String, Arc<T>>) {
        for refused in self.rejected.iter().filter(|rejection| rejection.kind == T::KIND.field()) {
            if !staged.contains_key(&refused.key) && T::of_mut(self.table).remove(&refused.key).is_some() {
                self.touched.of_mut(T::KIND).push(refused.key.clone());
            }
        }
    }

    fn remove<T: Resource>(&mut self) {
        let held = T::of(self.table);
        let mut doomed: HashSet<String> = match self.scope {
            Scope::Snapshot => {
                let keys = held.keys();
                keys.filter(|key| goes(self.scope, self.named, T::KIND, key)).cloned().collect()
            }
            Scope::Delta { remove, .. } => {
                let named = T::KIND.removed(remove).iter();
                named.filter(|key| held.contains_key(*key)).cloned().collect()
            }
        };
        if doomed.is_empty() {
            return;
        }
        let users = T::KIND.users(self.table, &doomed);
        doomed.retain(|key| {
            let Some(user) = users.get(key) else { return true };
            // A snapshot takes it out later, with what still uses it now.
            if matches!(self.scope, Scope::Delta { .. }) {
                let reason = format!("{user} still uses it; change or remove that first");
                self.rejected.push(Rejection { kind: T::KIND.field().to_owned(), key: key.clone(), reason });
            }
            false
        });
        for key in doomed {
            T::of_mut(self.table).remove(&key);
            self.touched.of_mut(T::KIND).push(key);
        }
    }
}
