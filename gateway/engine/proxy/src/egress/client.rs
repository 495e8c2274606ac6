//! Who is at the other end, and what every request of a connection shares.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sekisho_egress::{Caller, Credential};
use sekisho_policy::Peer;
use sekisho_table::{Limits, Listener};
use sekisho_tls::PeerIdentity;

use super::compiled::{Egress, Outlet};
use crate::layer4::Place;
use crate::watchdog::after;
use crate::worker::{ConnectionCount, ListeningSocket, Worker};

pub struct Client {
    pub worker: Rc<Worker>,
    socket: Rc<ListeningSocket>,
    pub remote: SocketAddr,
    pub limits: Limits,
    pub listener: Arc<Listener>,
    /// From the connection alone: without credentials.
    caller: Caller,
    told_to_leave: Cell<Option<Instant>>,
}

impl Client {
    pub fn new(place: Place, listener: Arc<Listener>, certificate: Option<PeerIdentity>) -> Self {
        let Place { worker, socket, remote, limits, .. } = place;
        let mut caller = Caller::at(remote.ip().to_canonical());
        if let Some(certificate) = certificate {
            caller.peer = certificate.spiffe_uri().and_then(Peer::new).map(Box::new);
            let names = certificate.dns_names.iter().map(|name| name.to_ascii_lowercase());
            caller.subject_alt_names = names.chain(certificate.uris.iter().cloned()).map(String::into).collect();
        }
        Self { worker, socket, remote, limits, listener, caller, told_to_leave: Cell::new(None) }
    }

    pub fn caller(&self, credential: Option<Credential>) -> Caller {
        Caller { credential, ..self.caller.clone() }
    }

    /// Counts one connection more of the listener; `None` when a bound is reached.
    pub fn admit(&self) -> Option<ConnectionCount> {
        let (per_socket, total) = (self.limits.max_connections_per_listener, self.limits.max_connections);
        ConnectionCount::admit(&self.worker, &self.socket, per_socket, total)
    }

    /// What is in force now.
    pub fn egress(&self) -> Arc<Egress> {
        self.worker.config().compiled.egress.clone()
    }

    pub fn outlet(&self, egress: &Egress) -> Option<Arc<Outlet>> {
        egress.outlet(&self.listener.key).cloned()
    }

    /// The connection should end after what it is doing.
    pub fn leaving(&self) -> bool {
        self.worker.draining() || self.socket.closed.get()
    }

    /// When what the connection is doing must have ended; `None` while it may stay.
    pub fn leave_by(&self) -> Option<Instant> {
        if !self.leaving() {
            return None;
        }
        let since = self.told_to_leave.get().unwrap_or_else(Instant::now);
        self.told_to_leave.set(Some(since));
        after(since, self.limits.drain_timeout_ms)
    }
}
