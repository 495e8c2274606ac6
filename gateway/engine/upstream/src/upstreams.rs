//! All backends of one worker, and the sweep that closes what nobody uses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use sekisho_persistent::Slots;
use sekisho_stream::Http2Options;
use sekisho_tls::MeshIdentity;

use crate::backend::{Backend, Parts};
use crate::balance::Random;
use crate::dns::{DnsCache, Resolve, SystemResolver};
use crate::endpoint::EndpointState;
use crate::spec::{BackendSpec, BackendSpecs, PeerSpec, Target};
use crate::tunnel::Tunnels;

/// Sweeps in one idle timeout: a connection lives at most one part in twelve too long.
const SWEEPS_PER_TIMEOUT: u32 = 12;

pub struct UpstreamOptions {
    /// HTTP/1 connections kept for each endpoint on this worker.
    pub max_idle_per_endpoint: usize,
    pub idle_timeout: Duration,
    pub http2: Http2Options,
    /// Seed of the balancer's choices.
    pub seed: u64,
    pub resolver: Rc<dyn Resolve>,
    /// What the gateway proves itself with to endpoints of the mesh.
    pub identity: Arc<MeshIdentity>,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            max_idle_per_endpoint: 256,
            idle_timeout: Duration::from_secs(60),
            http2: Http2Options::default(),
            seed: fastrand::u64(..),
            resolver: Rc::new(SystemResolver),
            identity: Arc::default(),
        }
    }
}

/// One worker's backends, at the positions of their specs.
pub struct Upstreams {
    specs: Arc<BackendSpecs>,
    backends: Slots<Rc<Backend>>,
    shared: Rc<Shared>,
}

/// What every endpoint of a worker needs.
pub(crate) struct Shared {
    pub(crate) max_idle_per_endpoint: usize,
    pub(crate) http2: Http2Options,
    pub(crate) random: Random,
    pub(crate) dns: DnsCache,
    pub(crate) identity: Arc<MeshIdentity>,
    pub(crate) tunnels: Tunnels,
    idle_timeout: Duration,
    ticks: Cell<u32>,
    /// Endpoints with connections that may have to be closed.
    swept: RefCell<Vec<Weak<EndpointState>>>,
}

impl Upstreams {
    pub fn new(options: UpstreamOptions) -> Self {
        let shared = Shared {
            max_idle_per_endpoint: options.max_idle_per_endpoint,
            http2: options.http2,
            random: Random::new(options.seed),
            dns: DnsCache::new(options.resolver),
            identity: options.identity,
            tunnels: Tunnels::default(),
            idle_timeout: options.idle_timeout,
            ticks: Cell::new(0),
            swept: RefCell::default(),
        };
        Self { specs: Arc::default(), backends: Slots::default(), shared: Rc::new(shared) }
    }

    /// Follows a new table. Exchanges in flight keep the backend they started with; endpoints that
    /// left the table close their idle connections now and the others when their work is done.
    pub fn update(&mut self, specs: Arc<BackendSpecs>) {
        if Arc::ptr_eq(&self.specs, &specs) {
            return;
        }
        for position in specs.slots().unshared(self.specs.slots()) {
            let spec = specs.slots().get(position);
            let previous = self.backends.get(position).cloned();
            let backend = match (spec, previous) {
                (None, None) => continue,
                (Some(spec), Some(backend)) if Arc::ptr_eq(backend.spec(), spec) => continue,
                (Some(spec), Some(backend)) if backend.spec().key() == spec.key() => Some(self.follow(spec, &backend)),
                (spec, previous) => {
                    previous.iter().for_each(|backend| retire_all(backend));
                    spec.map(|spec| Rc::new(Backend::unused(spec.clone(), self.shared.clone())))
                }
            };
            self.backends.set(position, backend);
        }
        self.specs = specs;
    }

    /// `index` comes from the specs of the last [`Self::update`].
    #[inline]
    pub fn backend(&self, index: u32) -> &Rc<Backend> {
        &self.backends[index as usize]
    }

    /// By position.
    pub fn backends(&self) -> &Slots<Rc<Backend>> {
        &self.backends
    }

    /// One pass over the endpoints that hold idle connections. Called by [`Self::sweeper`].
    pub fn sweep(&self) {
        self.shared.sweep();
    }

    /// Sweeps for as long as these upstreams or one of their backends exist; to be spawned on the worker.
    pub fn sweeper(&self) -> impl Future<Output = ()> + 'static + use<> {
        let shared = Rc::downgrade(&self.shared);
        let period = (self.shared.idle_timeout / SWEEPS_PER_TIMEOUT).max(Duration::from_millis(1));
        async move {
            loop {
                tokio::time::sleep(period).await;
                match shared.upgrade() {
                    Some(shared) => shared.sweep(),
                    None => return,
                }
            }
        }
    }

    /// The backend by its new spec, with the endpoints and connections that go on.
    fn follow(&self, spec: &Arc<BackendSpec>, before: &Backend) -> Rc<Backend> {
        let (spec, shared) = (spec.clone(), self.shared.clone());
        let Some(known) = before.used() else {
            before.retire_unused();
            return Rc::new(Backend::unused(spec, shared));
        };
        let mut kept: HashMap<(&Target, Option<&Arc<PeerSpec>>), &Rc<EndpointState>> = HashMap::new();
        if before.spec().shares_connections_with(&spec) {
            kept.extend(known.endpoints.iter().map(|endpoint| ((endpoint.target(), endpoint.peer()), endpoint)));
        }
        let endpoints =
            spec.endpoints.iter().map(|endpoint| match kept.get(&(&endpoint.target, endpoint.peer.as_ref())) {
                Some(state) => Rc::clone(state),
                None => EndpointState::new(endpoint, known.counters.clone(), self.shared.clone()),
            });
        let parts = Parts::new(endpoints.collect(), known.counters.clone());
        retire_left_out(known, &parts);
        Rc::new(Backend::with_parts(spec, shared, parts))
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.backends.values().for_each(|backend| retire_all(backend));
    }
}

impl Shared {
    /// How many sweeps there have been: the clock of idle connections.
    #[inline]
    pub(crate) fn ticks(&self) -> u32 {
        self.ticks.get()
    }

    pub(crate) fn enlist(&self, endpoint: Weak<EndpointState>) {
        self.swept.borrow_mut().push(endpoint);
    }

    fn sweep(&self) {
        let now = self.ticks.get().wrapping_add(1);
        self.ticks.set(now);
        // Taken out, because closing a connection may run code that enlists an endpoint.
        let mut swept = self.swept.take();
        swept.retain(|endpoint| endpoint.upgrade().is_some_and(|endpoint| endpoint.sweep(now, SWEEPS_PER_TIMEOUT)));
        self.swept.borrow_mut().append(&mut swept);
        self.tunnels.sweep(now, SWEEPS_PER_TIMEOUT);
        self.dns.sweep();
    }
}

fn retire_all(backend: &Backend) {
    let Some(parts) = backend.used() else { return backend.retire_unused() };
    parts.endpoints.iter().for_each(|endpoint| endpoint.retire());
    parts.retire_destinations();
}

fn retire_left_out(before: &Parts, after: &Parts) {
    before.retire_destinations();
    let kept: std::collections::HashSet<_> = after.endpoints.iter().map(Rc::as_ptr).collect();
    let gone = before.endpoints.iter().filter(|endpoint| !kept.contains(&Rc::as_ptr(endpoint)));
    gone.for_each(|endpoint| endpoint.retire());
}
