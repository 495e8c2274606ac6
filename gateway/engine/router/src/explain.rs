//! Why a request goes where it goes, for people and for tools.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use sekisho_table::{Filter, Listener, Retry, Route, Timeouts, WeightedBackend};
use serde::Serialize;

use crate::candidate::{Candidate, Failed, is_grpc};
use crate::find::Recorder;
use crate::group::precedence;
use crate::host_map::Index;
use crate::{Decision, ListenerId, RequestView, Router, SocketId};

/// Where a request goes and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub socket: Option<SocketSummary>,
    pub listener: Option<String>,
    /// `route`, `not_found`, `misdirected` or `no_listener`.
    pub decision: &'static str,
    /// Known only where the gateway answers by itself.
    pub status: Option<u16>,
    /// A stable reason code, as in the access log.
    pub code: String,
    pub route: Option<String>,
    pub rule_match: Option<u32>,
    /// The rule's name, or empty.
    pub name: String,
    pub filters: Vec<Filter>,
    pub backends: Vec<WeightedBackend>,
    pub timeouts: Timeouts,
    pub retry: Option<Box<Retry>>,
    /// What was looked at, in the order in which it was tried: of what was passed over because of its path, only what
    /// came close.
    pub candidates: Vec<TriedCandidate>,
    /// For a 404: what came closest, best first.
    pub nearest: Vec<TriedCandidate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SocketSummary {
    pub address: IpAddr,
    pub bind_port: u16,
    pub tls: bool,
    pub listeners: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedCandidate {
    pub listener: String,
    pub route: String,
    #[serde(rename = "match")]
    pub rule_match: u32,
    pub hostname: String,
    pub matched: bool,
    pub failed: Option<FailedPredicate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedPredicate {
    /// `hostname`, `path`, `method`, `header`, `query` or `grpc`.
    pub predicate: &'static str,
    /// Which header or parameter, or how a path is compared.
    pub name: String,
    pub want: String,
    /// `None` where the request has nothing of the kind.
    pub got: Option<String>,
}

/// Candidates told beyond those that were tried: the index passes over them because of their path.
const MAX_PASSED_OVER: usize = 50;

#[derive(Default)]
struct Trace<'r> {
    tried: Vec<(&'r str, &'r Candidate, Option<Failed>)>,
}

impl<'r> Recorder<'r> for Trace<'r> {
    fn tried(&mut self, hostname: &'r str, candidate: &'r Candidate, failed: Option<Failed>) {
        self.tried.push((hostname, candidate, failed));
    }
}

impl Router {
    /// The decision of [`Router::find`], with its reasons.
    pub fn explain(&self, socket: SocketId, request: &RequestView<'_>) -> Explanation {
        let mut trace = Trace::default();
        let decision = self.find_with(socket, request, &mut trace);
        let mut explanation = Explanation { socket: self.summary(socket), ..Explanation::no_listener() };
        match decision {
            Decision::Matched { listener, route, rule_match } => {
                explanation.on_listener(self.listener(listener));
                explanation.take(self.route(route), rule_match, request);
                explanation.candidates = self.candidates(listener, request, &trace);
            }
            Decision::NoRoute { listener } => {
                explanation.answered("not_found", 404, "route_not_found");
                explanation.nearest = self.nearest(socket, request);
                if let Some(listener) = listener {
                    explanation.on_listener(self.listener(listener));
                    explanation.candidates = self.candidates(listener, request, &trace);
                }
            }
            Decision::Misdirected { listener } => {
                explanation.answered("misdirected", 421, "misdirected_request");
                explanation.on_listener(self.listener(listener));
            }
        }
        explanation
    }

    fn summary(&self, socket: SocketId) -> Option<SocketSummary> {
        let socket = self.sockets.get(socket.0 as usize)?;
        Some(SocketSummary {
            address: socket.address,
            bind_port: socket.bind_port,
            tls: socket.tls,
            listeners: socket.listeners.iter().map(|id| self.listener(*id).key.clone()).collect(),
        })
    }

    /// What was tried, together with what the index passed over on the way, in order of precedence.
    fn candidates(&self, listener: ListenerId, request: &RequestView<'_>, trace: &Trace<'_>) -> Vec<TriedCandidate> {
        let attached = &self.attached[listener.0 as usize];
        let mut steps = Vec::new();
        if is_grpc(request.headers) {
            for entry in attached.grpc.covering(request.host) {
                steps.extend(self.in_order(&entry.value).map(|candidate| (&*entry.hostname, candidate)));
            }
        }
        for entry in attached.http.covering(request.host) {
            steps.extend(self.in_order(&entry.value).map(|candidate| (&*entry.hostname, candidate)));
        }
        let key = |hostname: &str, candidate: &Candidate| (hostname.as_ptr(), std::ptr::from_ref(candidate));
        let tried: HashMap<_, _> =
            trace.tried.iter().map(|(hostname, candidate, failed)| (key(hostname, candidate), *failed)).collect();
        let mut steps: Vec<_> = steps
            .into_iter()
            .map(|(hostname, candidate)| (hostname, candidate, tried.get(&key(hostname, candidate)).copied()))
            .collect();
        if let Some(winner) = steps.iter().position(|(_, _, failed)| *failed == Some(None)) {
            steps.truncate(winner + 1);
        }
        self.keep_nearest_passed_over(&mut steps, request.path);
        let told = steps.into_iter().map(|(hostname, candidate, failed)| {
            let failed = failed.unwrap_or(Some(Failed::Target));
            self.told(listener, hostname, candidate, failed.map(|failed| self.describe(candidate, failed, request)))
        });
        told.collect()
    }

    fn in_order<'r, I: Index>(&self, index: &'r I) -> impl Iterator<Item = &'r Candidate> + use<'r, I> {
        let mut candidates = index.all();
        candidates.sort_by_cached_key(|candidate| precedence(candidate, &self.routes));
        candidates.into_iter().map(|candidate| &**candidate)
    }

    fn keep_nearest_passed_over(&self, steps: &mut Vec<(&str, &Candidate, Option<Option<Failed>>)>, path: &str) {
        let passed_over = steps.iter().enumerate().filter(|(_, (_, _, failed))| failed.is_none());
        let mut far: Vec<(usize, usize)> =
            passed_over.map(|(place, (_, candidate, _))| (self.path_distance(candidate, path), place)).collect();
        far.sort_unstable();
        let dropped: HashSet<usize> = far.into_iter().skip(MAX_PASSED_OVER).map(|(_, place)| place).collect();
        let mut place = 0..;
        steps.retain(|_| place.next().is_none_or(|place| !dropped.contains(&place)));
    }

    pub(crate) fn told(
        &self,
        listener: ListenerId,
        hostname: &str,
        candidate: &Candidate,
        failed: Option<FailedPredicate>,
    ) -> TriedCandidate {
        TriedCandidate {
            listener: self.listener(listener).key.clone(),
            route: self.route(candidate.route).key.clone(),
            rule_match: candidate.rule_match,
            hostname: hostname.to_owned(),
            matched: failed.is_none(),
            failed,
        }
    }
}

impl Explanation {
    /// Nothing listens where the request would go.
    pub fn no_listener() -> Self {
        Self {
            socket: None,
            listener: None,
            decision: "no_listener",
            status: None,
            code: String::new(),
            route: None,
            rule_match: None,
            name: String::new(),
            filters: Vec::new(),
            backends: Vec::new(),
            timeouts: Timeouts::default(),
            retry: None,
            candidates: Vec::new(),
            nearest: Vec::new(),
        }
    }

    fn on_listener(&mut self, listener: &Listener) {
        self.listener = Some(listener.key.clone());
    }

    fn answered(&mut self, decision: &'static str, status: u16, code: &str) {
        self.decision = decision;
        self.status = Some(status);
        self.code = code.to_owned();
    }

    fn take(&mut self, route: &Route, rule_match: u32, request: &RequestView<'_>) {
        self.decision = "route";
        self.route = Some(route.key.clone());
        self.rule_match = Some(rule_match);
        self.name.clone_from(&route.name);
        self.filters.clone_from(&route.filters);
        self.backends.clone_from(&route.backends);
        self.timeouts = route.timeouts;
        self.retry.clone_from(&route.retry);
        match own_answer(route, request) {
            Some((status, code)) => self.answered("route", status, code),
            None => self.code = "via_upstream".to_owned(),
        }
    }
}

/// What the gateway answers by itself for a rule, if it does so for every request like this one.
fn own_answer<'a>(route: &'a Route, request: &RequestView<'_>) -> Option<(u16, &'a str)> {
    if let Some(failure) = &route.failure {
        return Some((failure.status, &failure.code));
    }
    let by_filter = route.filters.iter().find_map(|filter| match filter {
        Filter::RequestRedirect(redirect) => Some((redirect.status, "redirect")),
        Filter::Cors(_) if is_preflight(request) => Some((204, "cors_preflight")),
        _ => None,
    });
    if by_filter.is_some() {
        return by_filter;
    }
    let mut weighted = route.backends.iter().filter(|backend| backend.weight > 0);
    let Some(first) = weighted.next() else { return Some((500, "no_backends")) };
    let failure = first.failure.as_ref().filter(|_| weighted.all(|backend| backend.failure.is_some()))?;
    Some((failure.status, &failure.code))
}

fn is_preflight(request: &RequestView<'_>) -> bool {
    request.method == "OPTIONS"
        && request.headers.contains(&ORIGIN)
        && request.headers.contains(&ACCESS_CONTROL_REQUEST_METHOD)
}
