//! Rules on routes: matches, backends, timeouts and retries.

use super::name::{at, bounded, each, header_name, header_value, key, path, pattern_hostname, problem, token};
use super::{Verdict, duration, filter};
use crate::model::*;
use crate::regex::regex_problem;

const MAX_ATTACHMENTS: usize = 4096;
const MAX_HOSTNAMES: usize = 4096;
const MAX_MATCHES: usize = 1024;
const MAX_VALUE_MATCHES: usize = 64;
const MAX_BACKENDS: usize = 1024;
const MAX_WEIGHT: u32 = 1_000_000;
const MAX_RETRIES: u32 = 100;
const MAX_VALUE_BYTES: usize = 8192;

pub fn route(route: &Route) -> Verdict {
    at("key", key(&route.key))?;
    at("attachments", bounded(route.attachments.len(), MAX_ATTACHMENTS, "attachments"))?;
    each("attachments", &route.attachments, attachment)?;
    matches(route)?;
    filter::filters(&route.filters)?;
    at("backends", bounded(route.backends.len(), MAX_BACKENDS, "backends"))?;
    each("backends", &route.backends, weighted_backend)?;
    at("timeouts.request_ms", duration(route.timeouts.request_ms))?;
    at("timeouts.backend_request_ms", duration(route.timeouts.backend_request_ms))?;
    route.retry.as_ref().map_or(Ok(()), |it| at("retry", retry(it)))?;
    route.failure.as_ref().map_or(Ok(()), |it| at("failure", failure(it)))
}

fn attachment(attachment: &Attachment) -> Verdict {
    at("listener", key(&attachment.listener))?;
    at("hostnames", bounded(attachment.hostnames.len(), MAX_HOSTNAMES, "hostnames"))?;
    if attachment.hostnames.is_empty() {
        return at("hostnames", problem("the list is empty; write `*` for every host"));
    }
    each("hostnames", &attachment.hostnames, |name| if name == "*" { Ok(()) } else { pattern_hostname(name) })
}

fn matches(route: &Route) -> Verdict {
    match route.kind {
        RouteKind::Http => http_matches(route, http_match),
        RouteKind::Grpc => http_matches(route, grpc_match),
        RouteKind::Tls => no_requests(route),
        RouteKind::Tcp | RouteKind::Udp => {
            no_requests(route)?;
            if route.attachments.iter().all(|attachment| attachment.hostnames == ["*"]) {
                return Ok(());
            }
            let text = format!("a {} sees no hostname; write `*` alone", route.kind.as_str());
            at("attachments", problem(text))
        }
    }
}

/// What looks at requests has no place in a rule that carries connections.
fn no_requests(route: &Route) -> Verdict {
    let kind = route.kind.as_str();
    if !route.matches.is_empty() {
        return at("matches", problem(format!("a {kind} matches no requests; leave the list empty")));
    }
    if !route.filters.is_empty() || route.backends.iter().any(|share| !share.filters.is_empty()) {
        return at("filters", problem(format!("a {kind} filters no requests; leave the list empty")));
    }
    if route.retry.is_some() {
        return at("retry", problem(format!("a {kind} retries no requests; leave it out")));
    }
    Ok(())
}

fn http_matches(route: &Route, judge: fn(&Match) -> Verdict) -> Verdict {
    if route.matches.is_empty() {
        return at("matches", problem("the list is empty; write one match without predicates to match every request"));
    }
    at("matches", bounded(route.matches.len(), MAX_MATCHES, "matches"))?;
    each("matches", &route.matches, judge)
}

fn http_match(it: &Match) -> Verdict {
    if it.grpc.is_some() {
        return at("grpc", problem("an HTTPRoute has no gRPC match; use a GRPCRoute"));
    }
    if let Some(path) = &it.path {
        at("path.value", path_match(path))?;
    }
    if !it.method.is_empty() {
        at("method", token(&it.method))?;
    }
    headers(it)?;
    at("query", bounded(it.query.len(), MAX_VALUE_MATCHES, "query parameters"))?;
    each("query", &it.query, |query| {
        if query.name.is_empty() {
            return at("name", problem("the name is empty; name the query parameter"));
        }
        at("name", bounded(query.name.len(), MAX_VALUE_BYTES, "bytes"))?;
        at("value", value(query))
    })
}

fn path_match(it: &PathMatch) -> Verdict {
    match it.kind {
        PathMatchType::Exact | PathMatchType::PathPrefix => path(&it.value),
        PathMatchType::RegularExpression => regex(&it.value),
    }
}

fn regex(pattern: &str) -> Verdict {
    regex_problem(pattern).map_or(Ok(()), problem)
}

fn grpc_match(it: &Match) -> Verdict {
    let foreign = [("path", it.path.is_some()), ("method", !it.method.is_empty()), ("query", !it.query.is_empty())];
    if let Some((field, _)) = foreign.iter().find(|(_, present)| *present) {
        return at(field, problem("a GRPCRoute has no such match; use `grpc` and `headers`, or an HTTPRoute"));
    }
    if let Some(grpc) = &it.grpc {
        at("grpc", grpc_method(grpc))?;
    }
    headers(it)
}

fn grpc_method(it: &GrpcMethodMatch) -> Verdict {
    if it.service.is_empty() && it.method.is_empty() {
        return at("service", problem("both service and method are empty; name one, or leave the match out"));
    }
    for (field, text) in [("service", &it.service), ("method", &it.method)] {
        let verdict = match it.kind {
            ValueMatchType::RegularExpression => regex(text),
            ValueMatchType::Exact => grpc_name(text),
        };
        at(field, verdict)?;
    }
    Ok(())
}

fn grpc_name(text: &str) -> Verdict {
    bounded(text.len(), MAX_VALUE_BYTES, "bytes")?;
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
        return Ok(());
    }
    problem(format!("`{}` cannot be a gRPC name; write it as in the proto file, without `/`", text.escape_debug()))
}

fn headers(it: &Match) -> Verdict {
    at("headers", bounded(it.headers.len(), MAX_VALUE_MATCHES, "headers"))?;
    each("headers", &it.headers, |header| {
        at("name", header_name(&header.name))?;
        at("value", value(header))?;
        match header.kind {
            ValueMatchType::Exact => at("value", header_value(&header.value)),
            ValueMatchType::RegularExpression => Ok(()),
        }
    })
}

fn value(it: &ValueMatch) -> Verdict {
    match it.kind {
        ValueMatchType::Exact => bounded(it.value.len(), MAX_VALUE_BYTES, "bytes"),
        ValueMatchType::RegularExpression => regex(&it.value),
    }
}

fn weighted_backend(it: &WeightedBackend) -> Verdict {
    at("weight", bounded(it.weight as usize, MAX_WEIGHT as usize, "shares"))?;
    filter::share_filters(&it.filters)?;
    match &it.failure {
        Some(it) => at("failure", failure(it)),
        None => at("backend", key(&it.backend)),
    }
}

fn retry(retry: &Retry) -> Verdict {
    at("attempts", bounded(retry.attempts as usize, MAX_RETRIES as usize, "retries"))?;
    at("backoff_ms", duration(retry.backoff_ms))?;
    each("codes", &retry.codes, |code| error_status(*code))
}

pub fn failure(failure: &Failure) -> Verdict {
    at("status", error_status(failure.status))?;
    if failure.code.is_empty() { at("code", problem("the reason code is empty; name one")) } else { Ok(()) }
}

fn error_status(status: u16) -> Verdict {
    if (400..=599).contains(&status) {
        return Ok(());
    }
    problem(format!("{status} is not an error status; write one from 400 to 599"))
}
