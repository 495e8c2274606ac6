//! Which route takes a request, and why: a pure library, without sockets or clocks.
//!
//! Owns the choice of listener by host, the precedence of routes (Gateway API, `HTTPRouteRule.matches` and
//! `GRPCRouteRule.matches`) and its explanation. It must not know what a route does with a request.
//!
//! The cost of a decision does not grow with the number of routes: hash on the host, then on the path, and
//! only the candidates found there are looked at, best first. [`Router::explain`] runs the same code as
//! [`Router::find`], with a recorder that compiles to nothing in the latter.

#![forbid(unsafe_code)]

mod build;
mod candidate;
mod captures;
mod connections;
mod explain;
mod find;
mod group;
mod grpc_index;
mod host_map;
mod nearest;
mod path_index;
mod patterns;
mod precedence;
mod query;
mod value;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_codec::message::Headers;
use sekisho_table::{Listener, Route};

pub use captures::{Capture, Captures};
pub use explain::{Explanation, FailedPredicate, SocketSummary, TriedCandidate};

use candidate::Candidate;
use group::Routes;
use grpc_index::GrpcIndex;
use host_map::HostMap;
use path_index::PathIndex;
use patterns::Patterns;

/// What routing looks at in a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Whether the connection is TLS; `sni` is then the name its handshake asked for.
    pub tls: bool,
    pub sni: Option<&'a str>,
    pub method: &'a str,
    /// Lower case, without port and without trailing dot.
    pub host: &'a str,
    /// Normalised, without query.
    pub path: &'a str,
    /// Without `?`.
    pub query: &'a str,
    pub headers: &'a Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// An address and port to bind, and the listeners that share it: all of them, or of captured ones those that take the
/// same destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub address: IpAddr,
    pub bind_port: u16,
    pub tls: bool,
    pub capture: Option<Capture>,
    pub listeners: Vec<ListenerId>,
}

/// Where a request goes. `rule_match` is the position in `Route::matches`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Matched {
        listener: ListenerId,
        route: RouteId,
        rule_match: u32,
    },
    /// 404: the listener that owns the host, if any, has no route for the request.
    NoRoute {
        listener: Option<ListenerId>,
    },
    /// 421: the host belongs to `listener`, which is not the one that the handshake chose.
    Misdirected {
        listener: ListenerId,
    },
}

/// An immutable matcher for one version of the table. Versions share what is equal.
#[derive(Clone, Debug, Default)]
pub struct Router {
    sockets: Vec<Socket>,
    /// By [`SocketId`]: which listener owns a host.
    owners: Vec<HostMap<ListenerId>>,
    by_address: HashMap<(IpAddr, u16), SocketId>,
    captures: HashMap<(IpAddr, u16), Captures>,
    /// By [`ListenerId`], in the order of their keys.
    listeners: Vec<Arc<Listener>>,
    /// By [`ListenerId`].
    attached: Vec<Arc<Attached>>,
    connections: Arc<connections::Connections>,
    /// By [`RouteId`]: a route keeps its position while the table has its key.
    routes: Routes,
    patterns: Patterns,
}

/// The routes of one listener: nobody else's are considered for it.
#[derive(Clone, Debug, Default)]
struct Attached {
    http: HostMap<PathIndex>,
    grpc: HostMap<GrpcIndex>,
}

impl Router {
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    pub fn socket(&self, address: IpAddr, bind_port: u16) -> Option<SocketId> {
        self.by_address.get(&(address, bind_port)).copied()
    }

    /// The choice by original destination, where an address has captured listeners.
    pub fn captures(&self, address: IpAddr, bind_port: u16) -> Option<&Captures> {
        self.captures.get(&(address, bind_port))
    }

    pub fn listener(&self, id: ListenerId) -> &Arc<Listener> {
        &self.listeners[id.0 as usize]
    }

    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        &self.routes.slots()[id.0 as usize]
    }

    /// Every route of the table with its position, ascending.
    pub fn routes(&self) -> impl Iterator<Item = (RouteId, &Arc<Route>)> {
        self.routes.slots().iter().map(|(position, route)| (RouteId(position as u32), route))
    }

    pub fn route_id(&self, key: &str) -> Option<RouteId> {
        self.routes.position(key).map(RouteId)
    }
}
