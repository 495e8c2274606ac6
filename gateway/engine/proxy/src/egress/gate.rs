//! Where it is decided: a listener, the worker that resolves and counts, and the client's end of the connection.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sekisho_table::{EgressWay, Listener};

use super::compiled::{Egress, Outlet};
use crate::worker::Worker;

#[derive(Clone)]
pub struct Gate {
    pub worker: Rc<Worker>,
    pub listener: Arc<Listener>,
    pub remote: SocketAddr,
    /// 0 is no bound.
    pub connect_timeout_ms: u64,
}

impl Gate {
    /// What is in force now.
    pub fn egress(&self) -> Arc<Egress> {
        self.worker.config().compiled.egress.clone()
    }

    pub fn outlet(&self, egress: &Egress) -> Option<Arc<Outlet>> {
        egress.outlet(&self.listener.key).cloned()
    }

    /// How clients go out here, as records have it.
    pub fn way(&self) -> &'static str {
        self.listener.egress.as_ref().map_or("Route", |egress| egress.way.as_str())
    }

    pub fn is_forward_proxy(&self) -> bool {
        self.listener.egress.as_ref().is_some_and(|egress| egress.way == EgressWay::Proxy)
    }
}
