//! The rule of a connection and a share of its backends: decided once, when the connection begins.

use std::rc::Rc;
use std::sync::Arc;

use sekisho_router::ListenerId;
use sekisho_table::Route;
use sekisho_upstream::Backend;

use crate::active_config::ActiveConfig;
use crate::authorization::{self, Caller, Told};
use crate::plan::PlannedFailure;
use crate::reason::Reason;
use crate::statistics::Slot;
use crate::worker::Worker;

/// Where a connection goes, or why nowhere; and the rule that says so.
pub struct Choice {
    pub route: Option<Arc<Route>>,
    /// Where telemetry counts it.
    pub slot: Slot,
    pub backend: Result<Rc<Backend>, Reason>,
    /// What policies had to say, where it is worth a word.
    pub authorization: Option<Rc<Told>>,
}

/// Decides, and counts what policies decide.
pub fn choose(config: &ActiveConfig, listener: ListenerId, caller: &Caller<'_>, worker: &Worker) -> Choice {
    config.hit_listener(listener);
    let mut choice = route(config, listener, caller.server_name.unwrap_or_default(), worker);
    if let Some(policies) = config.compiled.policies(listener) {
        let port = config.compiled.router.listener(listener).port;
        let verdict = authorization::decide(policies, &caller.facts(port, caller.source, None), |policy, effect| {
            worker.statistics.borrow_mut().authorized(policy, effect);
        });
        if let Some(reason) = verdict.refused {
            choice.slot = Slot::NONE;
            choice.backend = Err(reason);
        }
        choice.authorization = verdict.told.map(Rc::from);
    }
    choice
}

fn route(config: &ActiveConfig, listener: ListenerId, server_name: &str, worker: &Worker) -> Choice {
    let Some(route) = config.compiled.router.carrier(listener, server_name) else {
        return Choice { route: None, slot: Slot::NONE, backend: Err(Reason::RouteNotFound), authorization: None };
    };
    config.hit_route(route);
    let plan = config.compiled.plan(route);
    let route = Some(config.compiled.router.route(route).clone());
    let refused = |reason| Choice { route: route.clone(), slot: Slot::NONE, backend: Err(reason), authorization: None };
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
    let slot = config.slot(Some(index), &mut worker.statistics.borrow_mut());
    if let Some(failure) = &config.compiled.specs.get(index).backend.failure {
        return Choice { route, slot, backend: Err(PlannedFailure::new(failure).reason), authorization: None };
    }
    match config.backends.get(index as usize) {
        Some(backend) => Choice { route, slot, backend: Ok(backend.clone()), authorization: None },
        None => refused(Reason::BackendNotFound),
    }
}
