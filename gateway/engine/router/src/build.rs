//! From a table to a [`Router`], and from one version of it to the next.
//!
//! A change of routes costs those routes: what others are found by is shared with the router before it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderName;
use sekisho_table::{
    Listener, ListenerProtocol, Match, PathMatchType, Route, RouteKind, Table, Touched, ValueMatch, ValueMatchType,
};

use crate::candidate::{Candidate, Target, canonical, canonical_prefix};
use crate::captures::Capture;
use crate::connections::Connections;
use crate::host_map::HostMap;
use crate::patterns::{Released, Taken, Use};
use crate::value::{HeaderTest, QueryTest, ValueTest};
use crate::{Attached, ListenerId, RouteId, Router, Socket, SocketId};

impl Router {
    pub fn build(table: &Table) -> Router {
        Router::default().rebuild(table, &Touched::everything(table))
    }

    /// The router for `table`, which differs from the table of this one in what is `touched`.
    pub fn rebuild(&self, table: &Table, touched: &Touched) -> Router {
        let mut router = self.clone();
        let mut keys: BTreeSet<&str> = touched.routes.iter().map(String::as_str).collect();
        if !touched.listeners.is_empty() {
            let new = router.listen(table);
            let attached = |route: &&Arc<Route>| route.attachments.iter().any(|it| new.contains(it.listener.as_str()));
            keys.extend(self.routes.slots().values().filter(attached).map(|route| route.key.as_str()));
        }
        let Moved { came, went } = router.take_over(table, keys);
        // Patterns are taken before others are released: most stay in use.
        let prepared: Vec<_> = came.iter().map(|(id, route)| router.prepare(*id, route)).collect();
        // Out before in: what stays is compared with what comes, and a position may have changed hands.
        for (id, route) in &went {
            router.detach(*id, route);
        }
        for ((_, route), candidates) in came.iter().zip(&prepared) {
            router.attach(route, candidates);
        }
        let carries = |(_, route): &(RouteId, Arc<Route>)| !takes_requests(route.kind);
        if !touched.listeners.is_empty() || came.iter().chain(&went).any(carries) {
            router.connections = Arc::new(Connections::build(&router.listeners, &router.routes));
        }
        router
    }

    /// Takes the table's listeners and opens their sockets; the keys of those that are new.
    fn listen<'t>(&mut self, table: &'t Table) -> HashSet<&'t str> {
        let attached = std::mem::take(&mut self.attached);
        let mut known: HashMap<&str, Arc<Attached>> =
            self.listeners.iter().map(|listener| listener.key.as_str()).zip(attached).collect();
        let mut new = HashSet::new();
        for key in table.listeners.keys() {
            let attached = known.remove(key.as_str());
            if attached.is_none() {
                new.insert(key.as_str());
            }
            self.attached.push(attached.unwrap_or_default());
        }
        self.listeners = table.listeners.values().cloned().collect();
        (self.sockets, self.owners, self.by_address, self.captures) = Default::default();
        self.open_sockets();
        new
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

    /// Takes the routes of `keys` from the table.
    fn take_over(&mut self, table: &Table, keys: BTreeSet<&str>) -> Moved {
        let mut moved = Moved::default();
        // Removed before anything is added: their positions are used again at once.
        let (kept, gone): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| table.routes.contains_key(*key));
        let gone = gone.into_iter().filter_map(|key| self.routes.remove(key));
        moved.went.extend(gone.map(|(id, route)| (RouteId(id), route)));
        for route in kept.into_iter().filter_map(|key| table.routes.get(key)) {
            let (id, before) = self.routes.insert(route.clone());
            moved.came.push((RouteId(id), route.clone()));
            moved.went.extend(before.map(|before| (RouteId(id), before)));
        }
        moved
    }

    fn prepare(&mut self, id: RouteId, route: &Route) -> Vec<Arc<Candidate>> {
        if !takes_requests(route.kind) {
            return Vec::new();
        }
        let mut patterns = Taken(&mut self.patterns);
        let matches = 0..route.matches.len() as u32;
        matches.map(|rule_match| Arc::new(candidate(route, id, rule_match, &mut patterns))).collect()
    }

    fn detach(&mut self, id: RouteId, route: &Route) {
        if !takes_requests(route.kind) {
            return;
        }
        let listeners: Vec<_> = route.attachments.iter().map(|it| self.listener_position(&it.listener)).collect();
        for rule_match in 0..route.matches.len() as u32 {
            let candidate = candidate(route, id, rule_match, &mut Released(&mut self.patterns));
            for (attachment, listener) in route.attachments.iter().zip(&listeners) {
                let Some(listener) = *listener else { continue };
                let attached = Arc::make_mut(&mut self.attached[listener]);
                for hostname in &attachment.hostnames {
                    if route.kind == RouteKind::Grpc {
                        attached.grpc.take_out(hostname, &candidate);
                    } else {
                        attached.http.take_out(hostname, &candidate);
                    }
                }
            }
        }
    }

    /// By key. Listeners are in its order.
    fn listener_position(&self, key: &str) -> Option<usize> {
        self.listeners.binary_search_by(|listener| listener.key.as_str().cmp(key)).ok()
    }

    fn attach(&mut self, route: &Route, candidates: &[Arc<Candidate>]) {
        for attachment in &route.attachments {
            let Some(listener) = self.listener_position(&attachment.listener) else { continue };
            let attached = Arc::make_mut(&mut self.attached[listener]);
            for (hostname, candidate) in
                attachment.hostnames.iter().flat_map(|it| candidates.iter().map(move |c| (it, c)))
            {
                if route.kind == RouteKind::Grpc {
                    attached.grpc.put(hostname, candidate, &self.routes);
                } else {
                    attached.http.put(hostname, candidate, &self.routes);
                }
            }
        }
    }
}

/// Routes that a router takes and lets go of; one that is replaced is among both.
#[derive(Default)]
struct Moved {
    came: Vec<(RouteId, Arc<Route>)>,
    went: Vec<(RouteId, Arc<Route>)>,
}

fn takes_requests(kind: RouteKind) -> bool {
    matches!(kind, RouteKind::Http | RouteKind::Grpc)
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

fn candidate(source: &Route, route: RouteId, rule_match: u32, patterns: &mut impl Use) -> Candidate {
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
            .map(|query| QueryTest {
                name: query.name.as_str().into(),
                test: value_test(query.kind, &query.value, patterns),
            })
            .collect(),
    }
}

fn path_target(found: &Match, patterns: &mut impl Use) -> Target {
    let Some(path) = &found.path else { return Target::Prefix("".into()) };
    match path.kind {
        PathMatchType::Exact => Target::Exact(canonical(&path.value).into()),
        PathMatchType::PathPrefix => Target::Prefix(canonical_prefix(&path.value)),
        PathMatchType::RegularExpression => Target::Regex(patterns.regex(&path.value)),
    }
}

fn grpc_target(found: &Match, patterns: &mut impl Use) -> Target {
    let Some(grpc) = &found.grpc else { return Target::Grpc { service: None, method: None } };
    let [service, method] = [&grpc.service, &grpc.method]
        .map(|name| if name.is_empty() { None } else { Some(value_test(grpc.kind, name, patterns)) });
    Target::Grpc { service, method }
}

/// A name that is none (validation refuses it) becomes a test that nothing passes.
fn header_test(header: &ValueMatch, patterns: &mut impl Use) -> HeaderTest {
    match HeaderName::from_bytes(header.name.as_bytes()) {
        Ok(name) => HeaderTest { name, test: value_test(header.kind, &header.value, patterns) },
        Err(_) => HeaderTest { name: http::header::HOST, test: ValueTest::Regex(None) },
    }
}

fn value_test(kind: ValueMatchType, value: &str, patterns: &mut impl Use) -> ValueTest {
    match kind {
        ValueMatchType::Exact => ValueTest::Exact(value.into()),
        ValueMatchType::RegularExpression => ValueTest::Regex(patterns.regex(value)),
    }
}
