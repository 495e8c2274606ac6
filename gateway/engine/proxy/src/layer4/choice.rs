//! The rule of a connection and a share of its backends: decided once, when the connection begins.

use std::rc::Rc;
use std::sync::Arc;

use sekisho_router::ListenerId;
use sekisho_table::Route;
use sekisho_upstream::Backend;

use crate::active_config::ActiveConfig;
use crate::plan::PlannedFailure;
use crate::reason::Reason;
use crate::statistics::Slot;

/// Where a connection goes, or why nowhere; and the rule that says so.
pub struct Choice {
    pub route: Option<Arc<Route>>,
    /// Where telemetry counts it.
    pub slot: Slot,
    pub backend: Result<Rc<Backend>, Reason>,
}

pub fn choose(config: &ActiveConfig, listener: ListenerId, server_name: &str) -> Choice {
    config.hit_listener(listener);
    let Some(route) = config.compiled.router.carrier(listener, server_name) else {
        return Choice { route: None, slot: Slot::NONE, backend: Err(Reason::RouteNotFound) };
    };
    config.hit_route(route);
    let plan = &config.compiled.plans[route.0 as usize];
    let route = Some(config.compiled.router.route(route).clone());
    let refused = |reason| Choice { route: route.clone(), slot: Slot::NONE, backend: Err(reason) };
    if let Some(failure) = &plan.failure {
        return refused(failure.reason);
    }
    let Some(share) = plan.backend(fastrand::u64(..)) else {
        return refused(Reason::NoBackends);
    };
    let index = match &share.target {
        Ok(index) => *index,
        Err(failure) => return refused(failure.reason),
    };
    let slot = config.slot(Some(index));
    if let Some(failure) = &config.compiled.specs.get(index).backend.failure {
        return Choice { route, slot, backend: Err(PlannedFailure::new(failure).reason) };
    }
    match config.backends.get(index as usize) {
        Some(backend) => Choice { route, slot, backend: Ok(backend.clone()) },
        None => refused(Reason::BackendNotFound),
    }
}
