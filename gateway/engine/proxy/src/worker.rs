//! One worker: a thread with a runtime of its own, its connections, pools and counters.
//!
//! Nothing on a request's path is shared with another worker. The control thread speaks to a worker
//! through commands alone; a new configuration is taken over between two requests, and every
//! request keeps the one it started with.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::Duration;

use sekisho_upstream::{Backend, UpstreamOptions, Upstreams};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, LocalSet};

use crate::access_log::{AccessLog, FLUSH_BYTES};
use crate::config::Compiled;
use crate::exchange::MirrorLoad;
use crate::layer4;
use crate::listener;
use crate::statistics::{Slot, Statistics};

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

/// A version of the configuration as this worker holds it.
pub struct ActiveConfig {
    pub compiled: Arc<Compiled>,
    /// By backend position.
    pub backends: Vec<Rc<Backend>>,
    slots: Vec<Slot>,
    /// By socket position: the gateway's place in the statistics.
    gateways: Vec<u32>,
    listener_hits: Vec<Cell<u64>>,
    route_hits: Vec<Cell<u64>>,
}

impl ActiveConfig {
    pub fn slot(&self, backend: Option<u32>) -> Slot {
        backend.and_then(|index| self.slots.get(index as usize)).copied().unwrap_or(Slot::NONE)
    }

    pub fn gateway(&self, socket: usize) -> u32 {
        self.gateways.get(socket).copied().unwrap_or(0)
    }

    pub fn hit_listener(&self, listener: u32) {
        bump(&self.listener_hits, listener);
    }

    pub fn hit_route(&self, route: u32) {
        bump(&self.route_hits, route);
    }
}

fn bump(hits: &[Cell<u64>], index: u32) {
    if let Some(cell) = hits.get(index as usize) {
        cell.set(cell.get() + 1);
    }
}

/// A socket this worker accepts on. Connections keep it alive; `closed` asks them to leave.
#[derive(Debug)]
pub struct ListeningSocket {
    pub address: SocketAddr,
    pub closed: Cell<bool>,
    /// Connections on this address, over all workers.
    pub connections: Arc<AtomicU32>,
}

struct Accepting {
    socket: Rc<ListeningSocket>,
    task: JoinHandle<()>,
}

pub struct Worker {
    config: RefCell<Rc<ActiveConfig>>,
    upstreams: RefCell<Upstreams>,
    pub statistics: RefCell<Statistics>,
    pub log: AccessLog,
    log_buffer: RefCell<Vec<u8>>,
    log_flush_scheduled: Cell<bool>,
    draining: Cell<bool>,
    pub mirrors: Rc<MirrorLoad>,
    connections: RefCell<ConnectionRegistry>,
    /// Connections of all workers together.
    pub total_connections: Arc<AtomicU32>,
    sockets: RefCell<HashMap<SocketAddr, Accepting>>,
    datagrams: RefCell<HashMap<SocketAddr, JoinHandle<()>>>,
}

impl Worker {
    fn new(log: AccessLog, total_connections: Arc<AtomicU32>) -> Rc<Worker> {
        let empty = ActiveConfig {
            compiled: Arc::new(Compiled::default()),
            backends: Vec::new(),
            slots: Vec::new(),
            gateways: Vec::new(),
            listener_hits: Vec::new(),
            route_hits: Vec::new(),
        };
        Rc::new(Worker {
            config: RefCell::new(Rc::new(empty)),
            upstreams: RefCell::new(Upstreams::new(UpstreamOptions::default())),
            statistics: RefCell::new(Statistics::default()),
            log,
            log_buffer: RefCell::new(Vec::with_capacity(FLUSH_BYTES + 1024)),
            log_flush_scheduled: Cell::new(false),
            draining: Cell::new(false),
            mirrors: Rc::default(),
            connections: RefCell::new(ConnectionRegistry::default()),
            total_connections,
            sockets: RefCell::new(HashMap::new()),
            datagrams: RefCell::new(HashMap::new()),
        })
    }

    pub fn config(&self) -> Rc<ActiveConfig> {
        self.config.borrow().clone()
    }

    pub fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Registers a connection's task, so that a drain can wake it. Drop the guard to leave.
    pub fn register(self: &Rc<Self>, waker: Waker) -> Registration {
        let place = self.connections.borrow_mut().insert(waker);
        Registration { worker: self.clone(), place }
    }

    fn take_over(&self, compiled: Arc<Compiled>) {
        self.fold_hits();
        let mut upstreams = self.upstreams.borrow_mut();
        upstreams.update(compiled.specs.clone());
        let mut statistics = self.statistics.borrow_mut();
        let backends: Vec<Rc<Backend>> =
            (0..compiled.specs.len() as u32).map(|index| upstreams.backend(index).clone()).collect();
        let slots = backends.iter().map(|backend| statistics.slot(backend.spec().destination())).collect();
        let gateways = compiled.sockets.iter().map(|socket| statistics.gateway(&socket.gateway.key)).collect();
        statistics.listeners.retain(|key, _| compiled.table.listeners.contains_key(key));
        statistics.routes.retain(|key, _| compiled.table.routes.contains_key(key));
        let listener_hits = vec![Cell::new(0); compiled.router.listeners().len()];
        let route_hits = vec![Cell::new(0); compiled.router.routes().len()];
        let next = ActiveConfig { compiled, backends, slots, gateways, listener_hits, route_hits };
        *self.config.borrow_mut() = Rc::new(next);
    }

    /// Moves hits counted by position into the maps by key.
    fn fold_hits(&self) {
        let config = self.config.borrow();
        let mut statistics = self.statistics.borrow_mut();
        for (listener, hits) in config.compiled.router.listeners().iter().zip(&config.listener_hits) {
            if hits.get() > 0 {
                *statistics.listeners.entry(listener.key.clone()).or_default() += hits.take();
            }
        }
        for (route, hits) in config.compiled.router.routes().iter().zip(&config.route_hits) {
            if hits.get() > 0 {
                *statistics.routes.entry(route.key.clone()).or_default() += hits.take();
            }
        }
    }

    fn report(&self) -> Report {
        self.fold_hits();
        let backends = self.config.borrow().backends.iter().map(|backend| backend_report(backend)).collect();
        Report { statistics: self.statistics.borrow().clone(), backends }
    }

    /// Appends a line to the access log; it leaves this worker within a moment.
    pub fn write_log(self: &Rc<Self>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = self.log_buffer.borrow_mut();
        write(&mut buffer);
        if buffer.len() >= FLUSH_BYTES {
            self.log.submit(&mut buffer);
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
        self.log.submit(&mut self.log_buffer.borrow_mut());
    }

    fn listen(self: &Rc<Self>, listener: StdListener, address: SocketAddr, connections: Arc<AtomicU32>) {
        let socket = Rc::new(ListeningSocket { address, closed: Cell::new(false), connections });
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
        let socket = Rc::new(ListeningSocket { address, closed: Cell::new(false), connections });
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

/// Wakers of the open connections, in reused places.
#[derive(Debug, Default)]
struct ConnectionRegistry {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl ConnectionRegistry {
    fn insert(&mut self, waker: Waker) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.wakers[place] = Some(waker);
                place
            }
            None => {
                self.wakers.push(Some(waker));
                self.wakers.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize) {
        self.wakers[place] = None;
        self.free.push(place);
    }

    fn wake_all(&self) {
        for waker in self.wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// A connection's place in the registry.
pub struct Registration {
    worker: Rc<Worker>,
    place: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.place);
    }
}

/// Runs a worker until it is told to stop. `Err` only when the runtime cannot be made.
pub fn run(
    log: AccessLog,
    total_connections: Arc<AtomicU32>,
    mut commands: UnboundedReceiver<Command>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Worker::new(log, total_connections);
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

/// Counts one connection, on its address and in all, for as long as it lives.
pub struct ConnectionCount {
    worker: Rc<Worker>,
    socket: Rc<ListeningSocket>,
}

impl ConnectionCount {
    /// `None` when a bound is reached.
    pub fn admit(worker: &Rc<Worker>, socket: &Rc<ListeningSocket>, per_socket: u32, total: u32) -> Option<Self> {
        let mut statistics = worker.statistics.borrow_mut();
        if worker.total_connections.fetch_add(1, Ordering::Relaxed) >= total {
            worker.total_connections.fetch_sub(1, Ordering::Relaxed);
            statistics.refused += 1;
            return None;
        }
        if socket.connections.fetch_add(1, Ordering::Relaxed) >= per_socket {
            socket.connections.fetch_sub(1, Ordering::Relaxed);
            worker.total_connections.fetch_sub(1, Ordering::Relaxed);
            statistics.refused += 1;
            return None;
        }
        statistics.accepted += 1;
        statistics.active += 1;
        Some(Self { worker: worker.clone(), socket: socket.clone() })
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.socket.connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.total_connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.statistics.borrow_mut().active -= 1;
    }
}
