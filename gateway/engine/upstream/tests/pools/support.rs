//! A table with backends, servers that count, and a worker to run in.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sekisho_table::{Backend as TableBackend, BackendProtocol, BackendTls, Endpoint, Endpoints};
use sekisho_table::{Table, Touched};
use sekisho_upstream::{Backend, BackendSpecs, Connection, Lease, OpenError, UpstreamOptions, Upstreams, Want};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// What may differ between the tables of `specs` and `table`: all that either has.
pub fn everything(table: &Table, specs: &BackendSpecs) -> Touched {
    let mut touched = Touched::everything(table);
    touched.backends.extend(specs.iter().map(|spec| spec.key().to_owned()));
    touched
}

/// Runs a test as a worker does: one thread, local tasks.
pub fn on_worker(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

pub struct Worker {
    pub table: Table,
    pub upstreams: Upstreams,
    specs: Arc<BackendSpecs>,
}

impl Worker {
    pub fn new() -> Self {
        Self::with(UpstreamOptions { seed: 7, ..UpstreamOptions::default() })
    }

    pub fn with(options: UpstreamOptions) -> Self {
        Self { table: Table::default(), upstreams: Upstreams::new(options), specs: Arc::default() }
    }

    /// A plain HTTP backend named `key`, in force at once.
    pub fn serving(key: &str, endpoints: &[SocketAddr]) -> Self {
        let mut worker = Self::new();
        worker.set(key, BackendProtocol::Http, None, endpoints);
        worker
    }

    pub fn set(&mut self, key: &str, protocol: BackendProtocol, tls: Option<BackendTls>, endpoints: &[SocketAddr]) {
        let backend = TableBackend::new(key, protocol, tls);
        self.table.backends.insert(key.to_owned(), Arc::new(backend));
        self.set_endpoints(key, endpoints);
    }

    /// The backend `b` with another protocol, and without the connections it had.
    pub fn restart_as(&mut self, protocol: BackendProtocol) {
        let backend = self.table.backends.remove("b").expect("a backend");
        self.apply();
        self.table.backends.insert("b".to_owned(), Arc::new(TableBackend { protocol, ..(*backend).clone() }));
        self.apply();
    }

    pub fn set_endpoints(&mut self, key: &str, endpoints: &[SocketAddr]) {
        let endpoints = endpoints.iter().map(|at| Endpoint::new(at.ip().to_string(), at.port())).collect();
        self.set_endpoint_list(key, endpoints);
    }

    pub fn set_endpoint_list(&mut self, key: &str, endpoints: Vec<Endpoint>) {
        let key = key.to_owned();
        self.table.endpoints.insert(key.clone(), Arc::new(Endpoints { key, endpoints }));
        self.apply();
    }

    pub fn apply(&mut self) {
        self.specs = BackendSpecs::build(&self.table, &self.specs, &everything(&self.table, &self.specs));
        self.upstreams.update(self.specs.clone());
    }

    pub fn backend(&self, key: &str) -> Rc<Backend> {
        self.upstreams.backend(self.specs.index(key).expect("a backend of the table")).clone()
    }
}

pub async fn open(backend: &Backend, want: Want) -> Lease {
    try_open(backend, want).await.unwrap_or_else(|error| panic!("a connection: {error}"))
}

pub async fn try_open(backend: &Backend, want: Want) -> Result<Lease, OpenError> {
    backend.open(want, None, false, Duration::from_secs(10)).await
}

pub fn release(backend: &Backend, lease: Lease) {
    match lease.connection {
        Connection::Http1(connection) => backend.release(connection, lease.endpoint),
        Connection::Http2(_) => panic!("only HTTP/1 connections go back"),
    }
}

pub fn local_address(lease: &Lease) -> SocketAddr {
    match &lease.connection {
        Connection::Http1(connection) => connection.io().tcp().expect("a socket").local_addr().expect("an address"),
        Connection::Http2(_) => panic!("an HTTP/1 connection"),
    }
}

/// Lets everything that is ready run, the sockets' news included.
pub async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

/// Accepts connections and holds them, so that a test can count, close or write to them.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    accepted: Rc<Cell<usize>>,
    open: Rc<RefCell<VecDeque<TcpStream>>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Self { address, accepted: Rc::default(), open: Rc::default() };
        let (accepted, open) = (server.accepted.clone(), server.open.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.set(accepted.get() + 1);
                open.borrow_mut().push_back(stream);
            }
        });
        server
    }

    pub fn accepted(&self) -> usize {
        self.accepted.get()
    }

    /// The oldest connection that the test has not taken yet.
    pub async fn take(&self) -> TcpStream {
        loop {
            let next = self.open.borrow_mut().pop_front();
            match next {
                Some(stream) => return stream,
                None => tokio::task::yield_now().await,
            }
        }
    }
}

/// Waits until the other side has closed.
pub async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("a clean close");
    assert!(rest.is_empty(), "nothing was sent");
}

/// An address that refuses connections: bound once, and let go.
pub async fn refusing_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}
