//! UDP on one worker: datagrams of one client form a session, which has one backend endpoint.
//!
//! Sessions are bounded like connections. The loop never waits for a backend: what comes before a session is
//! connected is queued within a bound, and what does not fit is dropped, as a network would.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::time::Duration;

use sekisho_router::ListenerId;
use tokio::net::UdpSocket;

use super::choice::choose;
use super::counters::Kind;
use super::outside;
use super::record::Origin;
use super::session::{self, Session};
use crate::active_config::ActiveConfig;
use crate::authorization::Caller;
use crate::parties::Standing;
use crate::worker::{ConnectionCount, ListeningSocket, Worker};

/// The largest payload of a datagram.
pub const MAX_DATAGRAM: usize = 65_535;
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// A worker's sessions of one listener, by client.
pub type Sessions = Rc<RefCell<HashMap<SocketAddr, Rc<Session>>>>;

pub async fn serve(worker: Rc<Worker>, socket: Rc<ListeningSocket>, datagrams: StdUdpSocket) {
    let Ok(datagrams) = UdpSocket::from_std(datagrams) else {
        return;
    };
    let front = Front { worker, socket, datagrams: Rc::new(datagrams), sessions: Sessions::default() };
    let mut buffer = vec![0; MAX_DATAGRAM].into_boxed_slice();
    loop {
        let Ok((length, client)) = front.datagrams.recv_from(&mut buffer).await else {
            tokio::time::sleep(RECEIVE_PAUSE).await;
            continue;
        };
        if let Some(session) = front.session(client) {
            session.forward(&buffer[..length]);
        }
    }
}

/// A listener's socket on one worker.
struct Front {
    worker: Rc<Worker>,
    socket: Rc<ListeningSocket>,
    /// Sessions answer through it only for as long as it is read: what nobody reads must not stay bound.
    datagrams: Rc<UdpSocket>,
    sessions: Sessions,
}

impl Front {
    /// The session of a client: the one it has while the table agrees, or a new one.
    fn session(&self, client: SocketAddr) -> Option<Rc<Session>> {
        let config = self.worker.config();
        let listener = config.compiled.router.datagram_listener(self.socket.address)?;
        let known = self.sessions.borrow().get(&client).cloned();
        if let Some(session) = known {
            if session.is_current(&config, listener) {
                return Some(session);
            }
            self.sessions.borrow_mut().remove(&client);
            session.end();
        }
        if self.worker.draining() { None } else { self.begin(&config, listener, client) }
    }

    fn begin(&self, config: &ActiveConfig, listener: ListenerId, client: SocketAddr) -> Option<Rc<Session>> {
        let (worker, socket) = (&self.worker, &self.socket);
        let found = config.compiled.router.listener(listener);
        let gateway = config.compiled.table.gateways.get(&found.gateway)?;
        let limits = &gateway.limits;
        let count =
            ConnectionCount::admit(worker, socket, limits.max_connections_per_listener, limits.max_connections)?;
        let (source, destination) = (client.ip(), socket.address.ip());
        let caller = Caller { peer: None, source, destination, server_name: None };
        let mut choice = choose(config, listener, &caller, worker);
        outside::close_to_sessions(worker, found, client, &mut choice);
        let origin = Origin {
            kind: Kind::Udp,
            standing: Standing::default(),
            peer: None,
            remote: client,
            local: socket.address,
            server_name: None,
            listener: found.clone(),
            access_log: gateway.access_log,
        };
        let session = Rc::new(Session::new(worker, origin, &choice));
        self.sessions.borrow_mut().insert(client, session.clone());
        let life = session::Life {
            worker: worker.clone(),
            session: session.clone(),
            backend: choice.backend.ok(),
            front: Rc::downgrade(&self.datagrams),
            idle: session::idle_bound(limits),
        };
        let sessions = self.sessions.clone();
        tokio::task::spawn_local(async move {
            let session = life.session.clone();
            life.run().await;
            let mut sessions = sessions.borrow_mut();
            if sessions.get(&client).is_some_and(|known| Rc::ptr_eq(known, &session)) {
                sessions.remove(&client);
            }
            drop(count);
        });
        Some(session)
    }
}
