//! From a table to a [`Router`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderName;
use regex::Regex;
use sekisho_table::{
    Listener, ListenerProtocol, Match, PathMatchType, Route, RouteKind, Table, ValueMatch, ValueMatchType,
    compile_regex,
};

use crate::candidate::{Candidate, Target, canonical, canonical_prefix};
use crate::captures::Capture;
use crate::connections::Connections;
use crate::grpc_index::GrpcIndex;
use crate::host_map::HostMap;
use crate::path_index::PathIndex;
use crate::precedence::Precedence;
use crate::value::{HeaderTest, QueryTest, ValueTest};
use crate::{Attached, FastMap, ListenerId, RouteId, Router, Socket, SocketId};

impl Router {
    pub fn build(table: &Table) -> Router {
        Router::default().rebuild(table)
    }

    /// A router for `table` that takes over what this one has compiled.
    pub fn rebuild(&self, table: &Table) -> Router {
        let mut router = Router {
            routes: table.routes.values().cloned().collect(),
            listeners: table.listeners.values().cloned().collect(),
            ..Router::default()
        };
        router.open_sockets();
        let mut patterns = Patterns { known: &self.patterns, used: HashMap::new() };
        let http = ordered(&router.routes, RouteKind::Http);
        let grpc = ordered(&router.routes, RouteKind::Grpc);
        router.http = http.iter().map(|place| candidate(&router.routes, *place, &mut patterns)).collect();
        router.grpc = grpc.iter().map(|place| candidate(&router.routes, *place, &mut patterns)).collect();
        router.patterns = patterns.used;
        router.attach();
        router.connections = Connections::build(&router.listeners, &router.routes);
        router
    }

    fn open_sockets(&mut self) {
        let streams = self.listeners.iter().enumerate().filter(|(_, it)| it.protocol != ListenerProtocol::Udp);
        let mut captured: HashMap<(IpAddr, u16, Capture), SocketId> = HashMap::new();
        for (position, listener) in streams {
            let id = ListenerId(position as u32);
            let place = (listener.address, listener.bind_port);
            let next = SocketId(self.sockets.len() as u32);
            let socket = match Capture::of(listener) {
                None => *self.by_address.entry(place).or_insert(next),
                Some(capture) => *captured.entry((place.0, place.1, capture)).or_insert(next),
            };
            if socket == next {
                let opened = new_socket(listener);
                if let Some(capture) = &opened.capture {
                    self.captures.entry(place).or_default().insert(capture, socket);
                }
                self.sockets.push(opened);
                self.owners.push(HostMap::default());
            }
            self.sockets[socket.0 as usize].listeners.push(id);
            self.owners[socket.0 as usize].insert(&listener.hostname, id);
        }
    }

    fn attach(&mut self) {
        let by_key: HashMap<&str, usize> =
            self.listeners.iter().enumerate().map(|(position, listener)| (listener.key.as_str(), position)).collect();
        let mut http = vec![Positions::default(); self.listeners.len()];
        let mut grpc = vec![Positions::default(); self.listeners.len()];
        for (candidates, positions) in [(&self.http, &mut http), (&self.grpc, &mut grpc)] {
            for (position, candidate) in candidates.iter().enumerate() {
                for attachment in &self.routes[candidate.route.0 as usize].attachments {
                    let Some(listener) = by_key.get(attachment.listener.as_str()) else { continue };
                    for hostname in &attachment.hostnames {
                        positions[*listener].push(hostname, position as u32);
                    }
                }
            }
        }
        let http = http.into_iter().map(|positions| by_host(positions, |list| PathIndex::build(list, &self.http)));
        let grpc = grpc.into_iter().map(|positions| by_host(positions, |list| GrpcIndex::build(list, &self.grpc)));
        self.attached = http.zip(grpc).map(|(http, grpc)| Attached { http, grpc }).collect();
    }
}

/// Candidates of one listener by hostname, in order of precedence; hostnames in the order of their first candidate.
#[derive(Clone, Default)]
struct Positions<'a> {
    hostnames: FastMap<&'a str, u32>,
    lists: Vec<(&'a str, Vec<u32>)>,
}

impl<'a> Positions<'a> {
    fn push(&mut self, hostname: &'a str, position: u32) {
        let next = self.lists.len() as u32;
        let place = *self.hostnames.entry(hostname).or_insert(next);
        if place == next {
            self.lists.push((hostname, Vec::with_capacity(1)));
        }
        self.lists[place as usize].1.push(position);
    }
}

fn by_host<T>(positions: Positions<'_>, build: impl Fn(&[u32]) -> T) -> HostMap<T> {
    let mut map = HostMap::default();
    for (hostname, mut list) in positions.lists {
        list.dedup();
        map.insert(hostname, build(&list));
    }
    map
}

fn new_socket(listener: &Listener) -> Socket {
    Socket {
        address: listener.address,
        bind_port: listener.bind_port,
        tls: matches!(listener.protocol, ListenerProtocol::Https | ListenerProtocol::Tls),
        capture: Capture::of(listener),
        listeners: Vec::new(),
    }
}

/// Every match of every route of one kind, best first.
fn ordered(routes: &[Arc<Route>], kind: RouteKind) -> Vec<(RouteId, u32)> {
    let of_kind = routes.iter().enumerate().filter(|(_, route)| route.kind == kind);
    let mut places: Vec<(RouteId, u32)> = of_kind
        .flat_map(|(position, route)| (0..route.matches.len() as u32).map(move |it| (RouteId(position as u32), it)))
        .collect();
    places.sort_by_cached_key(|(route, rule_match)| Precedence::of(&routes[route.0 as usize], *rule_match));
    places
}

/// Regular expressions: each pattern is compiled once, and not again while tables keep using it.
struct Patterns<'a> {
    known: &'a HashMap<String, Regex>,
    used: HashMap<String, Regex>,
}

impl Patterns<'_> {
    fn regex(&mut self, pattern: &str) -> Option<Box<Regex>> {
        if let Some(regex) = self.used.get(pattern) {
            return Some(Box::new(regex.clone()));
        }
        let regex = match self.known.get(pattern) {
            Some(regex) => regex.clone(),
            None => compile_regex(pattern).ok()?,
        };
        self.used.insert(pattern.to_owned(), regex.clone());
        Some(Box::new(regex))
    }

    fn test(&mut self, kind: ValueMatchType, value: &str) -> ValueTest {
        match kind {
            ValueMatchType::Exact => ValueTest::Exact(value.into()),
            ValueMatchType::RegularExpression => ValueTest::Regex(self.regex(value)),
        }
    }
}

fn candidate(routes: &[Arc<Route>], (route, rule_match): (RouteId, u32), patterns: &mut Patterns<'_>) -> Candidate {
    let source = &routes[route.0 as usize];
    let found = &source.matches[rule_match as usize];
    Candidate {
        route,
        rule_match,
        target: match source.kind {
            RouteKind::Http => path_target(found, patterns),
            RouteKind::Grpc => grpc_target(found, patterns),
            // They have no matches, so they make no candidates.
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => Target::Regex(None),
        },
        method: (!found.method.is_empty()).then(|| found.method.as_str().into()),
        headers: found.headers.iter().map(|header| header_test(header, patterns)).collect(),
        query: found
            .query
            .iter()
            .map(|query| QueryTest { name: query.name.as_str().into(), test: patterns.test(query.kind, &query.value) })
            .collect(),
    }
}

fn path_target(found: &Match, patterns: &mut Patterns<'_>) -> Target {
    let Some(path) = &found.path else { return Target::Prefix("".into()) };
    match path.kind {
        PathMatchType::Exact => Target::Exact(canonical(&path.value).into()),
        PathMatchType::PathPrefix => Target::Prefix(canonical_prefix(&path.value)),
        PathMatchType::RegularExpression => Target::Regex(patterns.regex(&path.value)),
    }
}

fn grpc_target(found: &Match, patterns: &mut Patterns<'_>) -> Target {
    let Some(grpc) = &found.grpc else { return Target::Grpc { service: None, method: None } };
    let [service, method] = [&grpc.service, &grpc.method]
        .map(|name| if name.is_empty() { None } else { Some(patterns.test(grpc.kind, name)) });
    Target::Grpc { service, method }
}

/// A name that is none (validation refuses it) becomes a test that nothing passes.
fn header_test(header: &ValueMatch, patterns: &mut Patterns<'_>) -> HeaderTest {
    match HeaderName::from_bytes(header.name.as_bytes()) {
        Ok(name) => HeaderTest { name, test: patterns.test(header.kind, &header.value) },
        Err(_) => HeaderTest { name: http::header::HOST, test: ValueTest::Regex(None) },
    }
}
