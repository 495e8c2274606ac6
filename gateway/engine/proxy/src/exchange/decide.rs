//! What is to be done with a request: a function of the request, its connection and the table.
//!
//! Edge rules first (they settle what the request *is*: its host, its path, whom it comes from), then the
//! route, then its filters, then a share of its backends. Nothing here waits or sends.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{HeaderValue, ORIGIN};
use sekisho_codec::{RequestHead, ResponseHead, authority, target};
use sekisho_filter::{RequestContext, ResponseContext, Verdict, edge};
use sekisho_router::{Decision, ListenerId, RequestView, RouteId, SocketId};
use sekisho_table::{Listener, PathMatchType, Route};

use super::record::Record;
use super::reply::Reply;
use crate::connection::ConnectionContext;
use crate::plan::{PlannedBackend, PlannedFailure, RoutePlan};
use crate::reason::Reason;
use crate::worker::ActiveConfig;

/// A request that goes to a backend.
pub struct Forward<'a> {
    pub plan: &'a RoutePlan,
    pub share: &'a PlannedBackend,
    /// Position of the backend.
    pub backend: u32,
    origin: Option<HeaderValue>,
}

impl Forward<'_> {
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

/// Decides, changing `head` into what the backend is to see.
pub fn decide<'a>(
    config: &'a ActiveConfig,
    context: &ConnectionContext,
    head: &mut RequestHead,
    record: &mut Record,
) -> Result<Forward<'a>, Reply> {
    let compiled = &config.compiled;
    let socket = record.socket.ok_or_else(not_found)?;
    if compiled.socket_plan(socket).tls.is_some() != context.tls {
        // The listener changed its protocol since this connection was accepted.
        return Err(Reply::new(StatusCode::MISDIRECTED_REQUEST, Reason::MisdirectedRequest));
    }
    normalize(head)?;
    apply_edge_rules(context, head, record);
    let authority = head.authority.clone();
    let host = authority.to_str().ok().and_then(host_of).ok_or_else(malformed)?;
    let (listener, route, rule_match) = find(config, socket, context, head, &host, record)?;
    let plan = &compiled.plans[route.0 as usize];
    if let Some(failure) = &plan.failure {
        return Err(failed(failure));
    }
    let origin = if plan.needs_origin { head.headers.get(&ORIGIN).cloned() } else { None };
    let request = RequestContext {
        matched_prefix: matched_prefix(compiled.router.route(route), rule_match),
        listener_port: compiled.router.listener(listener).port,
        host: &host,
        scheme: head.scheme,
    };
    if !plan.filters.is_empty() {
        run_filters(&plan.filters, &request, head)?;
    }
    let share = plan.backend(fastrand::u64(..)).ok_or_else(no_backends)?;
    let backend = *share.target.as_ref().map_err(failed)?;
    record.backend = Some(backend);
    if let Some(failure) = &compiled.specs.get(backend).backend.failure {
        return Err(failed(&PlannedFailure::new(failure)));
    }
    if !share.filters.is_empty() {
        run_filters(&share.filters, &request, head)?;
    }
    Ok(Forward { plan, share, backend, origin })
}

/// What the request asks for, without ambiguity: the backend sees the path that was matched.
fn normalize(head: &mut RequestHead) -> Result<(), Reply> {
    match target::normalize(&head.target) {
        Ok(target::Normalized::Unchanged) => Ok(()),
        Ok(target::Normalized::Changed(changed)) => {
            head.target = changed;
            Ok(())
        }
        Err(_) => Err(malformed()),
    }
}

fn apply_edge_rules(context: &ConnectionContext, head: &mut RequestHead, record: &mut Record) {
    edge::underscore::drop_shadowing(&mut head.headers);
    record.client = context.forwarding.apply(head).address;
    record.note_forwarded_for(&head.headers);
    record.request_id = Some(edge::request_id::apply(context.trusted_hops, &mut head.headers));
    record.trace_id = Some(edge::traceparent::apply(&mut head.headers));
}

fn find(
    config: &ActiveConfig,
    socket: SocketId,
    context: &ConnectionContext,
    head: &RequestHead,
    host: &str,
    record: &mut Record,
) -> Result<(ListenerId, RouteId, u32), Reply> {
    let view = RequestView {
        tls: context.tls,
        sni: context.sni.as_deref(),
        method: head.method.as_str(),
        host,
        path: head.path(),
        query: head.query(),
        headers: &head.headers,
    };
    match config.compiled.router.find(socket, &view) {
        Decision::Matched { listener, .. } if is_stricter(config.compiled.router.listener(listener), context) => {
            record.listener = Some(listener);
            Err(Reply::new(StatusCode::MISDIRECTED_REQUEST, Reason::MisdirectedRequest))
        }
        Decision::Matched { listener, route, rule_match } => {
            config.hit_listener(listener.0);
            config.hit_route(route.0);
            record.listener = Some(listener);
            record.route = Some(route);
            Ok((listener, route, rule_match))
        }
        Decision::NoRoute { listener } => {
            if let Some(listener) = listener {
                config.hit_listener(listener.0);
            }
            record.listener = listener;
            Err(not_found())
        }
        Decision::Misdirected { listener } => {
            record.listener = Some(listener);
            Err(Reply::new(StatusCode::MISDIRECTED_REQUEST, Reason::MisdirectedRequest))
        }
    }
}

/// Whether a listener asks more of client certificates than the handshake did: it may have learnt to since.
fn is_stricter(listener: &Listener, context: &ConnectionContext) -> bool {
    listener.client_validation.is_some() && listener.client_validation != context.validation
}

/// The prefix that `ReplacePrefixMatch` replaces.
fn matched_prefix(route: &Route, rule_match: u32) -> Option<&str> {
    let path = route.matches.get(rule_match as usize)?.path.as_ref()?;
    (path.kind == PathMatchType::PathPrefix).then_some(path.value.as_str())
}

fn run_filters(
    filters: &sekisho_filter::FilterPlan,
    context: &RequestContext<'_>,
    head: &mut RequestHead,
) -> Result<(), Reply> {
    match filters.on_request(context, head) {
        Verdict::Continue => Ok(()),
        Verdict::Respond(response) => Err(Reply {
            status: response.status,
            reason: Reason::from_code(response.reason).unwrap_or(Reason::Redirect),
            headers: response.headers,
        }),
    }
}

fn failed(failure: &PlannedFailure) -> Reply {
    Reply::new(failure.status, failure.reason)
}

fn not_found() -> Reply {
    Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound)
}

fn malformed() -> Reply {
    Reply::new(StatusCode::BAD_REQUEST, Reason::RequestMalformed)
}

fn no_backends() -> Reply {
    Reply::new(StatusCode::INTERNAL_SERVER_ERROR, Reason::NoBackends)
}
