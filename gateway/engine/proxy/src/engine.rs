//! The control side of the data plane: takes updates, compiles them, hands them to the workers.
//!
//! One update at a time. A table is in force, and acknowledged, once every worker has taken it over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sekisho_table::{Applied, Listener, ListenerProtocol, ListenerState, SnapshotText, TableStore};
use sekisho_tls::{CertificateChecks, MeshIdentity};
use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::access_log::{AccessLog, Sink};
use crate::binder;
use crate::config::Compiled;
use crate::egress::Authorities;
use crate::evidence::{Evidence, EvidenceOptions};
use crate::explain;
use crate::layer4::DatagramSockets;
use crate::statistics_report;
use crate::worker::{self, Command, Logs, Report, Shared};

/// A worker that has not answered by then is taken to be gone.
const WORKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The last lines of the access log may take this long to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_WORKERS: usize = 256;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineOptions {
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// `stdout`, `none` or a file's path.
    #[serde(default)]
    pub access_log: String,
    /// Of egress decisions.
    #[serde(default)]
    pub records: EvidenceOptions,
    /// A file of PEM that name servers with TLS are verified by; empty: the operating system's authorities.
    #[serde(default)]
    pub name_server_authorities: PathBuf,
}

fn one_worker() -> usize {
    1
}

struct WorkerHandle {
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

struct Control {
    store: TableStore,
    compiled: Arc<Compiled>,
    workers: Vec<WorkerHandle>,
    bound: HashSet<SocketAddr>,
    datagrams: DatagramSockets,
    draining: bool,
    logs: Logs,
    /// Each ends when its log is written.
    written: Vec<Receiver<()>>,
}

/// The data plane of this process.
pub struct Engine {
    control: Mutex<Control>,
    total_connections: Arc<AtomicU32>,
    identity: Arc<MeshIdentity>,
}

impl Engine {
    pub fn start(options: &EngineOptions) -> Result<Engine, String> {
        if options.workers == 0 || options.workers > MAX_WORKERS {
            return Err(format!("workers: {} is not between 1 and {MAX_WORKERS}", options.workers));
        }
        let authorities = Authorities::open(&options.name_server_authorities);
        let authorities = authorities.map_err(|error| format!("what name servers are verified by: {error}"))?;
        let sink = Sink::parse(&options.access_log);
        let (access, written) = AccessLog::open(&sink)?;
        let (records, mut all_written) = Evidence::open(&options.records, &sink)?;
        all_written.push(written);
        let logs = Logs { access, records };
        let total_connections = Arc::new(AtomicU32::new(0));
        let identity = Arc::new(MeshIdentity::default());
        let shared = Shared {
            logs: logs.clone(),
            total_connections: total_connections.clone(),
            identity: identity.clone(),
            authorities: Arc::new(authorities),
        };
        let workers = (0..options.workers).map(|index| start_worker(index, shared.clone()));
        let control = Control {
            store: TableStore::default(),
            compiled: Arc::new(Compiled::default()),
            workers: workers.collect::<Result<_, _>>()?,
            bound: HashSet::new(),
            datagrams: DatagramSockets::default(),
            draining: false,
            logs,
            written: all_written,
        };
        Ok(Engine { control: Mutex::new(control), total_connections, identity })
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // A panic while applying leaves the last compiled table in place, which is still good.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a wire update and returns the wire answer.
    pub fn apply(&self, update: &[u8]) -> Vec<u8> {
        let applied = self.control().apply(update);
        serde_json::to_vec(&applied).unwrap_or_default()
    }

    /// The table in force, of the given kinds, as the pieces of a wire snapshot. Private keys are inside.
    pub fn snapshot(&self, kinds: &[String]) -> SnapshotText {
        SnapshotText::new(self.control().store.table(), kinds)
    }

    /// How many resources of each kind the table in force has: a JSON object.
    pub fn counts(&self) -> Vec<u8> {
        let counts: BTreeMap<&str, usize> = self.control().store.table().counts().collect();
        serde_json::to_vec(&counts).unwrap_or_default()
    }

    /// Answers for the table in force.
    pub fn explain(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        let compiled = self.control().compiled.clone();
        explain::explain(&compiled, request)
    }

    /// What the gateway is in the mesh, and whom it trusts there, PEM. New handshakes use it; what is open stays open. The
    /// error says what cannot be used: the identity before stays then.
    pub fn set_identity(
        &self,
        chain: &str,
        private_key: &str,
        trust_bundle: &str,
        trust_domain: &str,
    ) -> Result<(), String> {
        self.identity.set(chain, private_key, trust_bundle, trust_domain)
    }

    pub fn statistics(&self) -> Vec<u8> {
        let (reports, lost_lines) = {
            let control = self.control();
            (control.collect(), control.logs.access.dropped() + control.logs.records.dropped())
        };
        statistics_report::render(&reports, lost_lines)
    }

    /// Stops accepting and asks every connection to finish; returns at once.
    pub fn drain(&self) {
        let mut control = self.control();
        control.draining = true;
        control.send(|| Command::Drain);
        control.bound.clear();
    }

    /// Connections still open.
    pub fn active(&self) -> u64 {
        self.total_connections.load(Ordering::Relaxed).into()
    }

    /// Ends the workers, and with them every connection; what they had to log is written.
    pub fn close(&self) {
        let mut control = self.control();
        control.draining = true;
        control.send(|| Command::Stop);
        for worker in &mut control.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked has ended too.
                let _ = thread.join();
            }
        }
        control.bound.clear();
        control.logs.access.end();
        control.logs.records.end();
        for written in &control.written {
            // Nobody sends: either the writer is done, or its sink is stuck and its lines are lost.
            let _ = written.recv_timeout(LOG_TIMEOUT);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn start_worker(index: usize, shared: Shared) -> Result<WorkerHandle, String> {
    let (commands, receiver) = unbounded_channel();
    let thread = std::thread::Builder::new().name(format!("gateway-{index}")).spawn(move || {
        if let Err(error) = worker::run(shared, receiver) {
            eprintln!("gateway worker {index} cannot start: {error}");
        }
    });
    let thread = thread.map_err(|e| format!("worker {index}: cannot start its thread: {e}"))?;
    Ok(WorkerHandle { commands, thread: Some(thread) })
}

impl Control {
    fn apply(&mut self, update: &[u8]) -> Applied {
        let outcome = self.store.apply(update, &CertificateChecks);
        let mut applied = outcome.applied;
        if applied.error.is_empty() {
            let compiled = Compiled::build(self.store.table(), &self.compiled, &outcome.touched);
            // Thousands of rules are let go of here, and not by a worker: that one has requests to serve.
            let before = std::mem::replace(&mut self.compiled, Arc::new(compiled));
            applied.error = self.configure();
            drop(before);
        }
        let errors = self.bind_sockets();
        let datagram_errors = self.bind_datagrams();
        applied.listeners = self.listener_states(&errors, &datagram_errors);
        applied
    }

    fn bind_datagrams(&mut self) -> HashMap<SocketAddr, String> {
        if self.draining {
            return HashMap::new();
        }
        let workers = &self.workers;
        // A worker that ended no longer serves anything; there is nobody to tell.
        let send = |worker: usize, command| drop(workers[worker].commands.send(command));
        self.datagrams.follow(&self.compiled, workers.len(), &send)
    }

    /// Hands the configuration to every worker and waits until each has taken it over; a sentence when one has not.
    fn configure(&mut self) -> String {
        let (done, acknowledged) = channel();
        let compiled = self.compiled.clone();
        self.send(|| Command::Configure(compiled.clone(), done.clone()));
        drop(done);
        let (asked, answered) = (self.workers.len(), wait(&acknowledged, self.workers.len()).len());
        if answered == asked {
            return String::new();
        }
        format!("{answered} of {asked} workers took the table over; the others have ended, restart the gateway")
    }

    fn send(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // A worker that ended no longer serves anything; there is nobody to tell.
            let _ = worker.commands.send(command());
        }
    }

    /// Opens the sockets the table asks for and closes the others; returns what could not be bound.
    fn bind_sockets(&mut self) -> HashMap<SocketAddr, String> {
        let mut errors = HashMap::new();
        if self.draining {
            return errors;
        }
        let compiled = self.compiled.clone();
        let gone: Vec<SocketAddr> =
            self.bound.iter().filter(|address| compiled.socket(**address).is_none()).copied().collect();
        self.close_sockets(&gone);
        // Captured listeners' sockets share their address.
        let mut tried = HashSet::new();
        for socket in compiled.sockets.iter() {
            if let Some(Err(error)) = &socket.tls {
                errors.insert(socket.address, error.clone());
            }
            if self.bound.contains(&socket.address) || !tried.insert(socket.address) {
                continue;
            }
            if let Err(error) = self.open(socket.address) {
                errors.entry(socket.address).or_insert(error);
            }
        }
        errors
    }

    /// Waits until the addresses are free: another listener of the same update may want them, in part or under another
    /// name.
    fn close_sockets(&mut self, addresses: &[SocketAddr]) {
        let (done, closed) = channel();
        for address in addresses {
            self.bound.remove(address);
            self.send(|| Command::Unlisten(*address, done.clone()));
        }
        drop(done);
        wait(&closed, self.workers.len() * addresses.len());
    }

    fn open(&mut self, address: SocketAddr) -> Result<(), String> {
        let listeners = binder::bind(address, self.workers.len())?;
        let connections = Arc::new(AtomicU32::new(0));
        for (worker, listener) in self.workers.iter().zip(listeners) {
            let connections = connections.clone();
            let _ = worker.commands.send(Command::Listen { listener, address, connections });
        }
        self.bound.insert(address);
        Ok(())
    }

    fn listener_states(
        &self,
        errors: &HashMap<SocketAddr, String>,
        datagram_errors: &HashMap<SocketAddr, String>,
    ) -> Vec<ListenerState> {
        let listeners = self.compiled.table.listeners.values();
        listeners
            .map(|listener| {
                let errors = if listener.protocol == ListenerProtocol::Udp { datagram_errors } else { errors };
                let error = self.listener_problem(listener, errors).unwrap_or_default();
                ListenerState { key: listener.key.clone(), bound: error.is_empty(), error }
            })
            .collect()
    }

    fn listener_problem(&self, listener: &Listener, errors: &HashMap<SocketAddr, String>) -> Option<String> {
        if self.draining {
            return Some("the gateway is shutting down and accepts no more connections".to_owned());
        }
        let address = SocketAddr::new(listener.address, listener.bind_port);
        errors.get(&address).cloned().or_else(|| self.tls_problem(listener, address))
    }

    /// Why TLS refuses every connection of a listener, although others of its socket are served.
    fn tls_problem(&self, listener: &Listener, address: SocketAddr) -> Option<String> {
        let mut sockets = self.compiled.sockets.iter().filter(|socket| socket.address == address);
        let tls = sockets.find_map(|socket| {
            let tls = socket.tls.as_ref()?.as_ref().ok()?;
            tls.problems().iter().any(|(key, _)| *key == listener.key).then_some(tls)
        })?;
        let own = tls.problems().iter().filter(|(key, _)| *key == listener.key);
        let reasons: Vec<&str> = own.map(|(_, reason)| reason.as_str()).collect();
        // One certificate that can be used is enough.
        (!reasons.is_empty() && reasons.len() >= listener.certificates.len()).then(|| reasons.join("; "))
    }

    fn collect(&self) -> Vec<Report> {
        let (answer, reports) = channel();
        self.send(|| Command::Collect(answer.clone()));
        drop(answer);
        wait(&reports, self.workers.len())
    }
}

fn wait<T>(answers: &Receiver<T>, count: usize) -> Vec<T> {
    (0..count).map_while(|_| answers.recv_timeout(WORKER_TIMEOUT).ok()).collect()
}
