//! Connections to destinations of requests in the clear, between one request and the next.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::task::{Context, Waker};

use sekisho_egress::Host;
use sekisho_stream::Http1;
use sekisho_tls::Transport;

use super::open::Asked;

/// Connections that are kept for the next request to where one went before.
const MOST_KEPT: usize = 16;

/// Connections to destinations, of one client: what one was let out for is nobody else's.
#[derive(Default)]
pub struct Pool(RefCell<VecDeque<Upstream>>);

pub struct Upstream {
    pub host: Host,
    pub port: u16,
    pub address: IpAddr,
    pub connection: Http1<Transport>,
}

impl Upstream {
    /// Nobody waits on a kept connection: it is looked at when it is wanted, and one that has ended meanwhile is none.
    fn is_open(&mut self) -> bool {
        self.connection.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending() && self.connection.is_reusable()
    }
}

impl Pool {
    pub fn take(&self, asked: &Asked) -> Option<Upstream> {
        let mut kept = self.0.borrow_mut();
        kept.retain_mut(Upstream::is_open);
        let place = kept.iter().position(|kept| kept.host == asked.host && kept.port == asked.port)?;
        kept.remove(place)
    }

    pub fn keep(&self, upstream: Upstream) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(upstream);
    }
}
