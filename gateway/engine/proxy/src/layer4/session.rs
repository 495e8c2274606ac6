//! One UDP session: the datagrams of one client, to one endpoint, until neither side has sent for a while.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_router::ListenerId;
use sekisho_table::{Limits, Route};
use sekisho_upstream::{Backend, EndpointHandle};
use tokio::net::UdpSocket;

use super::choice::Choice;
use super::record::{Origin, Record};
use super::tcp::reason_of;
use super::udp::MAX_DATAGRAM;
use crate::active_config::ActiveConfig;
use crate::reason::Reason;
use crate::worker::Worker;

/// A session without traffic is over after this time, or sooner where connections are bounded tighter.
const IDLE: Duration = Duration::from_secs(60);
/// How long a client that has nowhere to go is remembered, so that it costs one line of the log and not many.
const REFUSED: Duration = Duration::from_secs(1);
/// How soon a session notices that it should end.
const TICK: Duration = Duration::from_secs(1);
/// Datagrams kept while the backend's address is looked up.
const MAX_PENDING: usize = 16;

pub fn idle_bound(limits: &Limits) -> Duration {
    match limits.connection_idle_timeout_ms {
        0 => IDLE,
        milliseconds => IDLE.min(Duration::from_millis(milliseconds)),
    }
}

#[derive(Default)]
enum Path {
    /// Waiting for the backend.
    #[default]
    Opening,
    Open(Rc<UdpSocket>, EndpointHandle),
    /// Datagrams are dropped.
    Refused,
}

pub struct Session {
    client: SocketAddr,
    route: Option<Arc<Route>>,
    path: RefCell<Path>,
    pending: RefCell<Vec<Box<[u8]>>>,
    activity: Cell<Instant>,
    over: Cell<bool>,
    /// Its backend is a host outside.
    outside: bool,
    /// The policies by which it was let in.
    admission: Cell<u64>,
    record: RefCell<Record>,
}

impl Session {
    pub fn new(worker: &Rc<Worker>, origin: Origin, choice: &Choice) -> Session {
        let client = origin.remote;
        let mut record = Record::begin(worker, origin, choice);
        record.open();
        record.reason = *choice.backend.as_ref().err().unwrap_or(&Reason::ViaUpstream);
        Session {
            client,
            route: choice.route.clone(),
            path: RefCell::default(),
            pending: RefCell::default(),
            activity: Cell::new(Instant::now()),
            over: Cell::new(false),
            outside: choice.backend.as_ref().is_ok_and(|backend| backend.spec().outside().is_some()),
            admission: Cell::new(worker.admission()),
            record: RefCell::new(record),
        }
    }

    /// Whether the table still sends the session where it goes.
    pub fn is_current(&self, config: &ActiveConfig, listener: ListenerId) -> bool {
        let route = config.compiled.router.carrier(listener, "").map(|id| config.compiled.router.route(id));
        let same_route = self.is_admitted(config.admission())
            && match (&self.route, route) {
                (Some(mine), Some(now)) => Arc::ptr_eq(mine, now),
                (None, None) => true,
                _ => false,
            };
        let retired = matches!(&*self.path.borrow(), Path::Open(_, endpoint) if endpoint.is_retired());
        // Where policies decide from now on, it would not have begun.
        let closed = self.outside && config.compiled.router.listener(listener).routed_egress.is_some();
        same_route && !retired && !closed && !self.over.get()
    }

    /// Whether policies, where they have changed, still let it in.
    fn is_admitted(&self, admission: u64) -> bool {
        if self.admission.replace(admission) == admission || matches!(*self.path.borrow(), Path::Refused) {
            return true;
        }
        let admitted = self.record.borrow_mut().admit_again();
        admitted.map_err(|reason| self.fail(reason)).is_ok()
    }

    /// Its task ends at the next tick.
    pub fn end(&self) {
        self.over.set(true);
    }

    /// A datagram of the client.
    pub fn forward(&self, datagram: &[u8]) {
        match &*self.path.borrow() {
            Path::Opening => {
                let mut pending = self.pending.borrow_mut();
                if pending.len() < MAX_PENDING {
                    pending.push(datagram.into());
                }
            }
            Path::Open(upstream, _) => self.send(upstream, datagram),
            Path::Refused => {}
        }
    }

    fn send(&self, upstream: &UdpSocket, datagram: &[u8]) {
        // A full socket buffer loses the datagram, as any hop may; a refusal comes back to the receiver.
        if upstream.try_send(datagram).is_ok() {
            let now = Instant::now();
            self.activity.set(now);
            self.record.borrow_mut().add(datagram.len(), 0, now);
        }
    }

    fn fail(&self, reason: Reason) {
        *self.path.borrow_mut() = Path::Refused;
        self.pending.borrow_mut().clear();
        self.record.borrow_mut().reason = reason;
    }
}

/// What a session's task holds.
pub struct Life {
    pub worker: Rc<Worker>,
    pub session: Rc<Session>,
    pub backend: Option<Rc<Backend>>,
    /// Answers go out of the socket that the client knows.
    pub front: Weak<UdpSocket>,
    pub idle: Duration,
}

impl Life {
    pub async fn run(self) {
        let Some(backend) = &self.backend else {
            *self.session.path.borrow_mut() = Path::Refused;
            return tokio::time::sleep(REFUSED).await;
        };
        let opened = match backend.datagram_target().await {
            Ok((target, lease)) => match connect(target).await {
                Ok(upstream) => Ok((Rc::new(upstream), lease)),
                Err(error) => Err((Reason::UpstreamConnectFailed, format!("endpoint {target}: {error}"))),
            },
            Err(error) => Err((reason_of(&error), error.to_string())),
        };
        let (upstream, lease) = match opened {
            Ok(opened) => opened,
            Err((reason, message)) => {
                self.session.fail(reason);
                self.session.record.borrow_mut().upstream_failure = Some(message);
                return tokio::time::sleep(REFUSED).await;
            }
        };
        self.session.record.borrow_mut().upstream_host = Some(lease.handle().label().clone());
        *self.session.path.borrow_mut() = Path::Open(upstream.clone(), lease.handle().clone());
        for datagram in self.session.pending.take() {
            self.session.send(&upstream, &datagram);
        }
        self.answer(&upstream).await;
    }

    /// Carries the backend's datagrams back until the session is over.
    async fn answer(&self, upstream: &UdpSocket) {
        let session = &*self.session;
        let mut buffer = vec![0; MAX_DATAGRAM].into_boxed_slice();
        loop {
            match tokio::time::timeout(self.idle.min(TICK), upstream.recv(&mut buffer)).await {
                Ok(Ok(length)) => {
                    let Some(front) = self.front.upgrade() else { return };
                    if front.send_to(&buffer[..length], session.client).await.is_ok() {
                        let now = Instant::now();
                        session.activity.set(now);
                        session.record.borrow_mut().add(0, length, now);
                    }
                }
                // Nothing listens there: the next datagram starts over, maybe elsewhere.
                Ok(Err(error)) => {
                    session.fail(Reason::UpstreamConnectFailed);
                    session.record.borrow_mut().upstream_failure = Some(error.to_string());
                    return;
                }
                Err(_) => {}
            }
            let bound = if self.worker.draining() { self.idle.min(TICK) } else { self.idle };
            let is_idle = session.activity.get().elapsed() >= bound;
            let admitted = session.is_admitted(self.worker.admission());
            if is_idle || !admitted || session.over.get() || self.front.strong_count() == 0 {
                return;
            }
        }
    }
}

async fn connect(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    // Until the reactor has seen it writable, `try_send` sends nothing.
    socket.writable().await?;
    Ok(socket)
}
