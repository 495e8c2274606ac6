//! One version of the configuration as one worker holds it: with its pools, its counters by position, and the texts
//! that every request of a place shares.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sekisho_router::{ListenerId, RouteId, SocketId};
use sekisho_upstream::Backend;

use crate::access_log::{PlaceNames, place_fields};
use crate::config::Compiled;
use crate::statistics::{Slot, Statistics};

/// Where a request went, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub listener: Option<ListenerId>,
    pub route: Option<RouteId>,
    pub backend: Option<u32>,
}

#[derive(Default)]
pub struct ActiveConfig {
    version: u64,
    pub compiled: Arc<Compiled>,
    /// By backend position.
    pub backends: Vec<Rc<Backend>>,
    slots: Vec<Slot>,
    /// By socket position: the gateway's place in the statistics.
    gateways: Vec<u32>,
    listener_hits: Vec<Cell<u64>>,
    routes: Vec<RouteState>,
}

#[derive(Debug, Default)]
struct RouteState {
    hits: Cell<u64>,
    /// What the access log says of requests that took this route, as the last one had it.
    log_fields: RefCell<Option<(Place, Box<[u8]>)>>,
}

impl ActiveConfig {
    pub fn new(
        version: u64,
        compiled: Arc<Compiled>,
        backends: Vec<Rc<Backend>>,
        statistics: &mut Statistics,
    ) -> ActiveConfig {
        let slots = backends.iter().map(|backend| statistics.slot(backend.spec().destination())).collect();
        let gateways = compiled.sockets.iter().map(|socket| statistics.gateway(&socket.gateway.key)).collect();
        statistics.listeners.retain(|key, _| compiled.table.listeners.contains_key(key));
        statistics.routes.retain(|key, _| compiled.table.routes.contains_key(key));
        let listener_hits = vec![Cell::new(0); compiled.router.listeners().len()];
        let routes = compiled.router.routes().iter().map(|_| RouteState::default()).collect();
        ActiveConfig { version, compiled, backends, slots, gateways, listener_hits, routes }
    }

    /// Grows with every configuration that the worker takes over.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn slot(&self, backend: Option<u32>) -> Slot {
        backend.and_then(|index| self.slots.get(index as usize)).copied().unwrap_or(Slot::NONE)
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
        if let Some(route) = self.routes.get(route.0 as usize) {
            route.hits.set(route.hits.get() + 1);
        }
    }

    /// Moves hits counted by position into the maps by key.
    pub fn fold_hits(&self, statistics: &mut Statistics) {
        for (listener, hits) in self.compiled.router.listeners().iter().zip(&self.listener_hits) {
            if hits.get() > 0 {
                *statistics.listeners.entry(listener.key.clone()).or_default() += hits.take();
            }
        }
        for (route, state) in self.compiled.router.routes().iter().zip(&self.routes) {
            if state.hits.get() > 0 {
                *statistics.routes.entry(route.key.clone()).or_default() += state.hits.take();
            }
        }
    }

    /// What the access log says about a place; written anew only when a route's last request went elsewhere.
    pub fn with_log_fields(&self, place: Place, write: impl FnOnce(&[u8])) {
        let Some(state) = place.route.and_then(|route| self.routes.get(route.0 as usize)) else {
            return write(&self.log_fields(place));
        };
        let mut kept = state.log_fields.borrow_mut();
        match &*kept {
            Some((of, fields)) if *of == place => write(fields),
            _ => write(&kept.insert((place, self.log_fields(place))).1),
        }
    }

    fn log_fields(&self, place: Place) -> Box<[u8]> {
        let router = &self.compiled.router;
        let listener = place.listener.map(|id| router.listener(id));
        let route = place.route.map(|id| router.route(id));
        let backend = place.backend.and_then(|index| self.backends.get(index as usize));
        let names = PlaceNames {
            gateway: listener.map_or("", |listener| &listener.gateway),
            listener: listener.map_or("", |listener| &listener.key),
            route: route.map_or("", |route| &route.key),
            rule: route.map_or("", |route| &route.name),
            backend: backend.map_or("", |backend| backend.spec().key()),
        };
        let mut out = Vec::new();
        place_fields(&names, &mut out);
        out.into()
    }
}

/// A listening socket's position, found once for each configuration.
#[derive(Debug, Default)]
pub struct SocketPlace {
    found: Cell<Option<(u64, Option<SocketId>)>>,
}

impl SocketPlace {
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
