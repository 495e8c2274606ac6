//! Which of two candidates of one hostname is tried first.
//!
//! Gateway API: `HTTPRouteRule.matches` and `GRPCRouteRule.matches`. The specification leaves regular expressions to
//! implementations: here they come between exact and prefix, a longer pattern first.

use std::cmp::Reverse;

use sekisho_table::{Match, PathMatchType, Route, RouteKind, ValueMatchType};

use crate::candidate::canonical_prefix;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Exact,
    Regex,
    Prefix,
    Absent,
}

type Specificity = [(Class, Reverse<usize>); 2];

/// Candidates sort by it: the smallest is tried first. Hostnames come before it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    target: Specificity,
    /// What the table puts after everything else of the same hostname and target.
    rank: u8,
    has_method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    created: i64,
    object: &'a str,
    rule: u32,
    rule_match: u32,
    /// Settles what the table left open.
    key: &'a str,
}

impl<'a> Precedence<'a> {
    pub fn of(route: &'a Route, rule_match: u32) -> Self {
        let found = &route.matches[rule_match as usize];
        Self {
            target: match route.kind {
                RouteKind::Http | RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
                    [path(found), (Class::Absent, Reverse(0))]
                }
                RouteKind::Grpc => grpc(found),
            },
            rank: route.rank,
            has_method: Reverse(!found.method.is_empty()),
            headers: Reverse(found.headers.len()),
            query: Reverse(found.query.len()),
            created: route.created,
            object: &route.object,
            rule: route.rule,
            rule_match,
            key: &route.key,
        }
    }
}

fn path(found: &Match) -> (Class, Reverse<usize>) {
    match &found.path {
        // All candidates that are compared by it have the same exact path.
        Some(path) if path.kind == PathMatchType::Exact => (Class::Exact, Reverse(0)),
        Some(path) if path.kind == PathMatchType::RegularExpression => (Class::Regex, Reverse(path.value.len())),
        Some(path) => (Class::Prefix, Reverse(canonical_prefix(&path.value).len())),
        None => (Class::Prefix, Reverse(0)),
    }
}

fn grpc(found: &Match) -> Specificity {
    let Some(grpc) = &found.grpc else { return [(Class::Absent, Reverse(0)); 2] };
    let class = match grpc.kind {
        ValueMatchType::Exact => Class::Exact,
        ValueMatchType::RegularExpression => Class::Regex,
    };
    [&grpc.service, &grpc.method].map(|name| match name.len() {
        0 => (Class::Absent, Reverse(0)),
        length => (class, Reverse(length)),
    })
}
