//! The compiled configuration: everything a worker needs to serve one version of the table.
//!
//! Built on the control thread, immutable, shared by all workers. What an update does not touch is
//! carried over, so that a change of endpoints rebuilds neither the matcher nor the plans.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sekisho_policy::PolicySet;
use sekisho_router::{ListenerId, Router, SocketId};
use sekisho_table::{Gateway, Limits, Listener, ListenerProtocol, Table, store::Touched};
use sekisho_tls::ServerTls;
use sekisho_upstream::BackendSpecs;

use crate::authorization::{self, Policies};
use crate::egress::Egress;
use crate::plan::{RoutePlan, plans};

/// Settings of one bound socket, from the Gateway that owns it.
#[derive(Debug)]
pub struct SocketPlan {
    pub address: SocketAddr,
    pub gateway: Arc<Gateway>,
    pub tls: Option<Result<Arc<ServerTls>, String>>,
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
    pub table: Arc<Table>,
    pub router: Arc<Router>,
    pub plans: Arc<Vec<RoutePlan>>,
    pub specs: Arc<BackendSpecs>,
    /// By [`SocketId`].
    pub sockets: Arc<Vec<SocketPlan>>,
    policies: Arc<Policies>,
    pub egress: Arc<Egress>,
    by_address: HashMap<SocketAddr, SocketId>,
}

impl Compiled {
    pub fn build(table: Table, previous: &Compiled, touched: Touched) -> Compiled {
        let matching = touched.routes || touched.listeners || touched.gateways;
        let router = if matching { Arc::new(previous.router.rebuild(&table)) } else { previous.router.clone() };
        let specs = BackendSpecs::build(&table, Some(&previous.specs), touched);
        let same_backends = !touched.backends && !touched.trust_bundles && !touched.certificates;
        let plans = if matching || !same_backends { Arc::new(plans(&router, &specs)) } else { previous.plans.clone() };
        let sockets = if matching || touched.certificates || touched.trust_bundles {
            Arc::new(socket_plans(&router, &table))
        } else {
            previous.sockets.clone()
        };
        let policies = if matching || touched.authorization_policies {
            Arc::new(authorization::compile(&router, &table))
        } else {
            previous.policies.clone()
        };
        let egress = if matching || touched.egress_policies {
            Arc::new(Egress::compile(&table, &previous.egress))
        } else {
            previous.egress.clone()
        };
        let by_address = sockets.iter().enumerate().map(|(i, s)| (s.address, SocketId(i as u32))).collect();
        Compiled { table: Arc::new(table), router, plans, specs, sockets, policies, egress, by_address }
    }

    pub fn socket(&self, address: SocketAddr) -> Option<SocketId> {
        self.by_address.get(&address).copied()
    }

    /// What decides about the requests and connections of a listener; `None` where everybody is let in.
    #[inline]
    pub fn policies(&self, listener: ListenerId) -> Option<&PolicySet> {
        self.policies.get(listener.0 as usize)?.as_deref()
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
