//! A connection that a route sends outside: what becomes of it at each of the rule's backends.
//!
//! In the order of [`super::carried`]; nothing is resolved, and what a client would send is not known.

use sekisho_egress::{Caller, Host};
use sekisho_router::{ListenerId, RouteId};
use sekisho_table::{TlsMode, WeightedBackend};

use super::carried::Secured;
use super::explain::Explained;
use super::explain_routed::{EXTERNAL, RoutedExplanation};
use super::open::Asked;
use crate::config::Compiled;
use crate::plan::PlannedBackend;
use crate::reason::Reason;

/// A connection and the rule that takes it.
pub struct CarriedConnection<'a> {
    pub listener: ListenerId,
    pub route: RouteId,
    pub server_name: Option<&'a str>,
    pub caller: Caller,
}

impl CarriedConnection<'_> {
    /// For each backend with a share that is a host outside. Nothing where the connection is closed anyway.
    pub fn explain(&self, compiled: &Compiled) -> Vec<RoutedExplanation> {
        let plan = compiled.plan(self.route);
        if plan.failure.is_some() {
            return Vec::new();
        }
        let route = compiled.router.route(self.route);
        let shares = route.backends.iter().zip(plan.backends()).filter(|(share, _)| share.weight > 0);
        shares.filter_map(|(share, planned)| self.at(compiled, share, planned)).collect()
    }

    fn at(&self, compiled: &Compiled, share: &WeightedBackend, planned: &PlannedBackend) -> Option<RoutedExplanation> {
        let spec = compiled.specs.get(*planned.target.as_ref().ok()?);
        let (host, port) = spec.outside()?;
        let listener = compiled.router.listener(self.listener);
        let is_guarded = listener.routed_egress.is_some();
        if spec.backend.failure.is_some() || !(is_guarded || share.backend.starts_with(EXTERNAL)) {
            return None;
        }
        let secured = Secured::of(listener.tls_mode != TlsMode::Passthrough, spec.backend.tls.as_deref());
        let mut explained = RoutedExplanation {
            backend: share.backend.clone(),
            weight: share.weight,
            host: host.to_owned(),
            port,
            protocol: if let Secured::Unknown = secured { "TCP" } else { "TLS" },
            method: String::new(),
            path: String::new(),
            must_ask_for_host: false,
            status: None,
            code: None,
            credentials: Vec::new(),
            egress: None,
        };
        if is_guarded {
            match self.let_out(compiled, &mut explained, secured) {
                Ok(Explained { explanation, refused }) => {
                    explained.egress = Some(explanation);
                    explained.answered(refused);
                }
                Err(reason) => explained.answered(Some(reason)),
            }
        }
        Some(explained)
    }

    fn let_out(
        &self,
        compiled: &Compiled,
        explained: &mut RoutedExplanation,
        secured: Secured<'_>,
    ) -> Result<Explained, Reason> {
        let host = Host::parse(&explained.host).map_err(|_| Reason::EgressNameInvalid)?;
        let names_host = |name: &str| Host::parse(name).as_ref() == Ok(&host);
        if let Secured::ByGateway(name) = secured
            && !names_host(name)
        {
            return Err(Reason::EgressNameMismatch);
        }
        let agrees = self.server_name.is_none_or(names_host);
        let asked = Asked { caller: self.caller.clone(), host, port: explained.port, spoken: secured.spoken() };
        let listener = &compiled.router.listener(self.listener).key;
        let outlet = compiled.egress.outlet(listener).ok_or(Reason::EgressPolicyUnavailable)?;
        let mut found = Explained::of(&compiled.egress, outlet, &asked, false);
        let by_rule = found.explanation.allowed && !found.explanation.would_deny;
        explained.must_ask_for_host = by_rule
            && match secured {
                Secured::ByGateway(_) => false,
                Secured::ByClient => true,
                Secured::Unknown => !found.explanation.opaque,
            };
        if explained.must_ask_for_host && matches!(secured, Secured::ByClient) && !agrees {
            found.refused = Some(Reason::EgressNameMismatch);
        }
        Ok(found)
    }
}
