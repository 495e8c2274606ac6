//! What an update touched, key by key; what needs rebuilding follows from it.

use crate::kind::Kind;
use crate::store::Table;

/// Keys of resources that came, changed or went, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    pub trust_bundles: Vec<String>,
    pub certificates: Vec<String>,
    pub endpoints: Vec<String>,
    pub backends: Vec<String>,
    pub gateways: Vec<String>,
    pub authorization_policies: Vec<String>,
    pub request_authentications: Vec<String>,
    pub egress_policies: Vec<String>,
    pub listeners: Vec<String>,
    pub routes: Vec<String>,
}

impl Touched {
    /// As by an update that brings all of `table`.
    pub fn everything(table: &Table) -> Self {
        Self {
            trust_bundles: table.trust_bundles.keys().cloned().collect(),
            certificates: table.certificates.keys().cloned().collect(),
            endpoints: table.endpoints.keys().cloned().collect(),
            backends: table.backends.keys().cloned().collect(),
            gateways: table.gateways.keys().cloned().collect(),
            authorization_policies: table.authorization_policies.keys().cloned().collect(),
            request_authentications: table.request_authentications.keys().cloned().collect(),
            egress_policies: table.egress_policies.keys().cloned().collect(),
            listeners: table.listeners.keys().cloned().collect(),
            routes: table.routes.keys().cloned().collect(),
        }
    }

    /// Whether anything was touched that is few in a table: all but routes, backends and endpoints.
    pub fn settings(&self) -> bool {
        let few = [
            &self.trust_bundles,
            &self.certificates,
            &self.gateways,
            &self.authorization_policies,
            &self.request_authentications,
            &self.egress_policies,
            &self.listeners,
        ];
        few.iter().any(|keys| !keys.is_empty())
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut Vec<String> {
        match kind {
            Kind::TrustBundles => &mut self.trust_bundles,
            Kind::Certificates => &mut self.certificates,
            Kind::Endpoints => &mut self.endpoints,
            Kind::Backends => &mut self.backends,
            Kind::Gateways => &mut self.gateways,
            Kind::AuthorizationPolicies => &mut self.authorization_policies,
            Kind::RequestAuthentications => &mut self.request_authentications,
            Kind::EgressPolicies => &mut self.egress_policies,
            Kind::Listeners => &mut self.listeners,
            Kind::Routes => &mut self.routes,
        }
    }
}
