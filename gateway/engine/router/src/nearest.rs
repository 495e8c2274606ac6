//! Near misses: which predicate a candidate fails, in words, and which candidates came closest.

use std::collections::HashSet;

use sekisho_table::{ValueMatch, ValueMatchType};

use crate::candidate::{Candidate, Failed, Target, is_grpc};
use crate::explain::{FailedPredicate, TriedCandidate};
use crate::group::precedence;
use crate::host_map::Index;
use crate::precedence::Precedence;
use crate::{ListenerId, RequestView, Router, SocketId, query};

const MAX_NEAREST: usize = 5;

/// Where a candidate is found.
#[derive(Clone, Copy)]
struct Place<'r> {
    listener: ListenerId,
    hostname: &'r str,
    is_grpc: bool,
}

/// A candidate and how far the request is from it; the order of the fields is the order of comparison.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Miss<'r> {
    failures: usize,
    is_other_host: bool,
    path_distance: usize,
    host_distance: usize,
    listener: ListenerId,
    is_grpc: bool,
    precedence: Precedence<'r>,
    hostname: &'r str,
}

impl Router {
    /// The candidates of a socket, on any listener and hostname, that fail the fewest predicates.
    pub(crate) fn nearest(&self, socket: SocketId, request: &RequestView<'_>) -> Vec<TriedCandidate> {
        let owner = self.owner(socket, request.host);
        let mut misses = Vec::new();
        for listener in self.sockets.get(socket.0 as usize).map_or(&[][..], |socket| &socket.listeners) {
            let attached = &self.attached[listener.0 as usize];
            let is_other_host = |hostname: &str| owner != Some(*listener) || !covers(hostname, request.host);
            for entry in attached.http.entries() {
                let place = Place { listener: *listener, hostname: &entry.hostname, is_grpc: false };
                let candidates = entry.value.all().into_iter();
                misses.extend(candidates.map(|it| self.miss(place, is_other_host(place.hostname), it, request)));
            }
            for entry in attached.grpc.entries() {
                let place = Place { listener: *listener, hostname: &entry.hostname, is_grpc: true };
                let candidates = entry.value.all().into_iter();
                misses.extend(candidates.map(|it| self.miss(place, is_other_host(place.hostname), it, request)));
            }
        }
        misses.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let mut seen = HashSet::new();
        misses.retain(|(_, candidate)| seen.insert((candidate.route, candidate.rule_match)));
        misses.truncate(MAX_NEAREST);
        misses.iter().map(|(miss, candidate)| self.told_miss(miss, candidate, request)).collect()
    }

    fn miss<'r>(
        &'r self,
        place: Place<'r>,
        is_other_host: bool,
        candidate: &'r Candidate,
        request: &RequestView<'_>,
    ) -> (Miss<'r>, &'r Candidate) {
        let Place { listener, hostname, is_grpc: for_grpc } = place;
        let is_other_path = !candidate.target.accepts(request.path);
        let is_other_protocol = for_grpc && !is_grpc(request.headers);
        let miss = Miss {
            failures: usize::from(is_other_host)
                + usize::from(is_other_path)
                + usize::from(is_other_protocol)
                + candidate.count_failed(request),
            is_other_host,
            path_distance: if is_other_path { self.path_distance(candidate, request.path) } else { 0 },
            host_distance: if is_other_host { distance(hostname.bytes().rev(), request.host.bytes().rev()) } else { 0 },
            listener,
            is_grpc: for_grpc,
            precedence: precedence(candidate, &self.routes),
            hostname,
        };
        (miss, candidate)
    }

    fn told_miss(&self, miss: &Miss<'_>, candidate: &Candidate, request: &RequestView<'_>) -> TriedCandidate {
        let failed = if miss.is_other_host {
            self.other_host(miss, request)
        } else if !candidate.target.accepts(request.path) {
            self.describe(candidate, Failed::Target, request)
        } else if miss.is_grpc && !is_grpc(request.headers) {
            other_protocol(request)
        } else {
            // Everything else held, or it would not be a miss.
            self.describe(candidate, candidate.failed(request).unwrap_or(Failed::Target), request)
        };
        self.told(miss.listener, miss.hostname, candidate, Some(failed))
    }

    fn other_host(&self, miss: &Miss<'_>, request: &RequestView<'_>) -> FailedPredicate {
        let listener = self.listener(miss.listener).hostname.as_str();
        // A route for every host is held back by its listener's hostname.
        let want = if miss.hostname == "*" && !listener.is_empty() { listener } else { miss.hostname };
        FailedPredicate {
            predicate: "hostname",
            name: String::new(),
            want: want.to_owned(),
            got: Some(request.host.to_owned()),
        }
    }

    /// The predicate in the words of the table, with what the request has in its place.
    pub(crate) fn describe(&self, candidate: &Candidate, failed: Failed, request: &RequestView<'_>) -> FailedPredicate {
        let found = &self.route(candidate.route).matches[candidate.rule_match as usize];
        match failed {
            Failed::Target => self.describe_target(candidate, request),
            Failed::Method => FailedPredicate {
                predicate: "method",
                name: String::new(),
                want: found.method.clone(),
                got: Some(request.method.to_owned()),
            },
            Failed::Header(position) => {
                let value = candidate.headers[position].value(request);
                let got = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                describe_value("header", &found.headers[position], got)
            }
            Failed::Query(position) => {
                let wanted = &found.query[position];
                let got =
                    query::first_value(request.query, &wanted.name).map(|value| query::decode(value).into_owned());
                describe_value("query", wanted, got)
            }
        }
    }

    fn describe_target(&self, candidate: &Candidate, request: &RequestView<'_>) -> FailedPredicate {
        let found = &self.route(candidate.route).matches[candidate.rule_match as usize];
        let or_any = |name: &str| if name.is_empty() { "*".to_owned() } else { name.to_owned() };
        let (predicate, name, want) = match (&found.grpc, &found.path) {
            (Some(grpc), _) => {
                let want = format!("{}/{}", or_any(&grpc.service), or_any(&grpc.method));
                ("grpc", format!("{:?}", grpc.kind), want)
            }
            (None, Some(path)) => ("path", format!("{:?}", path.kind), path.value.clone()),
            (None, None) => ("path", "PathPrefix".to_owned(), "/".to_owned()),
        };
        FailedPredicate { predicate, name, want, got: Some(request.path.to_owned()) }
    }

    /// How far `path` is from the path that a candidate wants.
    pub(crate) fn path_distance(&self, candidate: &Candidate, path: &str) -> usize {
        match &candidate.target {
            Target::Exact(wanted) | Target::Prefix(wanted) => distance(wanted.bytes(), path.bytes()),
            // A pattern has no distance: it comes after everything that has one.
            Target::Regex(_) => usize::MAX,
            Target::Grpc { .. } => {
                let grpc = &self.route(candidate.route).matches[candidate.rule_match as usize].grpc;
                grpc.as_ref().map_or(usize::MAX, |grpc| {
                    distance(format!("/{}/{}", grpc.service, grpc.method).bytes(), path.bytes())
                })
            }
        }
    }
}

fn other_protocol(request: &RequestView<'_>) -> FailedPredicate {
    let got = request.headers.get(&http::header::CONTENT_TYPE);
    FailedPredicate {
        predicate: "header",
        name: "content-type".to_owned(),
        want: "application/grpc".to_owned(),
        got: got.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
    }
}

fn describe_value(predicate: &'static str, wanted: &ValueMatch, got: Option<String>) -> FailedPredicate {
    let want = match wanted.kind {
        ValueMatchType::Exact => wanted.value.clone(),
        ValueMatchType::RegularExpression => format!("regular expression {}", wanted.value),
    };
    FailedPredicate { predicate, name: wanted.name.clone(), want, got }
}

fn covers(hostname: &str, host: &str) -> bool {
    match hostname.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => hostname == host,
    }
}

/// What is left of two texts after their common beginning.
fn distance(left: impl ExactSizeIterator<Item = u8>, right: impl ExactSizeIterator<Item = u8>) -> usize {
    let total = left.len() + right.len();
    total - 2 * left.zip(right).take_while(|(left, right)| left == right).count()
}
