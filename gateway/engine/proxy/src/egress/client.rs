//! Who is at the other end, and what every request of a connection shares.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sekisho_egress::{Caller, Credential};
use sekisho_policy::Peer;
use sekisho_table::{Limits, Listener};

use super::Certified;
use super::gate::Gate;
use crate::layer4::Place;
use crate::watchdog::after;
use crate::worker::{ConnectionCount, ListeningSocket};

/// A client of a way out.
pub struct Client {
    gate: Gate,
    socket: Rc<ListeningSocket>,
    pub limits: Limits,
    /// From the connection alone: without credentials.
    caller: Caller,
    told_to_leave: Cell<Option<Instant>>,
}

impl Client {
    pub fn new(place: Place, listener: Arc<Listener>, certified: Option<Certified>) -> Self {
        let Place { worker, socket, remote, limits, .. } = place;
        let caller = caller(remote, certified.as_ref());
        let gate = Gate { worker, listener, remote, connect_timeout_ms: limits.connect_timeout_ms };
        Self { gate, socket, limits, caller, told_to_leave: Cell::new(None) }
    }

    pub fn caller(&self, credential: Option<Credential>) -> Caller {
        Caller { credential, ..self.caller.clone() }
    }

    /// Counts one connection more of the listener; `None` when a bound is reached.
    pub fn admit(&self) -> Option<ConnectionCount> {
        let (per_socket, total) = (self.limits.max_connections_per_listener, self.limits.max_connections);
        ConnectionCount::admit(&self.worker, &self.socket, per_socket, total)
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

impl Deref for Client {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.gate
    }
}

/// Who is at the other end of a connection: what its address and its certificate, which was verified, prove.
pub fn caller(remote: SocketAddr, certified: Option<&Certified>) -> Caller {
    let mut caller = Caller::at(remote.ip().to_canonical());
    if let Some(Certified { certificate, in_mesh }) = certified {
        caller.in_mesh = *in_mesh;
        caller.peer = certificate.spiffe_uri().and_then(Peer::new).map(Box::new);
        let names = certificate.dns_names.iter().map(|name| name.to_ascii_lowercase());
        caller.subject_alt_names = names.chain(certificate.uris.iter().cloned()).map(String::into).collect();
    }
    caller
}
