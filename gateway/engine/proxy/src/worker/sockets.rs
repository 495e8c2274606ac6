//! The addresses a worker accepts on, and the count of connections on each.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sekisho_router::SocketId;
use tokio::task::JoinHandle;

use super::Worker;
use crate::active_config::{ActiveConfig, SocketPlace};

/// A socket this worker accepts on. Connections keep it alive; `closed` asks them to leave.
#[derive(Debug)]
pub struct ListeningSocket {
    pub address: SocketAddr,
    pub closed: Cell<bool>,
    /// Connections on this address, over all workers.
    pub connections: Arc<AtomicU32>,
    place: SocketPlace,
}

impl ListeningSocket {
    pub(super) fn new(address: SocketAddr, connections: Arc<AtomicU32>) -> Rc<Self> {
        Rc::new(Self { address, closed: Cell::new(false), connections, place: SocketPlace::default() })
    }

    /// The socket in a configuration, while it has one.
    pub fn id(&self, config: &ActiveConfig) -> Option<SocketId> {
        self.place.in_config(config, self.address)
    }
}

pub(super) struct Accepting {
    pub socket: Rc<ListeningSocket>,
    pub task: JoinHandle<()>,
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
