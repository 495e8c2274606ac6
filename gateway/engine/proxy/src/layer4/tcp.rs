//! One carried stream: choose, connect, copy both ways until an end.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sekisho_policy::Peer;
use sekisho_router::ListenerId;
use sekisho_stream::{Side, Tunnel};
use sekisho_table::{Limits, ListenerProtocol, TlsMode};
use sekisho_tls::Transport;
use sekisho_upstream::{Backend, LeaseGuard, OpenError};

use super::choice::{Choice, choose};
use super::counters::Kind;
use super::outside;
use super::record::{Origin, Record};
use crate::active_config::ActiveConfig;
use crate::authorization::Caller;
use crate::egress::{self, Certified, Gate, Leave};
use crate::parties::Standing;
use crate::reason::Reason;
use crate::statistics::Slot;
use crate::watchdog::{Watchdog, after, earliest};
use crate::worker::{ListeningSocket, Worker};

/// Endpoints tried before a connection is given up.
const MAX_ATTEMPTS: usize = 3;

/// Where a connection was accepted.
pub struct Place {
    pub worker: Rc<Worker>,
    pub socket: Rc<ListeningSocket>,
    pub remote: SocketAddr,
    pub local: SocketAddr,
    /// Where a captured connection was going.
    pub original_destination: Option<SocketAddr>,
    pub limits: Limits,
    pub access_log: bool,
}

/// A connection whose listener is known.
pub struct Arrived {
    pub place: Place,
    /// The configuration that `listener` is a position in.
    pub config: Rc<ActiveConfig>,
    pub listener: ListenerId,
    pub transport: Transport,
    /// What was read of it already.
    pub unread: BytesMut,
    pub server_name: Option<String>,
    /// Who the client is, by a certificate that was verified.
    pub peer: Option<Box<Peer>>,
    /// All that the certificate says.
    pub certified: Option<Certified>,
    /// For telemetry.
    pub standing: Standing,
}

/// Tells of a connection that was closed before anything could be decided about it.
pub fn refuse(place: Place, config: &ActiveConfig, listener: ListenerId, reason: Reason, detail: Option<String>) {
    config.hit_listener(listener);
    let listener = config.compiled.router.listener(listener).clone();
    let Place { worker, remote, local, access_log, .. } = place;
    let (kind, standing, peer, server_name) = (Kind::Tcp, Standing::default(), None, None);
    let origin = Origin { kind, standing, peer, remote, local, server_name, listener, access_log };
    let choice = Choice { route: None, slot: Slot::NONE, backend: Err(reason), authorization: None };
    let mut record = Record::begin(&worker, origin, &choice);
    record.reason = reason;
    record.upstream_failure = detail;
}

/// Carries a connection to its end. A connection that has nowhere to go is closed.
pub async fn carry(arrived: Arrived) {
    let Arrived { place, config, listener, mut transport, mut unread, server_name, peer, certified, standing } =
        arrived;
    let Place { worker, socket, remote, local, original_destination, limits, access_log } = place;
    let caller = Caller {
        peer: peer.as_deref(),
        source: remote.ip(),
        destination: local.ip(),
        server_name: server_name.as_deref(),
    };
    let choice = choose(&config, listener, &caller, &worker);
    let admission = config.admission();
    let listener = config.compiled.router.listener(listener).clone();
    // From here on an update may take the table away.
    drop(config);
    let kind = if listener.protocol == ListenerProtocol::Tls { Kind::Tls } else { Kind::Tcp };
    // What passes through is TLS already, the client's own.
    let with_tls = listener.tls_mode != TlsMode::Passthrough;
    let gate = listener.routed_egress.is_some().then(|| Gate {
        worker: worker.clone(),
        listener: listener.clone(),
        remote,
        connect_timeout_ms: limits.connect_timeout_ms,
    });
    let origin = Origin { kind, standing, peer, remote, local, server_name, listener, access_log };
    let mut record = Record::begin(&worker, origin, &choice);
    let backend = match choice.backend.and_then(|backend| going_on(backend, original_destination)) {
        Ok(backend) => backend,
        Err(reason) => {
            record.reason = reason;
            return;
        }
    };
    let (backend, mut leave) = match gate {
        Some(gate) if backend.spec().outside().is_some() => {
            let handshake_ms = limits.tls_handshake_timeout_ms;
            let certified = certified.as_ref();
            let wanted = outside::Wanted { certified, backend: &backend, with_tls, handshake_ms };
            match outside::ask(gate, wanted, (&mut transport, &mut unread)).await {
                Ok((backend, leave)) => (backend, Some(leave)),
                Err(reason) => {
                    record.reason = reason;
                    if !with_tls {
                        egress::turn_away(transport, reason).await;
                    }
                    return;
                }
            }
        }
        _ => (backend, None),
    };
    let bound = Duration::from_millis(limits.connect_timeout_ms);
    let (upstream, lease) = match connect(&backend, with_tls, bound).await {
        Ok(connected) => connected,
        Err(error) => {
            record.reason = reason_of(&error);
            record.upstream_failure = Some(error.to_string());
            if let Some(leave) = leave {
                leave.finish(record.reason, 0, 0);
            }
            return;
        }
    };
    record.upstream_host = Some(lease.handle().label().clone());
    if let Some(leave) = &mut leave {
        leave.connected(lease.handle().label());
    }
    if backend.spec().backend.tls.is_none() || !with_tls {
        record.upstream_party = worker.party_of(&lease);
    }
    record.open();
    let most = leave.as_ref().map_or(u64::MAX, Leave::most);
    let tunnel = Tunnel::new((transport, unread), (upstream, BytesMut::new())).with_most(most);
    let stay = Stay { worker: &worker, socket: &socket, limits: &limits, admission: Cell::new(admission) };
    let (received, sent) = run(tunnel, &mut record, leave.as_mut(), &stay).await;
    if let Some(leave) = leave {
        leave.finish(record.reason, received, sent);
    }
}

/// The backend that is dialled: of one whose traffic goes on to its original destination, that destination.
pub fn going_on(backend: Rc<Backend>, destination: Option<SocketAddr>) -> Result<Rc<Backend>, Reason> {
    if !backend.spec().backend.original_destination {
        return Ok(backend);
    }
    destination.map(|destination| backend.towards(destination)).ok_or(Reason::OriginalDestinationRefused)
}

async fn connect(backend: &Backend, with_tls: bool, bound: Duration) -> Result<(Transport, LeaseGuard), OpenError> {
    let mut attempt = 1;
    let mut avoid = None;
    loop {
        match backend.open_raw(with_tls, avoid.as_ref(), bound).await {
            Err(error) if attempt < MAX_ATTEMPTS.min(backend.endpoints().len()) => {
                attempt += 1;
                avoid = error.endpoint().cloned();
            }
            result => return result,
        }
    }
}

pub fn reason_of(error: &OpenError) -> Reason {
    match error {
        OpenError::NoEndpoints => Reason::NoHealthyUpstream,
        OpenError::Tls { .. } => Reason::UpstreamTlsFailed,
        OpenError::Identity { .. } => Reason::UpstreamIdentityMismatch,
        OpenError::NoIdentity { .. } => Reason::MeshIdentityMissing,
        OpenError::Dns { .. } | OpenError::Connect { .. } | OpenError::Timeout { .. } => Reason::UpstreamConnectFailed,
    }
}

/// How long a connection may stay.
struct Stay<'a> {
    worker: &'a Worker,
    socket: &'a ListeningSocket,
    limits: &'a Limits,
    /// The policies by which it was let in.
    admission: Cell<u64>,
}

impl Stay<'_> {
    /// An error once policies have changed and do not let it in any more.
    fn check(&self, record: &mut Record) -> Result<(), Reason> {
        let now = self.worker.admission();
        if self.admission.replace(now) == now { Ok(()) } else { record.admit_again() }
    }

    fn is_over(&self) -> bool {
        self.worker.draining() || self.socket.closed.get()
    }
}

/// Until both sides have ended, one breaks, nothing moves for too long, a drain has lasted its time, or it may no longer
/// go out. Returns what has moved from the client and to it.
async fn run(
    mut tunnel: Tunnel<Transport, Transport>,
    record: &mut Record,
    mut leave: Option<&mut Leave>,
    stay: &Stay<'_>,
) -> (u64, u64) {
    let mut watchdog = Watchdog::default();
    let mut moved = tunnel.copied();
    let mut activity = Instant::now();
    let mut told_to_leave = None;
    let until = leave.as_ref().and_then(|leave| leave.until);
    record.reason = poll_fn(|task| {
        if let Err(reason) = stay.check(record) {
            return Poll::Ready(reason);
        }
        if let Some(Err(reason)) = leave.as_mut().map(|leave| leave.check(moved.0, moved.1)) {
            return Poll::Ready(reason);
        }
        let ended = Pin::new(&mut tunnel).poll(task);
        if tunnel.copied() != moved {
            moved = tunnel.copied();
            activity = Instant::now();
            record.moved(moved.0, moved.1, activity);
        }
        if let Poll::Ready(result) = ended {
            let broken = result.err().and(tunnel.failed());
            return Poll::Ready(match broken {
                None => Reason::ViaUpstream,
                Some(Side::First) => Reason::DownstreamDisconnected,
                Some(Side::Second) => Reason::UpstreamReset,
            });
        }
        if let Some(Err(reason)) = leave.as_mut().map(|leave| leave.check(moved.0, moved.1)) {
            return Poll::Ready(reason);
        }
        if told_to_leave.is_none() && stay.is_over() {
            told_to_leave = after(Instant::now(), stay.limits.drain_timeout_ms);
        }
        let idle = after(activity, stay.limits.connection_idle_timeout_ms);
        watchdog.poll_expired(task, earliest(earliest(idle, told_to_leave), until)).map(|()| {
            let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= Instant::now());
            if passed(until) {
                Reason::EgressLimit
            } else if passed(told_to_leave) {
                Reason::RequestTimeout
            } else {
                Reason::StreamIdleTimeout
            }
        })
    })
    .await;
    tunnel.copied()
}
