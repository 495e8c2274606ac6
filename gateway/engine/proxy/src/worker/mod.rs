//! One worker: a thread with a runtime of its own, its connections, pools and counters.
//!
//! Nothing on a request's path is shared with another worker. The control thread speaks to a worker
//! through commands alone; a new configuration is taken over between two requests, and every
//! request keeps the one it started with.

mod registry;
mod sockets;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::Sender;
use std::time::Duration;

use sekisho_table::Gateway;
use sekisho_tls::MeshIdentity;
use sekisho_token::TokenCache;
use sekisho_upstream::{Backend, EndpointState, UpstreamOptions, Upstreams};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, LocalSet};

use crate::access_log::{AccessLog, FLUSH_BYTES, LogText};
use crate::active_config::ActiveConfig;
use crate::config::Compiled;
use crate::egress;
use crate::evidence::Evidence;
use crate::exchange::MirrorLoad;
use crate::layer4;
use crate::listener;
use crate::parties::{Own, Party, PartyId};
use crate::statistics::Statistics;
use registry::ConnectionRegistry;
use sockets::Accepting;
pub use sockets::{ConnectionCount, ListeningSocket};

/// How long a line may wait in a worker's buffer.
const LOG_DELAY: Duration = Duration::from_millis(50);

/// What the control thread asks of a worker.
#[derive(Debug)]
pub enum Command {
    Configure(Arc<Compiled>, Sender<()>),
    Listen {
        listener: StdListener,
        address: SocketAddr,
        connections: Arc<AtomicU32>,
    },
    /// Answered when the address is free again.
    Unlisten(SocketAddr, Sender<()>),
    ListenDatagrams {
        socket: StdUdpSocket,
        address: SocketAddr,
        sessions: Arc<AtomicU32>,
    },
    UnlistenDatagrams(SocketAddr),
    Collect(Sender<Report>),
    Drain,
    Stop,
}

/// What all workers of an engine start with.
#[derive(Clone)]
pub struct Shared {
    pub logs: Logs,
    /// Of all workers together.
    pub total_connections: Arc<AtomicU32>,
    /// What the gateway is in the mesh.
    pub identity: Arc<MeshIdentity>,
    /// What name servers are verified by.
    pub authorities: Arc<egress::Authorities>,
}

/// A worker's counters, for one scrape.
#[derive(Debug)]
pub struct Report {
    pub statistics: Statistics,
    pub backends: Vec<BackendReport>,
}

#[derive(Clone, Debug, Default)]
pub struct BackendReport {
    pub key: String,
    pub connections_opened: u64,
    pub connect_failures: u64,
    pub retries: u64,
    pub in_flight: u64,
}

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Logs {
    pub access: AccessLog,
    pub records: Evidence,
}

pub struct Worker {
    config: RefCell<Rc<ActiveConfig>>,
    upstreams: RefCell<Upstreams>,
    pub statistics: RefCell<Statistics>,
    pub log: AccessLog,
    log_text: RefCell<LogText>,
    log_flush_scheduled: Cell<bool>,
    records: Evidence,
    /// Made with the first record.
    record_text: RefCell<Option<Box<LogText>>>,
    record_flush_scheduled: Cell<bool>,
    draining: Cell<bool>,
    pub mirrors: Rc<MirrorLoad>,
    pub tokens: RefCell<TokenCache>,
    pub egress: egress::Resolvers,
    /// What the gateway is in the mesh.
    pub identity: Arc<MeshIdentity>,
    connections: RefCell<ConnectionRegistry>,
    /// Connections of all workers together.
    pub total_connections: Arc<AtomicU32>,
    sockets: RefCell<HashMap<SocketAddr, Accepting>>,
    datagrams: RefCell<HashMap<SocketAddr, JoinHandle<()>>>,
}

impl Worker {
    fn new(shared: Shared) -> Rc<Worker> {
        let Shared { logs, total_connections, identity, authorities } = shared;
        let options = UpstreamOptions { identity: identity.clone(), ..UpstreamOptions::default() };
        Rc::new(Worker {
            config: RefCell::default(),
            upstreams: RefCell::new(Upstreams::new(options)),
            statistics: RefCell::new(Statistics::default()),
            log: logs.access,
            log_text: RefCell::default(),
            log_flush_scheduled: Cell::new(false),
            records: logs.records,
            record_text: RefCell::default(),
            record_flush_scheduled: Cell::new(false),
            draining: Cell::new(false),
            mirrors: Rc::default(),
            tokens: RefCell::default(),
            egress: egress::Resolvers::new(authorities),
            identity,
            connections: RefCell::new(ConnectionRegistry::default()),
            total_connections,
            sockets: RefCell::new(HashMap::new()),
            datagrams: RefCell::new(HashMap::new()),
        })
    }

    pub fn config(&self) -> Rc<ActiveConfig> {
        self.config.borrow().clone()
    }

    /// As [`ActiveConfig::admission`], of now.
    pub fn admission(&self) -> u64 {
        self.config.borrow().admission()
    }

    /// The telemetry's number of an endpoint of the mesh.
    pub fn party_of(&self, endpoint: &EndpointState) -> PartyId {
        let Some(peer) = endpoint.peer() else { return PartyId::default() };
        if endpoint.party.get() == 0 {
            endpoint.party.set(self.statistics.borrow_mut().party(&Party::endpoint(peer)).0);
        }
        PartyId(endpoint.party.get())
    }

    /// The gateway's own numbers: as what it is, and as what it proves to be in the mesh.
    pub fn own_parties(&self, gateway: &Gateway) -> Own {
        let credentials = self.identity.current();
        if credentials.is_none() && gateway.workload.is_none() {
            return Own::default();
        }
        let workload = gateway.workload.as_ref();
        let mut statistics = self.statistics.borrow_mut();
        Own {
            plain: statistics.party(&Party::own(workload, None)),
            proved: statistics.party(&Party::own(workload, credentials.as_ref().map(|it| it.uri()))),
        }
    }

    pub fn draining(&self) -> bool {
        self.draining.get()
    }

    fn take_over(&self, compiled: Arc<Compiled>) {
        self.fold_hits();
        let mut upstreams = self.upstreams.borrow_mut();
        upstreams.update(compiled.specs.clone());
        let mut statistics = self.statistics.borrow_mut();
        let backends = upstreams.backends().clone();
        let before = self.config();
        let version = before.version() + 1;
        let lets_in_others = !compiled.admits_as(&before.compiled);
        let lets_out_others = !Arc::ptr_eq(&before.compiled.egress, &compiled.egress);
        let versions = (version, if lets_in_others { version } else { before.admission() });
        *self.config.borrow_mut() = Rc::new(ActiveConfig::new(versions, compiled, backends, &mut statistics));
        if lets_in_others || lets_out_others {
            // What is carried, and what is on its way out, is decided anew.
            self.connections.borrow().wake_all();
        }
    }

    /// Moves hits counted by position into the maps by key.
    fn fold_hits(&self) {
        self.config.borrow().fold_hits(&mut self.statistics.borrow_mut());
    }

    fn report(&self) -> Report {
        self.fold_hits();
        let config = self.config();
        self.statistics.borrow_mut().retain(&config.compiled);
        // Of backends that nothing went to there is nothing to tell.
        let used = config.backends.values().filter(|backend| backend.is_used());
        let backends = used.map(|backend| backend_report(backend)).collect();
        Report { statistics: self.statistics.borrow().clone(), backends }
    }

    /// Appends a line to the access log; it leaves this worker within a moment.
    pub fn write_log(self: &Rc<Self>, write: impl FnOnce(&mut LogText)) {
        let mut text = self.log_text.borrow_mut();
        write(&mut text);
        if text.lines.len() >= FLUSH_BYTES {
            self.log.submit(&mut text.lines);
        } else if !self.log_flush_scheduled.replace(true) {
            let worker = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(LOG_DELAY).await;
                worker.log_flush_scheduled.set(false);
                worker.flush_log();
            });
        }
    }

    fn flush_log(&self) {
        self.log.submit(&mut self.log_text.borrow_mut().lines);
    }

    /// Writes an egress decision: among the access log's lines, and wherever else records go.
    pub fn write_record(self: &Rc<Self>, write: impl FnOnce(&mut LogText)) {
        if self.records.is_empty() {
            return self.write_log(write);
        }
        let mut text = self.record_text.borrow_mut();
        let text = text.get_or_insert_default();
        let before = text.lines.len();
        write(text);
        if self.log.enabled() {
            self.write_log(|log| log.lines.extend_from_slice(&text.lines[before..]));
        }
        if text.lines.len() >= FLUSH_BYTES {
            self.records.submit(&mut text.lines);
        } else if !self.record_flush_scheduled.replace(true) {
            let worker = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(LOG_DELAY).await;
                worker.record_flush_scheduled.set(false);
                worker.flush_records();
            });
        }
    }

    fn flush_records(&self) {
        if let Some(text) = self.record_text.borrow_mut().as_mut() {
            self.records.submit(&mut text.lines);
        }
    }

    fn listen(self: &Rc<Self>, listener: StdListener, address: SocketAddr, connections: Arc<AtomicU32>) {
        let socket = ListeningSocket::new(address, connections);
        let task = tokio::task::spawn_local(listener::accept(self.clone(), socket.clone(), listener));
        self.sockets.borrow_mut().insert(address, Accepting { socket, task });
    }

    async fn unlisten(&self, address: SocketAddr) {
        let accepting = self.sockets.borrow_mut().remove(&address);
        if let Some(Accepting { socket, task }) = accepting {
            socket.closed.set(true);
            task.abort();
            // Says that it was cancelled; from here on its listening socket is closed.
            let _ = task.await;
        }
        self.connections.borrow().wake_all();
    }

    fn listen_datagrams(self: &Rc<Self>, datagrams: StdUdpSocket, address: SocketAddr, connections: Arc<AtomicU32>) {
        let socket = ListeningSocket::new(address, connections);
        let task = tokio::task::spawn_local(layer4::serve_datagrams(self.clone(), socket, datagrams));
        self.datagrams.borrow_mut().insert(address, task);
    }

    /// Closes the socket, and with it its sessions. In a drain it stays: sessions end when they fall silent.
    fn unlisten_datagrams(&self, address: SocketAddr) {
        if let Some(task) = self.datagrams.borrow_mut().remove(&address) {
            task.abort();
        }
    }

    async fn drain(&self) {
        self.draining.set(true);
        self.connections.borrow().wake_all();
        let addresses: Vec<SocketAddr> = self.sockets.borrow().keys().copied().collect();
        for address in addresses {
            self.unlisten(address).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The last connections told their records when they were dropped with the worker.
        self.flush_log();
        self.flush_records();
    }
}

fn backend_report(backend: &Backend) -> BackendReport {
    let counters = backend.counters();
    BackendReport {
        key: backend.spec().key().to_owned(),
        connections_opened: counters.connections_opened,
        connect_failures: counters.connect_failures,
        retries: counters.retries,
        in_flight: backend.in_flight().into(),
    }
}

/// Runs a worker until it is told to stop. `Err` only when the runtime cannot be made.
pub fn run(shared: Shared, mut commands: UnboundedReceiver<Command>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Worker::new(shared);
        tokio::task::spawn_local(worker.upstreams.borrow().sweeper());
        while let Some(command) = commands.recv().await {
            match command {
                Command::Configure(compiled, done) => {
                    worker.take_over(compiled);
                    // The control thread may have stopped waiting; the configuration serves all the same.
                    let _ = done.send(());
                }
                Command::Listen { listener, address, connections } => worker.listen(listener, address, connections),
                Command::Unlisten(address, done) => {
                    worker.unlisten(address).await;
                    let _ = done.send(());
                }
                Command::ListenDatagrams { socket, address, sessions } => {
                    worker.listen_datagrams(socket, address, sessions);
                }
                Command::UnlistenDatagrams(address) => worker.unlisten_datagrams(address),
                Command::Collect(answer) => {
                    let _ = answer.send(worker.report());
                }
                Command::Drain => worker.drain().await,
                Command::Stop => break,
            }
        }
    });
    Ok(())
}
