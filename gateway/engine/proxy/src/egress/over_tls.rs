//! Asking a name server over TLS (RFC 7858): one connection for a server and worker, verified, that many questions share.
//!
//! Bounded: so many questions at once, each for so long, and a connection that nobody uses is closed. What cannot be verified
//! is never asked, and no answer comes by another way.

mod authorities;
mod connection;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_egress::dns::{Answer, Kind};
use sekisho_table::NameServer;
use sekisho_tls::{OutwardTls, TlsErrorKind, Trust};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

pub use authorities::Authorities;
use connection::{Broken, Connection};

/// Of dialling with the handshake, and of a question.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Servers close connections as they like (RFC 7766, 6.2.4), also while a question is on its way: by one that had just gone,
/// by one that is closed after another question, and by one more.
const TRIES: usize = 3;
/// A server that was just found wanting is not dialled again before this.
const REST: Duration = Duration::from_secs(1);
/// Between two words on one server.
const SILENCE: Duration = Duration::from_secs(10);
/// Servers come from the table. Those that it names no more are forgotten when there are as many as this.
const MAX_SERVERS: usize = 16;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server is not proved to be the one that was named.
    Untrusted,
    Unanswered,
}

/// A worker's name servers with TLS.
#[derive(Default)]
pub struct SecuredServers {
    authorities: Arc<Authorities>,
    servers: RefCell<HashMap<NameServer, Rc<Server>>>,
}

impl SecuredServers {
    pub fn new(authorities: Arc<Authorities>) -> Self {
        Self { authorities, servers: RefCell::default() }
    }

    /// `name` verifies the server; see [`NameServer::verified_as`].
    pub async fn ask(&self, question: (&str, Kind), server: &NameServer, name: &str) -> Result<Answer, Trouble> {
        let entry = self.entry(server);
        for _ in 0..TRIES {
            let connection = entry.connection(server, name, &self.authorities).await?;
            let asked = Instant::now();
            match tokio::time::timeout(PATIENCE, connection.ask(question.0, question.1)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Broken::Answer)) => return Err(Trouble::Unanswered),
                Ok(Err(Broken::Connection)) => entry.forget(&connection),
                // One question may be hard to answer; whoever says nothing at all is not asked others.
                Err(_) => {
                    if !connection.was_heard_since(asked) {
                        entry.forget(&connection);
                    }
                    return Err(Trouble::Unanswered);
                }
            }
        }
        Err(Trouble::Unanswered)
    }

    fn entry(&self, server: &NameServer) -> Rc<Server> {
        let mut servers = self.servers.borrow_mut();
        if servers.len() >= MAX_SERVERS && !servers.contains_key(server) {
            servers.clear();
        }
        servers.entry(server.clone()).or_default().clone()
    }
}

#[derive(Default)]
struct Server {
    connection: RefCell<Option<Rc<Connection>>>,
    /// One dials; the others wait for its connection.
    dialling: Mutex<()>,
    failed: Cell<Option<(Trouble, Instant)>>,
    told: Cell<Option<Instant>>,
    /// With what the authorities were as it was made.
    tls: RefCell<Option<(Arc<str>, Rc<OutwardTls>)>>,
}

impl Server {
    /// One that is open.
    async fn connection(
        &self,
        server: &NameServer,
        name: &str,
        authorities: &Authorities,
    ) -> Result<Rc<Connection>, Trouble> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let _dialling = self.dialling.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        if let Some((trouble, _)) = self.failed.get().filter(|(_, at)| at.elapsed() < REST) {
            return Err(trouble);
        }
        match tokio::time::timeout(PATIENCE, self.dial(server, name, authorities)).await {
            Ok(Ok(connection)) => {
                self.failed.set(None);
                *self.connection.borrow_mut() = Some(connection.clone());
                Ok(connection)
            }
            Ok(Err(trouble)) => Err(self.failed(trouble)),
            Err(_) => Err(self.failed(Trouble::Unanswered)),
        }
    }

    fn open(&self) -> Option<Rc<Connection>> {
        self.connection.borrow().as_ref().filter(|connection| connection.is_open()).cloned()
    }

    fn failed(&self, trouble: Trouble) -> Trouble {
        self.failed.set(Some((trouble, Instant::now())));
        trouble
    }

    fn forget(&self, connection: &Rc<Connection>) {
        connection.close();
        let mut kept = self.connection.borrow_mut();
        if kept.as_ref().is_some_and(|kept| Rc::ptr_eq(kept, connection)) {
            *kept = None;
        }
    }

    async fn dial(
        &self,
        server: &NameServer,
        name: &str,
        authorities: &Authorities,
    ) -> Result<Rc<Connection>, Trouble> {
        let tls = self.tls(name, authorities).map_err(|reason| {
            self.tell(server, &reason);
            Trouble::Untrusted
        })?;
        let stream = TcpStream::connect(server.address).await.map_err(|_| Trouble::Unanswered)?;
        // Only a socket that is already gone refuses this, and the handshake will say so.
        stream.set_nodelay(true).ok();
        let stream = tls.connect(stream).await.map_err(|error| match error.kind {
            TlsErrorKind::Certificate => {
                self.tell(server, &error.message);
                Trouble::Untrusted
            }
            _ => Trouble::Unanswered,
        })?;
        Ok(Connection::start(stream))
    }

    fn tls(&self, name: &str, authorities: &Authorities) -> Result<Rc<OutwardTls>, String> {
        let text = authorities.current()?;
        let mut kept = self.tls.borrow_mut();
        if let Some((_, tls)) = kept.as_ref().filter(|(of, _)| *of == text) {
            return Ok(tls.clone());
        }
        let tls = Rc::new(OutwardTls::build(name, Trust { authorities: &text, certificate: None }, &[])?);
        *kept = Some((text, tls.clone()));
        Ok(tls)
    }

    /// For people; the record has a reason code alone.
    fn tell(&self, server: &NameServer, reason: &str) {
        if self.told.get().is_none_or(|at| at.elapsed() >= SILENCE) {
            self.told.set(Some(Instant::now()));
            eprintln!("the name server {server} is not asked: {reason}");
        }
    }
}
