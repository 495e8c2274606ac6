//! A request that a route sends outside: what becomes of it at each of the rule's backends.
//!
//! Filters, the name that is sent and the decision are those of [`super::routed`]; nothing is resolved, and nothing is counted.

use http::header::HeaderValue;
use sekisho_codec::RequestHead;
use sekisho_egress::{Caller, EgressExplanation, Host};
use sekisho_router::{ListenerId, RouteId};
use sekisho_table::{Filter, WeightedBackend};
use serde::Serialize;

use super::explain::Explained;
use super::open::{Asked, Spoken};
use super::reply;
use super::routed::name_destination;
use crate::config::Compiled;
use crate::exchange::filters::Filters;
use crate::plan::PlannedBackend;
use crate::reason::Reason;

/// Keys of backends that were written to lead outside. Others with a name count where policies are asked about it.
pub(super) const EXTERNAL: &str = "XBackend/";

/// One backend outside, and whether a request gets there.
#[derive(Debug, Serialize)]
pub struct RoutedExplanation {
    pub backend: String,
    pub weight: u32,
    pub host: String,
    pub port: u16,
    /// What is spoken: `HTTP`, `TLS`, or `TCP` where it may be anything.
    pub protocol: &'static str,
    /// As they are sent; nothing of connections.
    pub method: String,
    pub path: String,
    /// Of what a client sends, a `ClientHello` with the host's name must come first.
    pub must_ask_for_host: bool,
    /// The gateway's own answer; `None` where the request goes out.
    pub status: Option<u16>,
    /// A reason code, with `status`.
    pub code: Option<String>,
    /// Headers whose values come from Secrets: their names.
    pub credentials: Vec<String>,
    /// `None` where no policy speaks for the listener, or policies are not asked any more.
    pub egress: Option<EgressExplanation>,
}

/// A request and the rule that takes it.
pub struct RoutedRequest<'a> {
    pub listener: ListenerId,
    pub route: RouteId,
    pub rule_match: u32,
    /// As the rule's filters get it.
    pub head: &'a RequestHead,
    pub caller: Caller,
}

impl RoutedRequest<'_> {
    /// What becomes of it, for each backend with a share that is a host outside. Nothing where the gateway answers by itself.
    pub fn explain(&self, compiled: &Compiled) -> Vec<RoutedExplanation> {
        let plan = compiled.plan(self.route);
        let mut head = self.head.clone();
        if plan.failure.is_some() || self.filtered(compiled, &plan.filters, &mut head).is_none() {
            return Vec::new();
        }
        let route = compiled.router.route(self.route);
        let shares = route.backends.iter().zip(plan.backends()).filter(|(share, _)| share.weight > 0);
        shares.filter_map(|(share, planned)| self.at(compiled, &head, share, planned)).collect()
    }

    fn filtered(&self, compiled: &Compiled, plan: &sekisho_filter::FilterPlan, head: &mut RequestHead) -> Option<()> {
        let filters = Filters {
            router: &compiled.router,
            listener: self.listener,
            route: self.route,
            rule_match: self.rule_match,
        };
        filters.apply(plan, &self.head.authority, head).ok()
    }

    fn at(
        &self,
        compiled: &Compiled,
        head: &RequestHead,
        share: &WeightedBackend,
        planned: &PlannedBackend,
    ) -> Option<RoutedExplanation> {
        let spec = compiled.specs.get(*planned.target.as_ref().ok()?);
        let (host, port) = spec.outside()?;
        let is_guarded = compiled.router.listener(self.listener).routed_egress.is_some();
        if spec.backend.failure.is_some() || !(is_guarded || share.backend.starts_with(EXTERNAL)) {
            return None;
        }
        let mut head = head.clone();
        self.filtered(compiled, &planned.filters, &mut head)?;
        let rule = &compiled.router.route(self.route).filters;
        let mut explained = RoutedExplanation {
            backend: share.backend.clone(),
            weight: share.weight,
            host: host.to_owned(),
            port,
            protocol: "HTTP",
            method: head.method.as_str().to_owned(),
            path: head.path().to_owned(),
            must_ask_for_host: false,
            status: None,
            code: None,
            credentials: rule.iter().chain(&share.filters).flat_map(credentials).collect(),
            egress: None,
        };
        if is_guarded {
            let server_name = spec.backend.tls.as_ref().map(|tls| tls.server_name.as_str());
            match self.let_out(compiled, &mut head, (host, port), server_name) {
                Ok(Explained { explanation, refused }) => {
                    explained.egress = Some(explanation);
                    explained.answered(refused);
                }
                Err(reason) => explained.answered(Some(reason)),
            }
        }
        Some(explained)
    }

    /// In the order of [`super::Leave::ask`].
    fn let_out(
        &self,
        compiled: &Compiled,
        head: &mut RequestHead,
        (host, port): (&str, u16),
        server_name: Option<&str>,
    ) -> Result<Explained, Reason> {
        let host = Host::parse(host).map_err(|_| Reason::EgressNameInvalid)?;
        let spoken = Spoken::Http { method: head.method.clone(), path: head.path().into() };
        let asked = Asked { caller: self.caller.clone(), host, port, spoken };
        let rewritten = self.is_rewritten(&head.authority);
        name_destination(head, &asked, server_name, rewritten)?;
        let listener = &compiled.router.listener(self.listener).key;
        let outlet = compiled.egress.outlet(listener).ok_or(Reason::EgressPolicyUnavailable)?;
        Ok(Explained::of(&compiled.egress, outlet, &asked, false))
    }

    fn is_rewritten(&self, authority: &HeaderValue) -> bool {
        *authority != self.head.authority
    }
}

impl RoutedExplanation {
    pub(super) fn answered(&mut self, refused: Option<Reason>) {
        self.status = refused.map(|reason| reply::status(reason).as_u16());
        self.code = refused.map(|reason| reason.code().to_owned());
    }
}

fn credentials(filter: &Filter) -> Vec<String> {
    match filter {
        Filter::CredentialInjection(it) => it.headers.iter().map(|header| header.name.clone()).collect(),
        _ => Vec::new(),
    }
}
