//! Which of two candidates of one hostname is tried first.
//!
//! Field-notes 1.1 and 1.2. The specification leaves regular expressions to implementations: here they come
//! between exact and prefix, a longer pattern first.

use std::cmp::{Ordering, Reverse};

use sekisho_table::{Match, PathMatchType, Route, RouteKind, ValueMatchType};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Exact,
    Regex,
    Prefix,
    Absent,
}

/// The order in which the matches of all routes of one kind are tried; hostnames come before it.
pub fn compare(left: (&Route, u32), right: (&Route, u32)) -> Ordering {
    specificity(left).cmp(&specificity(right)).then_with(|| age(left).cmp(&age(right)))
}

type Specificity = [(Class, Reverse<usize>); 2];

fn specificity((route, rule_match): (&Route, u32)) -> (Specificity, Reverse<[usize; 3]>) {
    let found = &route.matches[rule_match as usize];
    let targets = match route.kind {
        RouteKind::Http => [path(found), (Class::Absent, Reverse(0))],
        RouteKind::Grpc => grpc(found),
    };
    (targets, Reverse([usize::from(!found.method.is_empty()), found.headers.len(), found.query.len()]))
}

fn path(found: &Match) -> (Class, Reverse<usize>) {
    match &found.path {
        // All candidates that are compared by it have the same exact path.
        Some(path) if path.kind == PathMatchType::Exact => (Class::Exact, Reverse(0)),
        Some(path) if path.kind == PathMatchType::RegularExpression => (Class::Regex, Reverse(path.value.len())),
        Some(path) => (Class::Prefix, Reverse(path.value.trim_end_matches('/').len())),
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

/// Oldest route, then its name, then the first rule and match; the key settles what the table left open.
fn age((route, rule_match): (&Route, u32)) -> (i64, &str, u32, u32, &str) {
    (route.created, &route.object, route.rule, rule_match, &route.key)
}
