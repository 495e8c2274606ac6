//! `Router::find` against a matcher that reads like the specification and knows no index.
//!
//! The reference tries every match of every route, keeps those that hold, and picks the best by the list of
//! criteria in `HTTPRouteRule.matches` and `GRPCRouteRule.matches`.

mod support;

use std::cmp::Reverse;

use fastrand::Rng;
use sekisho_router::Router;
use sekisho_table::{
    GrpcMethodMatch, Listener, Match, PathMatch, PathMatchType, Route, RouteKind, Table, ValueMatch, ValueMatchType,
};
use support::vocabulary::{pick, random_request, random_table};
use support::{HTTP_PORT, HTTPS_PORT, Request, decide, rebuilt};

const TABLES: u64 = 200;
const REQUESTS: usize = 60;

#[test]
fn find_and_explain_agree_with_the_specification_on_random_tables() {
    let mut taken = 0;
    for seed in 0..TABLES {
        let mut rng = Rng::with_seed(seed);
        let table = random_table(&mut rng);
        // Every second router is made from another's leftovers, which must not show.
        let router = match seed % 2 {
            0 => Router::build(&table),
            _ => rebuilt(&Router::build(&random_table(&mut rng)), &table),
        };
        for _ in 0..REQUESTS {
            let request = random_request(&mut rng);
            let expected = reference::decide(&table, &request);
            taken += usize::from(expected.contains('#'));
            assert_eq!(decide(&router, &request), expected, "seed {seed}: {}", shown(&request));
        }
    }
    let all = TABLES as usize * REQUESTS;
    assert!((all / 4..all * 3 / 4).contains(&taken), "the vocabulary is off: {taken} of {all} requests found a route");
}

fn shown(request: &Request) -> String {
    format!("{:?}", request.view())
}

/// Whatever gets past a parser, or into a question for an explanation, is only text.
#[test]
fn strange_requests_are_decided_like_any_other() {
    const PIECES: &[&str] =
        &["", "/", "//", ".", "..", "*", "?", "&", "=", "%", "%2", "%ff", "ä", "\u{1f600}", "a.com", ":", "[::1]"];
    let mut rng = Rng::with_seed(1);
    let router = Router::build(&random_table(&mut rng));
    for _ in 0..2000 {
        let mut text = || (0..rng.usize(..5)).map(|_| pick(&mut rng, PIECES)).collect::<String>();
        let strange = Request { path: text(), query: text(), method: text(), ..Request::get(&text(), "") };
        decide(&router, &strange);
        decide(&router, &strange.tls(Some(&text())));
    }
}

// --- the specification, word by word ------------------------------------------------------------

mod reference {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use regex::Regex;

    use super::*;

    pub fn decide(table: &Table, request: &Request) -> String {
        let port = if request.tls { HTTPS_PORT } else { HTTP_PORT };
        let listeners: Vec<&Listener> = table
            .listeners
            .values()
            .map(|listener| &**listener)
            .filter(|listener| listener.bind_port == port)
            .collect();
        let Some(listener) = owner(&listeners, &request.host) else { return "404".to_owned() };
        if request.tls {
            let chosen = owner(&listeners, request.sni.as_deref().unwrap_or(""));
            if chosen.is_none_or(|chosen| chosen.key != listener.key) {
                return "421".to_owned();
            }
        }
        let is_grpc = header(request, "content-type").is_some_and(|value| value == "application/grpc+proto");
        let grpc = is_grpc.then(|| best_grpc(table, listener, request)).flatten();
        grpc.or_else(|| best_http(table, listener, request)).unwrap_or_else(|| "404".to_owned())
    }

    fn owner<'a>(listeners: &[&'a Listener], host: &str) -> Option<&'a Listener> {
        let covering = listeners.iter().filter(|listener| covers(&listener.hostname, host));
        covering.max_by_key(|listener| specificity(&listener.hostname)).copied()
    }

    fn covers(hostname: &str, host: &str) -> bool {
        if hostname.is_empty() || hostname == "*" {
            return true;
        }
        let labels: Vec<&str> = host.split('.').collect();
        let wanted: Vec<&str> = hostname.split('.').collect();
        if wanted[0] != "*" {
            return labels == wanted;
        }
        labels.len() >= wanted.len() && labels.ends_with(&wanted[1..])
    }

    /// Exact beats wildcard, then more characters.
    fn specificity(hostname: &str) -> (bool, usize) {
        (!hostname.is_empty() && !hostname.starts_with('*'), hostname.len())
    }

    type Place<'a> = (Reverse<(bool, usize)>, &'a Route, usize);

    /// Every match of the listener's routes that holds, with the hostname it holds by.
    fn holding<'a>(
        table: &'a Table,
        listener: &Listener,
        request: &Request,
        kind: RouteKind,
        holds: impl Fn(&Match) -> bool,
    ) -> Vec<Place<'a>> {
        let mut found = Vec::new();
        for route in table.routes.values().filter(|route| route.kind == kind) {
            for attachment in route.attachments.iter().filter(|it| it.listener == listener.key) {
                for hostname in attachment.hostnames.iter().filter(|it| covers(it, &request.host)) {
                    for (index, _) in route.matches.iter().enumerate().filter(|(_, it)| holds(it)) {
                        found.push((Reverse(specificity(hostname)), &**route, index));
                    }
                }
            }
        }
        found
    }

    fn best_http(table: &Table, listener: &Listener, request: &Request) -> Option<String> {
        let found = holding(table, listener, request, RouteKind::Http, |it| http_holds(it, request));
        let best = found.into_iter().min_by_key(|(hostname, route, index)| {
            let it = &route.matches[*index];
            let root = PathMatch { kind: PathMatchType::PathPrefix, value: "/".to_owned() };
            let path = it.path.as_ref().unwrap_or(&root);
            let length = path.value.strip_suffix('/').unwrap_or(&path.value).len();
            let path = match path.kind {
                PathMatchType::Exact => (0, 0),
                PathMatchType::RegularExpression => (1, -(path.value.len() as i64)),
                PathMatchType::PathPrefix => (2, -(length as i64)),
            };
            let rest = (it.method.is_empty(), Reverse(it.headers.len()), Reverse(it.query.len()));
            (*hostname, path, route.rank, rest, age(route, *index))
        });
        best.map(|(_, route, index)| format!("{}#{index}", route.key))
    }

    fn best_grpc(table: &Table, listener: &Listener, request: &Request) -> Option<String> {
        let found = holding(table, listener, request, RouteKind::Grpc, |it| grpc_holds(it, request));
        let best = found.into_iter().min_by_key(|(hostname, route, index)| {
            let it = &route.matches[*index];
            let names = it.grpc.as_ref().map(|it| [(&it.service, it.kind), (&it.method, it.kind)]);
            let names = names.map_or([(2, 0); 2], |names| {
                names.map(|(name, kind)| match (name.is_empty(), kind) {
                    (true, _) => (2, 0),
                    (false, ValueMatchType::Exact) => (0, -(name.len() as i64)),
                    (false, ValueMatchType::RegularExpression) => (1, -(name.len() as i64)),
                })
            });
            (*hostname, names, route.rank, Reverse(it.headers.len()), age(route, *index))
        });
        best.map(|(_, route, index)| format!("{}#{index}", route.key))
    }

    fn age(route: &Route, index: usize) -> (i64, String, u32, usize, String) {
        (route.created, route.object.clone(), route.rule, index, route.key.clone())
    }

    fn http_holds(it: &Match, request: &Request) -> bool {
        it.path.as_ref().is_none_or(|path| path_holds(path, &request.path))
            && (it.method.is_empty() || it.method == request.method)
            && it.headers.iter().all(|wanted| value_holds(wanted, header(request, &wanted.name)))
            && it.query.iter().all(|wanted| value_holds(wanted, parameter(request, &wanted.name)))
    }

    fn path_holds(path: &PathMatch, actual: &str) -> bool {
        match path.kind {
            PathMatchType::Exact => path.value == actual,
            PathMatchType::RegularExpression => whole(&path.value, actual),
            PathMatchType::PathPrefix => {
                let wanted: Vec<&str> = path.value.strip_suffix('/').unwrap_or(&path.value).split('/').collect();
                actual.split('/').collect::<Vec<_>>().starts_with(&wanted)
            }
        }
    }

    fn grpc_holds(it: &Match, request: &Request) -> bool {
        let called = || {
            let mut parts = request.path.splitn(3, '/').skip(1);
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        };
        let names = |grpc: &GrpcMethodMatch| {
            called().is_some_and(|(service, method)| {
                [(&grpc.service, service), (&grpc.method, method)].into_iter().all(|(wanted, actual)| match grpc.kind {
                    _ if wanted.is_empty() => true,
                    ValueMatchType::Exact => *wanted == actual,
                    ValueMatchType::RegularExpression => whole(wanted, &actual),
                })
            })
        };
        it.grpc.as_deref().is_none_or(names)
            && it.headers.iter().all(|wanted| value_holds(wanted, header(request, &wanted.name)))
    }

    fn value_holds(wanted: &ValueMatch, actual: Option<String>) -> bool {
        actual.is_some_and(|actual| match wanted.kind {
            ValueMatchType::Exact => wanted.value == actual,
            ValueMatchType::RegularExpression => whole(&wanted.value, &actual),
        })
    }

    fn whole(pattern: &str, text: &str) -> bool {
        thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
        COMPILED.with_borrow_mut(|compiled| {
            let compile = || Regex::new(&format!("^(?:{pattern})$")).expect("a pattern of the vocabulary");
            compiled.entry(pattern.to_owned()).or_insert_with(compile).is_match(text)
        })
    }

    fn header(request: &Request, name: &str) -> Option<String> {
        let values: Vec<&str> = request
            .headers
            .iter()
            .filter(|(it, _)| it.as_str() == name)
            .map(|(_, value)| value.to_str().expect("ASCII"))
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    fn parameter(request: &Request, name: &str) -> Option<String> {
        let decoded = request.query.replace("%20", " ").replace("%71", "q").replace("%31", "1");
        let pairs =
            decoded.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(it, _)| *it == name).map(|(_, value)| value.to_owned())
    }
}
