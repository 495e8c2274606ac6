//! Policies and ways out of one table, prepared.

use std::collections::HashMap;
use std::sync::Arc;

use sekisho_egress::{OwnAddresses, Policies, PolicySet};
use sekisho_table::{Listener, NameServer, Table};

use super::own_addresses;

/// One listener that is a way out, or whose routes lead out.
#[derive(Debug)]
pub struct Outlet {
    pub policies: Arc<PolicySet>,
    pub nameservers: Arc<[NameServer]>,
}

/// Keys of the policies that decide at a listener, and the servers it asks for names.
fn deciding(listener: &Listener) -> Option<(&[String], &[String])> {
    let way = listener.egress.as_ref().map(|egress| (&*egress.policies, &*egress.nameservers));
    way.or_else(|| listener.routed_egress.as_ref().map(|egress| (&*egress.policies, &*egress.nameservers)))
}

#[derive(Debug, Default)]
pub struct Egress {
    policies: Policies,
    outlets: HashMap<Box<str>, Arc<Outlet>>,
    /// Of this gateway.
    pub own: OwnAddresses,
}

impl Egress {
    pub fn compile(table: &Table, previous: &Egress) -> Self {
        let ways = || table.listeners.values().filter_map(|listener| Some((listener, deciding(listener)?)));
        if ways().next().is_none() {
            return Self::default();
        }
        let policies = Policies::compile(&table.egress_policies, &previous.policies);
        // Listeners of one Gateway mostly have the same policies, and most changes are of something else.
        let mut sets: HashMap<&[String], Arc<PolicySet>> = HashMap::new();
        let mut outlets = HashMap::new();
        for (listener, (keys, nameservers)) in ways() {
            let set = sets.entry(keys).or_insert_with(|| {
                let known = previous.outlet(&listener.key).map(|known| &known.policies);
                let unchanged = known.filter(|known| known.is_of(keys, &policies));
                unchanged.cloned().unwrap_or_else(|| Arc::new(PolicySet::of(keys, &policies)))
            });
            let nameservers = nameservers.iter().filter_map(|text| text.parse().ok()).collect();
            outlets.insert(listener.key.as_str().into(), Arc::new(Outlet { policies: set.clone(), nameservers }));
        }
        let bound = table.listeners.values().map(|listener| listener.address);
        let own = bound.chain(own_addresses::of_this_machine()).collect();
        Self { policies, outlets, own }
    }

    /// By the listener's key.
    pub fn outlet(&self, listener: &str) -> Option<&Arc<Outlet>> {
        self.outlets.get(listener)
    }
}
