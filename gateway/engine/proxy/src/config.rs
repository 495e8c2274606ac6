//! The compiled configuration: everything a worker needs to serve one version of the table.
//!
//! Built on the control thread, immutable, shared by all workers. What an update does not touch is
//! carried over, so that a change of endpoints rebuilds neither the matcher nor the plans.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sekisho_policy::PolicySet;
use sekisho_router::{Captures, ListenerId, RouteId, Router, SocketId};
use sekisho_table::{Gateway, Limits, Listener, ListenerProtocol, MeshMode, Table, Touched};
use sekisho_tls::ServerTls;
use sekisho_token::AuthenticationSet;
use sekisho_upstream::BackendSpecs;

use crate::authentication::{self, Authentications};
use crate::authorization::{self, Policies};
use crate::egress::Egress;
use crate::external::{self, Provider, Providers};
use crate::plan::{Plans, RoutePlan, plans};

/// Settings of one bound socket, from the Gateway that owns it.
#[derive(Debug)]
pub struct SocketPlan {
    pub address: SocketAddr,
    pub gateway: Arc<Gateway>,
    pub tls: Option<Result<Arc<ServerTls>, String>>,
    /// What the mesh demands of clients here.
    pub mesh: Option<MeshMode>,
    /// It stands before a workload of the mesh, and nothing goes out by it.
    pub before_workload: bool,
    /// Takes tunnels, for the captured listeners of this address.
    pub inner: Option<SocketAddr>,
    /// The listener whose connections are carried as they are, where that is known before a byte arrives.
    pub carrier: Option<ListenerId>,
    /// The listener that all its connections go out by, where that is known before a byte arrives.
    pub outlet: Option<ListenerId>,
}

impl SocketPlan {
    pub fn limits(&self) -> &Limits {
        &self.gateway.limits
    }
}

#[derive(Debug, Default)]
pub struct Compiled {
    /// Without routes, backends and endpoints: see [`Table::settings`].
    pub table: Arc<Table>,
    pub router: Arc<Router>,
    pub plans: Plans,
    pub specs: Arc<BackendSpecs>,
    /// By [`SocketId`].
    pub sockets: Arc<Vec<SocketPlan>>,
    policies: Arc<Policies>,
    /// Of CUSTOM policies.
    providers: Arc<Providers>,
    authentications: Arc<Authentications>,
    pub egress: Arc<Egress>,
    by_address: Arc<HashMap<SocketAddr, SocketId>>,
}

impl Compiled {
    /// What `previous` becomes with `table`, which differs from the one before in what is `touched`.
    pub fn build(table: &Table, previous: &Compiled, touched: &Touched) -> Compiled {
        let settings = if touched.settings() { Arc::new(table.settings()) } else { previous.table.clone() };
        let listening = !touched.listeners.is_empty() || !touched.gateways.is_empty();
        let matching = listening || !touched.routes.is_empty();
        let router = if matching { Arc::new(previous.router.rebuild(table, touched)) } else { previous.router.clone() };
        let specs = BackendSpecs::build(table, &previous.specs, touched);
        let plans = plans(&previous.plans, &previous.router, &router, &specs, &touched.routes);
        let mut compiled = Compiled {
            table: settings,
            router,
            plans,
            specs,
            sockets: previous.sockets.clone(),
            policies: previous.policies.clone(),
            providers: previous.providers.clone(),
            authentications: previous.authentications.clone(),
            egress: previous.egress.clone(),
            by_address: previous.by_address.clone(),
        };
        if listening || !touched.certificates.is_empty() || !touched.trust_bundles.is_empty() {
            let sockets = socket_plans(&compiled.router, table);
            let mut by_address = HashMap::new();
            for (position, socket) in sockets.iter().enumerate() {
                by_address.entry(socket.address).or_insert(SocketId(position as u32));
            }
            (compiled.sockets, compiled.by_address) = (Arc::new(sockets), Arc::new(by_address));
        }
        if listening || !touched.authorization_policies.is_empty() {
            compiled.policies = Arc::new(authorization::compile(&compiled.router, table));
        }
        let asked = |key: &String| compiled.providers.values().any(|provider| *provider.backend_key == **key);
        if !touched.authorization_policies.is_empty() || touched.backends.iter().any(asked) {
            compiled.providers = Arc::new(external::providers(table, &compiled.specs));
        }
        if listening || !touched.request_authentications.is_empty() {
            compiled.authentications = Arc::new(authentication::compile(&compiled.router, table));
        }
        if listening || !touched.egress_policies.is_empty() {
            compiled.egress = Arc::new(Egress::compile(table, &previous.egress));
        }
        compiled
    }

    /// Of a route of the router.
    #[inline]
    pub fn plan(&self, route: RouteId) -> &RoutePlan {
        &self.plans[route.0 as usize]
    }

    /// Of captured listeners' sockets, which share their address, the first: they have one gateway.
    pub fn socket(&self, address: SocketAddr) -> Option<SocketId> {
        self.by_address.get(&address).copied()
    }

    /// The choice by original destination, where the address has captured listeners.
    pub fn captures(&self, address: SocketAddr) -> Option<&Captures> {
        self.router.captures(address.ip(), address.port())
    }

    /// What decides about the requests and connections of a listener; `None` where everybody is let in.
    #[inline]
    pub fn policies(&self, listener: ListenerId) -> Option<&PolicySet> {
        self.policies.of(listener)
    }

    /// As [`Self::policies`], of a listener that carries connections, whatever number it has now.
    pub fn policies_of(&self, listener: &str) -> Option<&PolicySet> {
        self.policies.of_key(listener)
    }

    /// Nothing has changed in who is let in.
    pub fn admits_as(&self, other: &Compiled) -> bool {
        Arc::ptr_eq(&self.policies, &other.policies)
    }

    /// Whom a CUSTOM policy asks.
    pub fn provider(&self, policy: &str) -> Option<&Provider> {
        self.providers.get(policy)
    }

    /// What looks at the tokens of a listener's requests; `None` where nobody does.
    #[inline]
    pub fn authentication(&self, listener: ListenerId) -> Option<&AuthenticationSet> {
        self.authentications.get(listener.0 as usize)?.as_deref()
    }

    pub fn socket_plan(&self, id: SocketId) -> &SocketPlan {
        &self.sockets[id.0 as usize]
    }
}

fn socket_plans(router: &Router, table: &Table) -> Vec<SocketPlan> {
    let sockets = router.sockets().iter();
    sockets
        .map(|socket| {
            let listeners: Vec<&Listener> = socket.listeners.iter().map(|id| &**router.listener(*id)).collect();
            let gateway = listeners.first().and_then(|listener| table.gateways.get(&listener.gateway)).cloned();
            SocketPlan {
                address: SocketAddr::new(socket.address, socket.bind_port),
                gateway: gateway.unwrap_or_else(|| Arc::new(default_gateway())),
                mesh: listeners.first().and_then(|listener| listener.mesh).map(|mesh| mesh.mode),
                before_workload: listeners.iter().all(|listener| listener.mesh.is_some() && !listener.leads_out()),
                inner: listeners.first().and_then(|listener| listener.inner.parse().ok()),
                tls: socket.tls.then(|| ServerTls::build(&listeners, table).map(Arc::new)),
                carrier: match listeners.first() {
                    Some(listener) if listener.protocol == ListenerProtocol::Tcp => socket.listeners.first().copied(),
                    _ => None,
                },
                outlet: match listeners.first() {
                    Some(listener) if listener.egress.is_some() && !listener.terminates_tls() => {
                        socket.listeners.first().copied()
                    }
                    _ => None,
                },
            }
        })
        .collect()
}

fn default_gateway() -> Gateway {
    Gateway { key: String::new(), workload: None, trusted_hops: 0, access_log: true, limits: Limits::default() }
}

/// The socket a URL points at: by scheme, then bound port, then the port clients dial.
pub fn socket_for(router: &Router, tls: bool, port: u16, address: Option<IpAddr>) -> Option<SocketId> {
    let sockets = || {
        router
            .sockets()
            .iter()
            .enumerate()
            .filter(move |(_, socket)| socket.tls == tls && address.is_none_or(|wanted| wanted == socket.address))
            .filter(|(_, socket)| socket.listeners.iter().any(|id| router.listener(*id).protocol.takes_requests()))
    };
    let dialled = |listeners: &[sekisho_router::ListenerId]| {
        listeners.iter().any(|listener| router.listener(*listener).port == port)
    };
    let found = sockets()
        .find(|(_, socket)| socket.bind_port == port)
        .or_else(|| sockets().find(|(_, socket)| dialled(&socket.listeners)));
    found.map(|(index, _)| SocketId(index as u32))
}

#[cfg(test)]
mod tests;
