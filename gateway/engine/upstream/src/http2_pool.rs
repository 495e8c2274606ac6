//! The HTTP/2 connections of one endpoint: shared by exchanges until the peer's stream limit.

use std::cell::{Cell, RefCell};

use sekisho_stream::Http2Client;
use tokio::sync::{Mutex, MutexGuard};

use crate::error::Failure;

#[derive(Default)]
pub(crate) struct Http2Pool {
    connections: RefCell<Vec<Pooled>>,
    next_id: Cell<u64>,
    /// One connection is made at a time: the exchanges that wait for it share it.
    dialling: Mutex<()>,
    attempts: Cell<u64>,
    /// The last attempt that failed, by number.
    failure: RefCell<Option<(u64, Failure)>>,
}

struct Pooled {
    id: u64,
    client: Http2Client,
    /// The sweep during which it last took a stream.
    used: u32,
}

impl Http2Pool {
    /// A connection that can take one more stream.
    pub(crate) fn take(&self, now: u32) -> Option<Http2Client> {
        let mut connections = self.connections.borrow_mut();
        let ready = connections.iter_mut().find(|pooled| pooled.client.can_open())?;
        ready.used = now;
        Some(ready.client.clone())
    }

    /// Keeps `client`; the answer names it to [`Self::remove`].
    pub(crate) fn add(&self, client: Http2Client, now: u32) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        self.connections.borrow_mut().push(Pooled { id, client, used: now });
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        self.connections.borrow_mut().retain(|pooled| pooled.id != id);
    }

    pub(crate) fn clear(&self) {
        self.connections.borrow_mut().clear();
    }

    /// Lets go of connections that took no stream for too long. Streams that still run on one keep
    /// it open: it closes when the last of them ends.
    pub(crate) fn sweep(&self, now: u32, longest: u32) -> bool {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|pooled| now.wrapping_sub(pooled.used) < longest);
        !connections.is_empty()
    }

    /// The right to dial. Who had to wait for another's attempt shares its failure: a dead endpoint
    /// is asked once, not once for each exchange that waits.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Failure> {
        let guard = match self.dialling.try_lock() {
            Ok(guard) => guard,
            Err(_) => {
                let under_way = self.attempts.get();
                let guard = self.dialling.lock().await;
                if let Some((attempt, failure)) = &*self.failure.borrow()
                    && *attempt >= under_way
                {
                    return Err(failure.clone());
                }
                guard
            }
        };
        self.attempts.set(self.attempts.get() + 1);
        Ok(Turn { pool: self, attempt: self.attempts.get(), _guard: guard })
    }
}

pub(crate) struct Turn<'a> {
    pool: &'a Http2Pool,
    attempt: u64,
    _guard: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    pub(crate) fn failed(&self, failure: &Failure) {
        *self.pool.failure.borrow_mut() = Some((self.attempt, failure.clone()));
    }
}
