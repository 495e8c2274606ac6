//! One version of the configuration as one worker holds it: with its pools, its counters by position, and the texts
//! that every request of a place shares.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sekisho_persistent::Slots;
use sekisho_router::{ListenerId, RouteId, SocketId};
use sekisho_upstream::Backend;

use crate::access_log::{PlaceFields, backend_fields, listener_fields, route_fields};
use crate::config::Compiled;
use crate::seldom::Seldom;
use crate::statistics::{Slot, Statistics};

/// Where a request went, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub listener: Option<ListenerId>,
    pub route: Option<RouteId>,
    pub backend: Option<u32>,
}

pub struct ActiveConfig {
    version: u64,
    admission: u64,
    pub compiled: Arc<Compiled>,
    /// By backend position.
    pub backends: Slots<Rc<Backend>>,
    slots: Seldom<Cell<Option<Slot>>>,
    /// By socket position: the gateway's place in the statistics.
    gateways: Vec<u32>,
    listener_hits: Seldom<Cell<u64>>,
    route_hits: Seldom<Cell<u64>>,
    listener_log: Texts,
    route_log: Texts,
    backend_log: Texts,
}

/// What a worker has before its first configuration.
impl Default for ActiveConfig {
    fn default() -> Self {
        Self::new((0, 0), Arc::default(), Slots::default(), &mut Statistics::default())
    }
}

impl ActiveConfig {
    /// Costs little whatever the size of the table: what belongs to a place is made when a request first goes there.
    pub fn new(
        (version, admission): (u64, u64),
        compiled: Arc<Compiled>,
        backends: Slots<Rc<Backend>>,
        statistics: &mut Statistics,
    ) -> ActiveConfig {
        let gateways = compiled.sockets.iter().map(|socket| statistics.gateway(&socket.gateway.key)).collect();
        let (listeners, routes) = (compiled.router.listeners().len(), compiled.plans.bound());
        ActiveConfig {
            version,
            admission,
            gateways,
            slots: Seldom::new(backends.bound()),
            listener_hits: Seldom::new(listeners),
            route_hits: Seldom::new(routes),
            listener_log: Texts::new(listeners, listener_fields("", "")),
            route_log: Texts::new(routes, route_fields("", "")),
            backend_log: Texts::new(backends.bound(), backend_fields("")),
            compiled,
            backends,
        }
    }

    /// Grows with every configuration that the worker takes over.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version with which it last changed who is let in.
    pub fn admission(&self) -> u64 {
        self.admission
    }

    /// The place of a backend's destination in the statistics of this worker.
    pub fn slot(&self, backend: Option<u32>, statistics: &mut Statistics) -> Slot {
        let Some(index) = backend.map(|index| index as usize) else { return Slot::NONE };
        let Some(slot) = self.slots.get(index) else { return Slot::NONE };
        slot.get().unwrap_or_else(|| {
            let found = self.backends.get(index).map(|backend| statistics.slot(backend.spec().destination()));
            slot.set(found);
            found.unwrap_or(Slot::NONE)
        })
    }

    pub fn gateway(&self, socket: usize) -> u32 {
        self.gateways.get(socket).copied().unwrap_or(0)
    }

    pub fn hit_listener(&self, listener: ListenerId) {
        if let Some(hits) = self.listener_hits.get(listener.0 as usize) {
            hits.set(hits.get() + 1);
        }
    }

    pub fn hit_route(&self, route: RouteId) {
        if let Some(hits) = self.route_hits.get(route.0 as usize) {
            hits.set(hits.get() + 1);
        }
    }

    /// Moves hits counted by position into the maps by key.
    pub fn fold_hits(&self, statistics: &mut Statistics) {
        let router = &self.compiled.router;
        for (position, hits) in self.listener_hits.made().filter(|(_, hits)| hits.get() > 0) {
            let listener = &router.listeners()[position];
            *statistics.listeners.entry(listener.key.clone()).or_default() += hits.take();
        }
        for (position, hits) in self.route_hits.made().filter(|(_, hits)| hits.get() > 0) {
            let route = router.route(RouteId(position as u32));
            *statistics.routes.entry(route.key.clone()).or_default() += hits.take();
        }
    }

    /// What the access log says about a place.
    pub fn log_fields(&self, place: Place) -> PlaceFields<'_> {
        PlaceFields {
            listener: self.listener_log.of(place.listener.map(|id| id.0), |position| {
                let listener = &self.compiled.router.listeners()[position];
                listener_fields(&listener.gateway, &listener.key)
            }),
            route: self.route_log.of(place.route.map(|id| id.0), |position| {
                let route = self.compiled.router.route(RouteId(position as u32));
                route_fields(&route.key, &route.name)
            }),
            backend: self
                .backend_log
                .of(place.backend, |position| backend_fields(self.backends[position].spec().key())),
        }
    }
}

/// Texts by position, each written when a request first needs it; and the one for no position.
#[derive(Debug)]
struct Texts {
    written: Seldom<OnceCell<Box<[u8]>>>,
    absent: Box<[u8]>,
}

impl Texts {
    fn new(positions: usize, absent: Box<[u8]>) -> Self {
        Self { written: Seldom::new(positions), absent }
    }

    fn of(&self, position: Option<u32>, write: impl FnOnce(usize) -> Box<[u8]>) -> &[u8] {
        let position = position.map(|position| position as usize);
        match position.and_then(|position| Some((position, self.written.get(position)?))) {
            Some((position, text)) => text.get_or_init(|| write(position)),
            None => &self.absent,
        }
    }
}

/// A listening socket's position, found once for each configuration.
#[derive(Debug, Default)]
pub struct SocketPlace {
    found: Cell<Option<(u64, Option<SocketId>)>>,
}

impl SocketPlace {
    /// The same among captured listeners' sockets, by original destination.
    pub fn captured_in(&self, config: &ActiveConfig, address: SocketAddr, destination: SocketAddr) -> Option<SocketId> {
        match self.found.get() {
            Some((version, id)) if version == config.version => id,
            _ => {
                let id = config.compiled.captures(address).and_then(|captures| captures.find(destination));
                self.found.set(Some((config.version, id)));
                id
            }
        }
    }

    pub fn in_config(&self, config: &ActiveConfig, address: SocketAddr) -> Option<SocketId> {
        match self.found.get() {
            Some((version, id)) if version == config.version => id,
            _ => {
                let id = config.compiled.socket(address);
                self.found.set(Some((config.version, id)));
                id
            }
        }
    }
}
