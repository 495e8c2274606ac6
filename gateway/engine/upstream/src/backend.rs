//! One backend on one worker: picks an endpoint and hands out connections to it.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sekisho_stream::{Http1, Http2Client};
use sekisho_table::BackendProtocol;
use sekisho_tls::{AlpnOffer, Transport};

use crate::balance::{self, Random};
use crate::destination::Destinations;
use crate::dial::{bounded, dial};
use crate::endpoint::{EndpointHandle, EndpointState, LeaseGuard};
use crate::error::{Failure, OpenError};
use crate::spec::BackendSpec;
use crate::upstreams::Shared;

/// What a request needs of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Whatever the backend prefers.
    Any,
    /// An upgrade: it exists in HTTP/1.1 only.
    Http1,
    /// gRPC.
    Http2,
}

#[allow(clippy::large_enum_variant, reason = "a box would cost an allocation for each exchange")]
pub enum Connection {
    /// Boxed: it changes hands several times in an exchange.
    Http1(Box<Http1<Transport>>),
    Http2(Http2Client),
}

/// A connection for one exchange.
pub struct Lease {
    pub connection: Connection,
    /// Keep it until the exchange ends: the balancer counts it.
    pub endpoint: LeaseGuard,
    /// The connection has served before, so its first failure may only mean that the peer had closed it.
    pub reused: bool,
}

/// Immutable: an update of the table makes a new one around the same endpoint states.
///
/// Most of a large table is never asked for on most workers, so what belongs to one worker is made by the first request.
pub struct Backend {
    spec: Arc<BackendSpec>,
    shared: Rc<Shared>,
    parts: OnceCell<Parts>,
    /// It has left the table, or another is in its place: what a request that is older still makes of it is not kept.
    retired: Cell<bool>,
}

/// What a worker has of a backend once a request went there.
pub(crate) struct Parts {
    pub(crate) endpoints: Box<[Rc<EndpointState>]>,
    pub(crate) counters: Rc<Counters>,
    pub(crate) destinations: OnceCell<Box<Destinations>>,
}

impl Parts {
    pub(crate) fn new(endpoints: Box<[Rc<EndpointState>]>, counters: Rc<Counters>) -> Self {
        Self { endpoints, counters, destinations: OnceCell::new() }
    }
}

impl Backend {
    /// Nothing has been asked of it yet.
    pub(crate) fn unused(spec: Arc<BackendSpec>, shared: Rc<Shared>) -> Self {
        Self { spec, shared, parts: OnceCell::new(), retired: Cell::new(false) }
    }

    pub(crate) fn with_parts(spec: Arc<BackendSpec>, shared: Rc<Shared>, parts: Parts) -> Self {
        Self { spec, shared, parts: parts.into(), retired: Cell::new(false) }
    }

    #[inline]
    pub(crate) fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| {
            let counters = Rc::<Counters>::default();
            let states = self.spec.endpoints.iter();
            let states = states.map(|endpoint| EndpointState::new(endpoint, counters.clone(), self.shared.clone()));
            let parts = Parts::new(states.collect(), counters.clone());
            if self.retired.get() {
                parts.endpoints.iter().for_each(|endpoint| endpoint.retire());
            }
            parts
        })
    }

    /// For one that nothing was asked of.
    pub(crate) fn retire_unused(&self) {
        self.retired.set(true);
    }

    /// Whether a request went there on this worker.
    pub fn is_used(&self) -> bool {
        self.parts.get().is_some()
    }

    /// What there is, where something was asked of it.
    pub(crate) fn used(&self) -> Option<&Parts> {
        self.parts.get()
    }

    pub fn spec(&self) -> &Arc<BackendSpec> {
        &self.spec
    }

    #[inline]
    pub fn endpoints(&self) -> &[EndpointHandle] {
        &self.parts().endpoints
    }

    /// Exchanges in flight on this worker.
    pub fn in_flight(&self) -> u32 {
        self.used().map_or(0, |parts| parts.counters.in_flight.get())
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    pub fn count_retry(&self) {
        let counters = &self.parts().counters;
        counters.retries.set(counters.retries.get() + 1);
    }

    pub fn counters(&self) -> BackendCounters {
        let Some(Parts { counters, .. }) = self.used() else { return BackendCounters::default() };
        BackendCounters {
            connections_opened: counters.connections_opened.get(),
            connect_failures: counters.connect_failures.get(),
            retries: counters.retries.get(),
            in_flight: counters.in_flight.get(),
        }
    }

    /// A pooled connection, where the endpoint that balancing picks has one. Never waits.
    #[inline]
    pub fn reuse(&self, want: Want, avoid: Option<&EndpointHandle>) -> Option<Lease> {
        let endpoint = balance::choose(self.endpoints(), avoid, &self.shared.random)?;
        self.reuse_at(endpoint, self.speaks_http2(want))
    }

    /// A connection for one exchange: a pooled one, unless `fresh` asks for a new one because a
    /// pooled one turned out to be stale. HTTP/2 connections are shared either way: one that failed
    /// has left the pool. `avoid` is used only where the backend has no other endpoint. A zero
    /// `connect_timeout` means no bound.
    pub async fn open(
        &self,
        want: Want,
        avoid: Option<&EndpointHandle>,
        fresh: bool,
        connect_timeout: Duration,
    ) -> Result<Lease, OpenError> {
        let endpoint = balance::choose(self.endpoints(), avoid, &self.shared.random).ok_or(OpenError::NoEndpoints)?;
        let http2 = self.speaks_http2(want);
        if (http2 || !fresh)
            && let Some(lease) = self.reuse_at(endpoint, http2)
        {
            return Ok(lease);
        }
        // Boxed: the future of the usual case, reuse, stays small inside every caller's.
        Box::pin(self.connect(endpoint, http2, connect_timeout)).await
    }

    /// Puts a connection back for the next exchange; one that cannot be reused is closed.
    #[inline]
    pub fn release(&self, connection: Box<Http1<Transport>>, guard: LeaseGuard) {
        if connection.is_reusable() {
            guard.handle().put_idle(connection);
        }
    }

    fn speaks_http2(&self, want: Want) -> bool {
        match want {
            Want::Http1 => false,
            Want::Http2 => true,
            Want::Any => self.spec.backend.protocol == BackendProtocol::H2C,
        }
    }

    #[inline]
    fn reuse_at(&self, endpoint: &Rc<EndpointState>, http2: bool) -> Option<Lease> {
        let connection = if http2 {
            Connection::Http2(endpoint.http2().take(self.shared.ticks())?)
        } else {
            Connection::Http1(endpoint.take_idle()?)
        };
        Some(Lease { connection, endpoint: LeaseGuard::new(endpoint), reused: true })
    }

    async fn connect(&self, endpoint: &Rc<EndpointState>, http2: bool, bound: Duration) -> Result<Lease, OpenError> {
        // Counted while connecting, so that a burst does not pile up on one endpoint.
        let lease = LeaseGuard::new(endpoint);
        let connected = if http2 {
            bounded(bound, self.connect_http2(endpoint)).await
        } else {
            bounded(bound, self.connect_http1(endpoint)).await
        };
        match connected {
            Ok((connection, reused)) => Ok(Lease { connection, endpoint: lease, reused }),
            Err(failure) => {
                self.count_failed();
                Err(failure.at(endpoint.clone()))
            }
        }
    }

    async fn connect_http1(&self, endpoint: &Rc<EndpointState>) -> Result<(Connection, bool), Failure> {
        let transport = dial(endpoint, &self.spec, true, AlpnOffer::Http1).await?;
        self.count_opened();
        Ok((Connection::Http1(Box::new(Http1::new(transport))), false))
    }

    async fn connect_http2(&self, endpoint: &Rc<EndpointState>) -> Result<(Connection, bool), Failure> {
        let turn = endpoint.http2().turn().await?;
        if let Some(client) = endpoint.http2().take(self.shared.ticks()) {
            return Ok((Connection::Http2(client), true));
        }
        match self.start_http2(endpoint).await {
            Ok(client) => Ok((Connection::Http2(client), false)),
            Err(failure) => {
                turn.failed(&failure);
                Err(failure)
            }
        }
    }

    async fn start_http2(&self, endpoint: &Rc<EndpointState>) -> Result<Http2Client, Failure> {
        let transport = dial(endpoint, &self.spec, true, AlpnOffer::Http2).await?;
        let (client, driver) = sekisho_stream::connect(transport, &self.shared.http2)
            .await
            .map_err(|error| Failure::Connect(format!("HTTP/2 could not start: {}", error.text()).into()))?;
        self.count_opened();
        if endpoint.is_retired() {
            tokio::task::spawn_local(driver);
            return Ok(client);
        }
        let id = endpoint.http2().add(client.clone(), self.shared.ticks());
        endpoint.enlist();
        let pool = Rc::downgrade(endpoint);
        tokio::task::spawn_local(async move {
            driver.await;
            if let Some(endpoint) = pool.upgrade() {
                endpoint.http2().remove(id);
            }
        });
        Ok(client)
    }

    pub(crate) fn count_opened(&self) {
        let opened = &self.parts().counters.connections_opened;
        opened.set(opened.get() + 1);
    }

    pub(crate) fn count_failed(&self) {
        let failed = &self.parts().counters.connect_failures;
        failed.set(failed.get() + 1);
    }

    pub(crate) fn random(&self) -> &Random {
        &self.shared.random
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.used().map(|parts| &parts.endpoints);
        f.debug_struct("Backend").field("key", &self.spec.key()).field("endpoints", &endpoints).finish()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.connection {
            Connection::Http1(_) => "HTTP/1.1",
            Connection::Http2(_) => "HTTP/2",
        };
        f.debug_struct("Lease")
            .field("protocol", &protocol)
            .field("endpoint", &self.endpoint)
            .field("reused", &self.reused)
            .finish()
    }
}

/// One worker's share of a backend's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounters {
    pub connections_opened: u64,
    pub connect_failures: u64,
    pub retries: u64,
    pub in_flight: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections_opened: Cell<u64>,
    connect_failures: Cell<u64>,
    retries: Cell<u64>,
    in_flight: Cell<u32>,
}

impl Counters {
    pub(crate) fn exchange_started(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(crate) fn exchange_ended(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }
}
