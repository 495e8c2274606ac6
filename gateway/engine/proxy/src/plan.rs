//! What each rule does with a request, prepared when the table is built.
//!
//! Nothing here is worked out per request: filters are compiled, weights added up, backends are
//! positions. A rule that configures nothing costs a branch.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sekisho_filter::{FilterPlan, Mirror};
use sekisho_persistent::Slots;
use sekisho_router::Router;
use sekisho_table::{Failure, Filter, Retry, Route, RouteKind, WeightedBackend};
use sekisho_upstream::BackendSpecs;

use crate::external::Provider;
use crate::reason::Reason;
use crate::source_ranges::SourceRanges;

/// An answer given in place of a rule or of a backend's share.
#[derive(Clone, Debug)]
pub struct PlannedFailure {
    pub status: StatusCode,
    pub reason: Reason,
}

impl PlannedFailure {
    pub fn new(failure: &Failure) -> Self {
        Self {
            status: StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason: Reason::from_code(&failure.code).unwrap_or(Reason::BackendNotFound),
        }
    }

    fn missing_backend() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason: Reason::BackendNotFound }
    }
}

/// A share of a rule's traffic.
#[derive(Debug)]
pub struct PlannedBackend {
    pub target: Result<u32, PlannedFailure>,
    pub filters: FilterPlan,
    pub mirrors: Box<[PlannedMirror]>,
    /// Sum of the weights up to and including this one.
    cumulative_weight: u64,
}

/// A mirror and the position of its backend.
#[derive(Clone, Debug)]
pub struct PlannedMirror {
    pub backend: u32,
    pub mirror: Mirror,
}

#[derive(Debug)]
pub struct PlannedRetry {
    pub codes: Vec<u16>,
    pub attempts: u32,
    pub backoff: Duration,
}

impl PlannedRetry {
    fn new(retry: &Retry) -> Self {
        Self { codes: retry.codes.clone(), attempts: retry.attempts, backoff: Duration::from_millis(retry.backoff_ms) }
    }
}

/// One rule. Small, and what few rules have is elsewhere: with thousands of rules in use, what is read of each is seldom
/// cached.
#[derive(Debug)]
pub struct RoutePlan {
    pub grpc: bool,
    pub filters: FilterPlan,
    /// Some filter, of the rule or of a share, looks at the request's `Origin` when the response comes.
    pub needs_origin: bool,
    pub mirrors: Box<[PlannedMirror]>,
    /// Whom it answers at all, by address.
    pub source_ranges: Option<Box<SourceRanges>>,
    /// Who is asked about its requests, in order.
    pub external: Option<Box<[Provider]>>,
    pub request_timeout_ms: u64,
    pub backend_request_timeout_ms: u64,
    pub retry: Option<Box<PlannedRetry>>,
    pub failure: Option<PlannedFailure>,
    backends: Box<[PlannedBackend]>,
    total_weight: u64,
}

impl RoutePlan {
    pub fn new(route: &Route, specs: &BackendSpecs) -> Self {
        let mut total_weight = 0;
        let backends: Box<[PlannedBackend]> = route
            .backends
            .iter()
            .map(|backend| {
                total_weight += u64::from(backend.weight);
                planned_backend(backend, specs, total_weight)
            })
            .collect();
        let filters = FilterPlan::compile(&route.filters);
        Self {
            grpc: route.kind == RouteKind::Grpc,
            needs_origin: filters.needs_origin() || backends.iter().any(|share| share.filters.needs_origin()),
            mirrors: mirrors(&filters, specs),
            filters,
            source_ranges: SourceRanges::of(&route.filters),
            external: external(&route.filters, specs),
            request_timeout_ms: route.timeouts.request_ms,
            backend_request_timeout_ms: route.timeouts.backend_request_ms,
            retry: route.retry.as_ref().map(|retry| Box::new(PlannedRetry::new(retry))),
            failure: route.failure.as_deref().map(PlannedFailure::new),
            backends,
            total_weight,
        }
    }

    /// In the order of the rule's backends, those without weight among them.
    pub fn backends(&self) -> &[PlannedBackend] {
        &self.backends
    }

    /// The backend for a request, given a random number; `None` when no backend has any weight.
    pub fn backend(&self, random: u64) -> Option<&PlannedBackend> {
        match &*self.backends {
            [only] if self.total_weight > 0 => Some(only),
            _ if self.total_weight == 0 => None,
            several => {
                let point = random % self.total_weight;
                several.iter().find(|backend| point < backend.cumulative_weight)
            }
        }
    }
}

fn planned_backend(backend: &WeightedBackend, specs: &BackendSpecs, cumulative_weight: u64) -> PlannedBackend {
    let target = match &backend.failure {
        Some(failure) => Err(PlannedFailure::new(failure)),
        None => specs.index(&backend.backend).ok_or_else(PlannedFailure::missing_backend),
    };
    let filters = FilterPlan::compile(&backend.filters);
    PlannedBackend { target, mirrors: mirrors(&filters, specs), filters, cumulative_weight }
}

fn mirrors(filters: &FilterPlan, specs: &BackendSpecs) -> Box<[PlannedMirror]> {
    let known = filters.mirrors().iter().filter_map(|mirror| Some((specs.index(&mirror.backend)?, mirror)));
    known.map(|(backend, mirror)| PlannedMirror { backend, mirror: mirror.clone() }).collect()
}

fn external(filters: &[Filter], specs: &BackendSpecs) -> Option<Box<[Provider]>> {
    let asked = filters.iter().filter_map(|filter| match filter {
        Filter::ExternalAuth(it) => Some(Provider::new(&it.provider, specs)),
        _ => None,
    });
    let asked: Box<[Provider]> = asked.collect();
    (!asked.is_empty()).then_some(asked)
}

/// By [`RouteId`].
pub type Plans = Slots<Arc<RoutePlan>>;

/// The plans of every rule, given those of the table before: only what was touched is prepared anew. A rule's backends
/// keep their positions while the table has the rule.
pub fn plans(before: &Plans, known: &Router, router: &Router, specs: &BackendSpecs, touched: &[String]) -> Plans {
    let mut plans = before.clone();
    for id in touched.iter().filter_map(|key| known.route_id(key)) {
        plans.set(id.0 as usize, None);
    }
    for id in touched.iter().filter_map(|key| router.route_id(key)) {
        plans.set(id.0 as usize, Some(Arc::new(RoutePlan::new(router.route(id), specs))));
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(weights: &[u32]) -> RoutePlan {
        let backends = weights
            .iter()
            .map(|weight| WeightedBackend {
                backend: "absent".into(),
                weight: *weight,
                filters: Vec::new(),
                failure: None,
            })
            .collect();
        let route = Route {
            key: "HTTPRoute/default/shop/0".into(),
            kind: RouteKind::Http,
            object: "default/shop".into(),
            rule: 0,
            rank: 0,
            created: 0,
            name: String::new(),
            attachments: Vec::new(),
            matches: Vec::new(),
            filters: Vec::new(),
            backends,
            timeouts: Default::default(),
            retry: None,
            failure: None,
        };
        RoutePlan::new(&route, &BackendSpecs::default())
    }

    #[test]
    fn weights_share_the_traffic_and_zero_gets_none() {
        let plan = plan(&[3, 0, 1]);
        let mut hits = [0; 3];
        for point in 0..4000 {
            let chosen = plan.backend(point).expect("some weight");
            let index = plan.backends.iter().position(|b| std::ptr::eq(b, chosen)).expect("of this plan");
            hits[index] += 1;
        }
        assert_eq!(hits, [3000, 0, 1000]);
    }

    #[test]
    fn no_weight_at_all_means_no_backend() {
        assert!(plan(&[0, 0]).backend(7).is_none());
        assert!(plan(&[]).backend(7).is_none());
        assert!(plan(&[0]).backend(7).is_none());
    }
}
