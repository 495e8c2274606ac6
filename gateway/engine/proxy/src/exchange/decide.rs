//! What is to be done with a request: a function of the request, its connection and the table.
//!
//! Edge rules first (they settle what the request *is*: its host, its path, whom it comes from), then the
//! route, then its filters, then a share of its backends. Nothing here waits or sends.

use std::borrow::Cow;
use std::rc::Rc;

use http::StatusCode;
use http::header::{HeaderValue, ORIGIN};
use sekisho_codec::{Headers, ResponseHead, authority};
use sekisho_filter::{ResponseContext, edge};
use sekisho_policy::Token;
use sekisho_router::{Decision, ListenerId, RequestView, RouteId, SocketId};
use sekisho_table::Listener;

use super::filters::{Filters, local};
use super::policies::{authenticate, authorize, question};
use super::record::Record;
use super::reply::Reply;
use crate::active_config::ActiveConfig;
use crate::connection::ConnectionContext;
use crate::external::Provider;
use crate::plan::{PlannedBackend, PlannedFailure, RoutePlan};
use crate::reason::Reason;

/// A request that goes to a backend.
pub struct Forward<'a> {
    pub plan: &'a RoutePlan,
    pub share: &'a PlannedBackend,
    /// Position of the backend.
    pub backend: u32,
    origin: Option<HeaderValue>,
}

impl Forward<'_> {
    /// What only the backend may see, last of all.
    pub fn inject(&self, headers: &mut Headers) {
        self.plan.filters.inject(headers);
        self.share.filters.inject(headers);
    }

    /// The response's way back passes the share's filters first.
    pub fn filter_response(&self, head: &mut ResponseHead) {
        if self.share.filters.is_empty() && self.plan.filters.is_empty() {
            return;
        }
        let context = ResponseContext { origin: self.origin.as_ref() };
        self.share.filters.on_response(&context, head);
        self.plan.filters.on_response(&context, head);
    }
}

/// The host an authority names, as it is matched: lower case, without port or trailing dot.
pub fn host_of(authority: &str) -> Option<Cow<'_, str>> {
    authority::split(authority).map(|(host, _)| authority::host_lower(host))
}

/// Why a request does not go on to a backend, or not yet.
pub enum Stop<'a> {
    Reply(Reply),
    Ask(Box<Question<'a>>),
}

impl From<Reply> for Stop<'_> {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Others are to be asked before it is decided. With their yes, [`resume`] goes on.
pub struct Question<'a> {
    found: Found,
    stage: Stage,
    /// In this order.
    pub asked: Vec<Asked<'a>>,
}

impl Question<'_> {
    /// The rule that the request would go by.
    pub fn route(&self) -> Option<RouteId> {
        self.found.route.map(|(route, _)| route)
    }
}

pub struct Asked<'a> {
    /// `None` where the table does not tell whom to ask.
    pub provider: Option<&'a Provider>,
    /// The CUSTOM policy that wants it, and its rule.
    pub policy: Option<(&'a str, u32)>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Providers of CUSTOM policies; DENY and ALLOW follow.
    Policies,
    /// Those that filters of the rule name; the other filters follow.
    Filters,
}

/// Where a request belongs; there may be no rule for it.
#[derive(Clone)]
pub struct Found {
    pub listener: ListenerId,
    route: Option<(RouteId, u32)>,
    /// Proved.
    pub token: Option<Rc<Token>>,
}

/// Decides, changing the record's head into what the backend is to see.
pub fn decide<'a>(
    config: &'a ActiveConfig,
    context: &ConnectionContext,
    record: &mut Record,
) -> Result<Forward<'a>, Stop<'a>> {
    let compiled = &config.compiled;
    let socket = record.socket.ok_or_else(not_found)?;
    if compiled.socket_plan(socket).tls.is_some() != context.tls {
        // The listener changed its protocol since this connection was accepted.
        return Err(Reply::new(StatusCode::MISDIRECTED_REQUEST, Reason::MisdirectedRequest).into());
    }
    apply_edge_rules(context, record);
    let found = find(config, socket, context, record)?;
    if let Some(policies) = compiled.policies(found.listener) {
        let asked = question(config, policies, &found, context, record)?;
        if !asked.is_empty() {
            return Err(Stop::Ask(Box::new(Question { found, stage: Stage::Policies, asked })));
        }
        authorize(config, policies, &found, context, record)?;
    }
    admitted(config, found, record)
}

/// Goes on where `question` was put, now that all that were asked have said yes.
pub fn resume<'a>(
    config: &'a ActiveConfig,
    context: &ConnectionContext,
    record: &mut Record,
    question: &Question<'a>,
) -> Result<Forward<'a>, Stop<'a>> {
    let compiled = &config.compiled;
    let found = question.found.clone();
    match question.stage {
        Stage::Policies => {
            if let Some(policies) = compiled.policies(found.listener) {
                authorize(config, policies, &found, context, record)?;
            }
            admitted(config, found, record)
        }
        Stage::Filters => Ok(forward(config, &found, record)?),
    }
}

/// Of a request that policies let in.
fn admitted<'a>(config: &'a ActiveConfig, found: Found, record: &mut Record) -> Result<Forward<'a>, Stop<'a>> {
    if let Some((route, _)) = found.route {
        let plan = config.compiled.plan(route);
        if let Some(ranges) = &plan.source_ranges
            && !ranges.admits(record.client)
        {
            return Err(Reply::new(StatusCode::FORBIDDEN, Reason::SourceDenied).into());
        }
        if let (Some(providers), None) = (&plan.external, &plan.failure) {
            if let Some(response) = plan.filters.preflight(&record.head) {
                return Err(local(response).into());
            }
            let asked = providers.iter().map(|provider| Asked { provider: Some(provider), policy: None }).collect();
            return Err(Stop::Ask(Box::new(Question { found, stage: Stage::Filters, asked })));
        }
    }
    Ok(forward(config, &found, record)?)
}

fn forward<'a>(config: &'a ActiveConfig, found: &Found, record: &mut Record) -> Result<Forward<'a>, Reply> {
    let compiled = &config.compiled;
    let (route, rule_match) = found.route.ok_or_else(not_found)?;
    let plan = compiled.plan(route);
    if let Some(failure) = &plan.failure {
        return Err(failed(failure));
    }
    let origin = if plan.needs_origin { record.head.headers.get(&ORIGIN).cloned() } else { None };
    let share = plan.backend(fastrand::u64(..));
    if !plan.filters.is_empty() || share.is_some_and(|share| !share.filters.is_empty()) {
        record.keep_received();
    }
    let filters = Filters { router: &compiled.router, listener: found.listener, route, rule_match };
    filters.run(&plan.filters, record)?;
    let share = share.ok_or_else(no_backends)?;
    let backend = *share.target.as_ref().map_err(failed)?;
    record.place.backend = Some(backend);
    if let Some(failure) = &compiled.specs.get(backend).backend.failure {
        return Err(failed(&PlannedFailure::new(failure)));
    }
    filters.run(&share.filters, record)?;
    Ok(Forward { plan, share, backend, origin })
}

fn apply_edge_rules(context: &ConnectionContext, record: &mut Record) {
    let head = &mut record.head;
    edge::underscore::drop_shadowing(&mut head.headers);
    record.trace_id = Some(edge::traceparent::apply(&mut head.headers));
    edge::request_id::apply(context.trusted_hops, &mut head.headers);
    record.client = context.forwarding.apply(head).address;
}

fn find(
    config: &ActiveConfig,
    socket: SocketId,
    context: &ConnectionContext,
    record: &mut Record,
) -> Result<Found, Reply> {
    let mut decision = look_up(config, socket, context, record)?;
    let mut token = None;
    if let Decision::Matched { listener, .. } | Decision::NoRoute { listener: Some(listener) } = decision {
        record.place.listener = Some(listener);
        config.hit_listener(listener);
        if let Some(set) = config.compiled.authentication(listener) {
            let authenticated = authenticate(set, context, record)?;
            token = authenticated.token;
            if authenticated.changed {
                // Headers of claims are the gateway's word: a route is chosen by them, and not by a client's.
                decision = look_up(config, socket, context, record)?;
            }
        }
    }
    match decision {
        Decision::Matched { listener, route, rule_match } => {
            config.hit_route(route);
            record.place.route = Some(route);
            Ok(Found { listener, route: Some((route, rule_match)), token })
        }
        // Policies come first: whether a route exists is nothing that everybody may know.
        Decision::NoRoute { listener } => Ok(Found { listener: listener.ok_or_else(not_found)?, route: None, token }),
        Decision::Misdirected { listener } => {
            record.place.listener = Some(listener);
            Err(Reply::new(StatusCode::MISDIRECTED_REQUEST, Reason::MisdirectedRequest))
        }
    }
}

fn look_up(
    config: &ActiveConfig,
    socket: SocketId,
    context: &ConnectionContext,
    record: &Record,
) -> Result<Decision, Reply> {
    let head = &record.head;
    let host = head.authority.to_str().ok().and_then(host_of).ok_or_else(malformed)?;
    let (path, query) = head.path_and_query();
    let view = RequestView {
        tls: context.tls,
        sni: context.sni.as_deref(),
        method: head.method.as_str(),
        host: &host,
        path,
        query,
        headers: &head.headers,
    };
    let router = &config.compiled.router;
    Ok(match router.find(socket, &view) {
        Decision::Matched { listener, .. } if is_stricter(router.listener(listener), context) => {
            Decision::Misdirected { listener }
        }
        decision => decision,
    })
}

/// Whether a listener asks more of client certificates than the handshake did: it may have learnt to since.
fn is_stricter(listener: &Listener, context: &ConnectionContext) -> bool {
    listener.client_validation.is_some() && listener.client_validation != context.validation
}

fn failed(failure: &PlannedFailure) -> Reply {
    Reply::new(failure.status, failure.reason)
}

fn not_found() -> Reply {
    Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound)
}

pub fn malformed() -> Reply {
    Reply::new(StatusCode::BAD_REQUEST, Reason::RequestMalformed)
}

fn no_backends() -> Reply {
    Reply::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::NoBackends)
}
