//! One endpoint on one worker: what is in flight to it and which connections wait for work.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use sekisho_stream::Http1;
use sekisho_tls::Transport;

use crate::backend::Counters;
use crate::http2_pool::Http2Pool;
use crate::spec::{EndpointSpec, PeerSpec, Target};
use crate::upstreams::Shared;

/// Names an endpoint to the caller: what to avoid in a retry, and what to log.
pub type EndpointHandle = Rc<EndpointState>;

pub struct EndpointState {
    target: Target,
    peer: Option<Arc<PeerSpec>>,
    label: OnceCell<Rc<str>>,
    /// Where the owner's telemetry knows the peer; 0 for nowhere yet.
    pub party: Cell<u32>,
    in_flight: Cell<u32>,
    /// The endpoint has left the table: its work finishes, its connections are not kept.
    retired: Cell<bool>,
    /// Most recently used last, so that the others age and expire.
    idle: RefCell<Vec<Idle>>,
    /// Whether the sweep visits this endpoint.
    swept: Cell<bool>,
    http2: OnceCell<Box<Http2Pool>>,
    pub(crate) counters: Rc<Counters>,
    shared: Rc<Shared>,
}

struct Idle {
    connection: Box<Http1<Transport>>,
    /// The sweep during which it became idle: no clock is read for each request.
    since: u32,
}

impl EndpointState {
    pub(crate) fn new(spec: &EndpointSpec, counters: Rc<Counters>, shared: Rc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            target: spec.target.clone(),
            peer: spec.peer.clone(),
            label: OnceCell::new(),
            party: Cell::new(0),
            in_flight: Cell::new(0),
            retired: Cell::new(false),
            idle: RefCell::default(),
            swept: Cell::new(false),
            http2: OnceCell::new(),
            counters,
            shared,
        })
    }

    /// `address:port`, for logs.
    pub fn label(&self) -> &Rc<str> {
        self.label.get_or_init(|| self.target.label().into())
    }

    /// Its connections of HTTP/2.
    pub(crate) fn http2(&self) -> &Http2Pool {
        self.http2.get_or_init(Box::default)
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// HTTP/1 connections that wait for work.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Who it must prove to be, where it is in the mesh.
    pub fn peer(&self) -> Option<&Arc<PeerSpec>> {
        self.peer.as_ref()
    }

    /// The endpoint has left the table.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Takes the most recently used connection that is still open.
    #[inline]
    pub(crate) fn take_idle(&self) -> Option<Box<Http1<Transport>>> {
        let mut idle = self.idle.borrow_mut();
        // Looked at in its place: a connection is several hundred bytes to move.
        while !is_open(&mut idle.last_mut()?.connection) {
            idle.pop();
        }
        idle.pop().map(|idle| idle.connection)
    }

    #[inline]
    pub(crate) fn put_idle(self: &Rc<Self>, connection: Box<Http1<Transport>>) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || idle.len() >= self.shared.max_idle_per_endpoint {
            return;
        }
        if idle.capacity() == 0 {
            // Most of many endpoints never have more than one.
            idle.reserve_exact(1);
        }
        idle.push(Idle { connection, since: self.shared.ticks() });
        self.enlist();
    }

    /// Asks for visits of the sweep, once.
    pub(crate) fn enlist(self: &Rc<Self>) {
        if !self.swept.replace(true) {
            self.shared.enlist(Rc::downgrade(self));
        }
    }

    /// Closes what has been idle for too long or was closed by the peer; false when nothing is left to visit.
    pub(crate) fn sweep(&self, now: u32, longest: u32) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|candidate| now.wrapping_sub(candidate.since) < longest && is_open(&mut candidate.connection));
        let http2_left = self.http2.get().is_some_and(|pool| pool.sweep(now, longest));
        let visit_again = !idle.is_empty() || http2_left;
        self.swept.set(visit_again);
        visit_again
    }

    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
        if let Some(pool) = self.http2.get() {
            pool.clear();
        }
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }
}

/// Nobody waits on an idle connection, so it is looked at with a waker that does nothing.
#[inline]
fn is_open(connection: &mut Http1<Transport>) -> bool {
    match connection.io().is_quiet() {
        Some(quiet) => quiet && connection.is_reusable(),
        None => connection.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending(),
    }
}

impl fmt::Debug for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointState")
            .field("label", self.label())
            .field("in_flight", &self.in_flight.get())
            .field("retired", &self.retired.get())
            .finish_non_exhaustive()
    }
}

/// Counts one exchange as in flight for as long as it lives.
#[derive(Debug)]
pub struct LeaseGuard(Rc<EndpointState>);

impl LeaseGuard {
    pub(crate) fn new(endpoint: &Rc<EndpointState>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        endpoint.counters.exchange_started();
        Self(endpoint.clone())
    }

    pub fn handle(&self) -> &EndpointHandle {
        &self.0
    }
}

impl Deref for LeaseGuard {
    type Target = EndpointState;

    fn deref(&self) -> &EndpointState {
        &self.0
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        self.0.counters.exchange_ended();
    }
}
