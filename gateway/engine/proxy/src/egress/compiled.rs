//! Policies and ways out of one table, prepared.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_egress::{OwnAddresses, Policies, PolicySet};
use sekisho_table::{Listener, Table};

use super::own_addresses;

/// One listener that is a way out, or whose routes lead out.
#[derive(Debug)]
pub struct Outlet {
    pub policies: PolicySet,
    pub nameservers: Arc<[SocketAddr]>,
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
        // Listeners of one Gateway mostly have the same policies; what each adds is its index.
        let outlets = ways().map(|(listener, (keys, nameservers))| {
            let nameservers = nameservers.iter().filter_map(|text| text.parse().ok()).collect();
            let outlet = Outlet { policies: PolicySet::of(keys, &policies), nameservers };
            (listener.key.as_str().into(), Arc::new(outlet))
        });
        let outlets = outlets.collect();
        let bound = table.listeners.values().map(|listener| listener.address);
        let own = bound.chain(own_addresses::of_this_machine()).collect();
        Self { policies, outlets, own }
    }

    /// By the listener's key.
    pub fn outlet(&self, listener: &str) -> Option<&Arc<Outlet>> {
        self.outlets.get(listener)
    }
}
