//! The kinds of resources: their names on the wire, and which refers to which.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sekisho_persistent::Keyed;
use serde::de::DeserializeOwned;

use crate::model::*;
use crate::store::Table;
use crate::update::Removed;
use crate::validate::Judged;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    TrustBundles,
    Certificates,
    Endpoints,
    Backends,
    Gateways,
    AuthorizationPolicies,
    RequestAuthentications,
    EgressPolicies,
    Listeners,
    Routes,
}

/// Every kind, in the order in which kinds are applied: what is used comes before what uses it.
pub const KINDS: [Kind; 10] = [
    Kind::TrustBundles,
    Kind::Certificates,
    Kind::Endpoints,
    Kind::Backends,
    Kind::Gateways,
    Kind::AuthorizationPolicies,
    Kind::RequestAuthentications,
    Kind::EgressPolicies,
    Kind::Listeners,
    Kind::Routes,
];

impl Kind {
    /// The field of `Resources` on the wire.
    pub fn field(self) -> &'static str {
        match self {
            Self::TrustBundles => "trust_bundles",
            Self::Certificates => "certificates",
            Self::Endpoints => "endpoints",
            Self::Backends => "backends",
            Self::Gateways => "gateways",
            Self::AuthorizationPolicies => "authorization_policies",
            Self::RequestAuthentications => "request_authentications",
            Self::EgressPolicies => "egress_policies",
            Self::Listeners => "listeners",
            Self::Routes => "routes",
        }
    }

    pub fn noun(self) -> &'static str {
        match self {
            Self::TrustBundles => "trust bundle",
            Self::Certificates => "certificate",
            Self::Endpoints => "endpoints",
            Self::Backends => "backend",
            Self::Gateways => "gateway",
            Self::AuthorizationPolicies => "authorization policy",
            Self::RequestAuthentications => "request authentication",
            Self::EgressPolicies => "egress policy",
            Self::Listeners => "listener",
            Self::Routes => "route",
        }
    }

    pub fn removed(self, removed: &Removed) -> &[String] {
        match self {
            Self::TrustBundles => &removed.trust_bundles,
            Self::Certificates => &removed.certificates,
            Self::Endpoints => &removed.endpoints,
            Self::Backends => &removed.backends,
            Self::Gateways => &removed.gateways,
            Self::AuthorizationPolicies => &removed.authorization_policies,
            Self::RequestAuthentications => &removed.request_authentications,
            Self::EgressPolicies => &removed.egress_policies,
            Self::Listeners => &removed.listeners,
            Self::Routes => &removed.routes,
        }
    }

    pub fn is_in(self, table: &Table, key: &str) -> bool {
        match self {
            Self::TrustBundles => table.trust_bundles.contains_key(key),
            Self::Certificates => table.certificates.contains_key(key),
            Self::Endpoints => table.endpoints.contains_key(key),
            Self::Backends => table.backends.contains_key(key),
            Self::Gateways => table.gateways.contains_key(key),
            Self::AuthorizationPolicies => table.authorization_policies.contains_key(key),
            Self::RequestAuthentications => table.request_authentications.contains_key(key),
            Self::EgressPolicies => table.egress_policies.contains_key(key),
            Self::Listeners => table.listeners.contains_key(key),
            Self::Routes => table.routes.contains_key(key),
        }
    }

    /// Which of the keys `wanted`, of this kind, some resource of the table refers to, and one that does.
    pub fn users(self, table: &Table, wanted: &HashSet<String>) -> HashMap<String, String> {
        let mut users = HashMap::new();
        match self {
            Self::TrustBundles => {
                collect_users(&table.listeners, self, wanted, &mut users);
                collect_users(&table.backends, self, wanted, &mut users);
            }
            Self::Certificates => {
                collect_users(&table.listeners, self, wanted, &mut users);
                collect_users(&table.backends, self, wanted, &mut users);
            }
            Self::Backends => collect_users(&table.routes, self, wanted, &mut users),
            Self::Gateways => collect_users(&table.listeners, self, wanted, &mut users),
            // A listener that still names a policy denies everything: nothing stands in the way of its removal.
            Self::AuthorizationPolicies
            | Self::RequestAuthentications
            | Self::EgressPolicies
            | Self::Endpoints
            | Self::Listeners
            | Self::Routes => {}
        }
        users
    }
}

fn collect_users<T: Resource>(
    resources: &BTreeMap<String, Arc<T>>,
    used: Kind,
    wanted: &HashSet<String>,
    users: &mut HashMap<String, String>,
) {
    for (key, resource) in resources {
        resource.references(&mut |kind, target| {
            if kind == used && wanted.contains(target) && !users.contains_key(target) {
                users.insert(target.to_owned(), format!("{} `{key}`", T::KIND.noun()));
            }
        });
    }
}

/// A keyed resource of the table.
pub trait Resource: Clone + DeserializeOwned + PartialEq + Judged + Keyed {
    const KIND: Kind;

    fn of(table: &Table) -> &BTreeMap<String, Arc<Self>>;

    fn of_mut(table: &mut Table) -> &mut BTreeMap<String, Arc<Self>>;

    /// Calls `each` for every resource that this one cannot be served without.
    fn references<'a>(&'a self, each: &mut dyn FnMut(Kind, &'a str));
}

macro_rules! resource {
    ($resource:ty, $kind:ident, $field:ident, $references:expr) => {
        impl Keyed for $resource {
            fn key(&self) -> &str {
                &self.key
            }
        }

        impl Resource for $resource {
            const KIND: Kind = Kind::$kind;

            fn of(table: &Table) -> &BTreeMap<String, Arc<Self>> {
                &table.$field
            }

            fn of_mut(table: &mut Table) -> &mut BTreeMap<String, Arc<Self>> {
                &mut table.$field
            }

            fn references<'a>(&'a self, each: &mut dyn FnMut(Kind, &'a str)) {
                let references: for<'r> fn(&'r Self, &mut dyn FnMut(Kind, &'r str)) = $references;
                references(self, each)
            }
        }
    };
}

resource!(TrustBundle, TrustBundles, trust_bundles, |_, _| {});
resource!(Certificate, Certificates, certificates, |_, _| {});
resource!(Endpoints, Endpoints, endpoints, |_, _| {});
resource!(Backend, Backends, backends, |backend, each| {
    if let Some(tls) = &backend.tls {
        tls.trust_bundles.iter().for_each(|bundle| each(Kind::TrustBundles, bundle));
        if !tls.client_certificate.is_empty() {
            each(Kind::Certificates, &tls.client_certificate);
        }
    }
});
resource!(Gateway, Gateways, gateways, |_, _| {});
resource!(AuthorizationPolicy, AuthorizationPolicies, authorization_policies, |_, _| {});
resource!(RequestAuthentication, RequestAuthentications, request_authentications, |_, _| {});
resource!(EgressPolicy, EgressPolicies, egress_policies, |_, _| {});
resource!(Listener, Listeners, listeners, |listener, each| {
    each(Kind::Gateways, &listener.gateway);
    listener.certificates.iter().for_each(|certificate| each(Kind::Certificates, certificate));
    if let Some(validation) = &listener.client_validation {
        validation.trust_bundles.iter().for_each(|bundle| each(Kind::TrustBundles, bundle));
    }
});
resource!(Route, Routes, routes, |route, each| {
    backends_of(&route.filters, each);
    for backend in &route.backends {
        backends_of(&backend.filters, each);
        if backend.failure.is_none() {
            each(Kind::Backends, &backend.backend);
        }
    }
});

fn backends_of<'a>(filters: &'a [Filter], each: &mut dyn FnMut(Kind, &'a str)) {
    for filter in filters {
        match filter {
            Filter::RequestMirror(mirror) => each(Kind::Backends, &mirror.backend),
            Filter::ExternalAuth(it) => each(Kind::Backends, &it.provider.backend),
            _ => {}
        }
    }
}
