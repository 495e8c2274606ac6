//! An engine with one listener and one route, backends that do what a test says, and clients on raw sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sekisho_proxy::{Engine, EngineOptions};
use serde_json::{Value, json};

/// Longer than anything here should take; a test that reaches it fails.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// What a test changes of the usual table.
pub struct Setup {
    pub limits: Value,
    /// Fields of the route besides its match and backend.
    pub route: Value,
    pub protocol: &'static str,
    pub backends: Vec<SocketAddr>,
    pub mirror: Option<SocketAddr>,
    pub workers: usize,
}

impl Setup {
    pub fn with(backends: &[SocketAddr]) -> Self {
        Self {
            limits: json!({}),
            route: json!({}),
            protocol: "HTTP",
            backends: backends.to_vec(),
            mirror: None,
            workers: 1,
        }
    }

    pub fn limits(mut self, limits: Value) -> Self {
        self.limits = limits;
        self
    }

    pub fn route(mut self, route: Value) -> Self {
        self.route = route;
        self
    }

    pub fn protocol(mut self, protocol: &'static str) -> Self {
        self.protocol = protocol;
        self
    }

    pub fn mirror(mut self, address: SocketAddr) -> Self {
        self.mirror = Some(address);
        self
    }

    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub fn resources(&self, address: SocketAddr) -> Value {
        let mut route = json!({
            "key": "HTTPRoute/default/shop/0", "kind": "HTTPRoute", "object": "default/shop", "rule": 0,
            "attachments": [{"listener": "default/edge/web", "hostnames": ["*"]}],
            "matches": [{}], "backends": [{"backend": "main"}],
        });
        if self.mirror.is_some() {
            route["filters"] = json!([{"type": "RequestMirror", "backend": "mirror"}]);
        }
        for (name, value) in self.route.as_object().expect("an object") {
            route[name] = value.clone();
        }
        let endpoints = |addresses: &[SocketAddr]| -> Vec<Value> {
            addresses.iter().map(|a| json!({"address": a.ip().to_string(), "port": a.port()})).collect()
        };
        json!({
            "gateways": [{"key": "default/edge", "limits": self.limits}],
            "listeners": [{
                "key": "default/edge/web", "gateway": "default/edge", "address": address.ip().to_string(),
                "port": 80, "bind_port": address.port(), "protocol": "HTTP",
            }],
            "routes": [route],
            "backends": [{"key": "main", "protocol": self.protocol}, {"key": "mirror"}],
            "endpoints": [
                {"key": "main", "endpoints": endpoints(&self.backends)},
                {"key": "mirror", "endpoints": endpoints(self.mirror.as_slice())},
            ],
        })
    }
}

static STARTED: AtomicU32 = AtomicU32::new(0);

pub struct Gateway {
    pub engine: Arc<Engine>,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Gateway {
    pub fn start(setup: &Setup) -> Gateway {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("sekisho-exchanges-{}-{number}.log", std::process::id()));
        let options: EngineOptions =
            serde_json::from_value(json!({"workers": setup.workers, "access_log": log.to_str()})).expect("options");
        let gateway =
            Gateway { engine: Arc::new(Engine::start(&options).expect("an engine")), address: free_address(), log };
        let applied = gateway.apply(&setup.resources(gateway.address));
        assert_eq!(applied["rejected"], json!([]), "{applied}");
        assert_eq!(applied["listeners"][0]["bound"], true, "{applied}");
        gateway
    }

    /// Replaces the whole table.
    pub fn apply(&self, resources: &Value) -> Value {
        let update = json!({"type": "snapshot", "format": 1, "version": "v", "resources": resources});
        serde_json::from_slice(&self.engine.apply(update.to_string().as_bytes())).expect("an answer")
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn statistics(&self) -> Value {
        serde_json::from_slice(&self.engine.statistics()).expect("statistics")
    }

    /// Requests of all series.
    pub fn counted(&self) -> u64 {
        let statistics = self.statistics();
        let series = statistics["series"].as_array().expect("a list").clone();
        series.iter().map(|series| series["requests"].as_u64().expect("a number")).sum()
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The access log when it has `count` lines, and has stayed so for a moment.
    pub fn log(&self, count: usize) -> Vec<Value> {
        until(|| self.lines().len() >= count);
        std::thread::sleep(Duration::from_millis(120));
        let lines = self.lines();
        assert_eq!(lines.len(), count, "{lines:#?}");
        assert_eq!(self.counted(), count as u64, "one line and one count for each request");
        lines
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.engine.close();
        // It may be that nothing was logged.
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Waits until `holds`.
pub fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to hold in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A backend that serves each connection with `serve`, told the connection's number.
pub struct Backend {
    pub address: SocketAddr,
    connections: Arc<AtomicU32>,
}

impl Backend {
    pub fn start(serve: impl Fn(Client, u32) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let connections = Arc::new(AtomicU32::new(0));
        let (serve, counter) = (Arc::new(serve), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                std::thread::spawn(move || serve(Client::over(stream), number));
            }
        });
        Backend { address, connections }
    }

    /// Answers every request, on any number of connections, with what `answer` says for the request's number.
    pub fn answering(answer: impl Fn(&str, u32) -> String + Send + Sync + 'static) -> Backend {
        let requests = AtomicU32::new(0);
        Backend::start(move |mut peer, _| {
            while let Some(head) = peer.read_head() {
                peer.read_content(&head);
                peer.send(answer(&head, requests.fetch_add(1, Ordering::SeqCst)).as_bytes());
            }
        })
    }

    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";

/// One end of a raw connection; the other is the gateway.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    /// Silence counts as the end.
    resigned: bool,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).expect("connect"))
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, buffer: Vec::new(), resigned: false }
    }

    /// Takes a silence of `bound` for the end.
    pub fn resign_after(&mut self, bound: Duration) {
        self.stream.set_read_timeout(Some(bound)).expect("a timeout");
        self.resigned = true;
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A peer that left is what some tests are about; the next read says so.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads once; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && !self.resigned => {
                panic!("nothing came for {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }

    /// Everything up to and including `end`; `None` when the connection ended before.
    pub fn read_past(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(position) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.buffer.split_off(position + end.len());
                let taken = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8_lossy(&taken).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub fn read_head(&mut self) -> Option<String> {
        self.read_past("\r\n\r\n").map(|head| head.to_ascii_lowercase())
    }

    pub fn read_exactly(&mut self, length: usize) -> Option<String> {
        while self.buffer.len() < length {
            if !self.fill() {
                return None;
            }
        }
        let rest = self.buffer.split_off(length);
        Some(String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).into_owned())
    }

    /// The content that a head announces, chunks taken apart; `None` when it was cut.
    pub fn read_content(&mut self, head: &str) -> Option<String> {
        if let Some((_, rest)) = head.split_once("content-length: ") {
            let length = rest.lines().next().and_then(|length| length.parse().ok()).expect("a length");
            return self.read_exactly(length);
        }
        let mut content = String::new();
        if head.contains("transfer-encoding: chunked") {
            loop {
                let size = self.read_past("\r\n")?;
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
                if size == 0 {
                    self.read_past("\r\n")?;
                    break;
                }
                content += &self.read_exactly(size + 2)?[..size];
            }
        }
        Some(content)
    }

    /// A whole response: status, head, content.
    pub fn response(&mut self) -> (u16, String, String) {
        let head = self.read_head().expect("a head");
        let content = self.read_content(&head).expect("the whole content");
        (head[9..12].parse().expect("a status"), head, content)
    }

    /// The first head that is not a hint.
    pub fn rest_of_hints(&mut self) -> String {
        loop {
            let head = self.read_head().expect("a head");
            if !head.starts_with("http/1.1 103") {
                return head;
            }
        }
    }

    /// What comes until the end of the connection, and whether the end was orderly.
    pub fn rest(&mut self) -> (String, bool) {
        let mut rest = std::mem::take(&mut self.buffer);
        let orderly = match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it did not end within {PATIENCE:?}"),
            Err(_) => false,
        };
        (String::from_utf8_lossy(&rest).into_owned(), orderly)
    }
}
