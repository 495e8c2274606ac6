//! Counting the streams that a client cancels (rapid reset, CVE-2023-44487).

use std::cell::Cell;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(30);

pub(super) struct Resets {
    limit: u32,
    since: Cell<Instant>,
    count: Cell<u32>,
    exceeded: Cell<bool>,
    /// The task that drives the connection: streams may be polled by others.
    connection: Cell<Option<Waker>>,
}

impl Resets {
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            since: Cell::new(Instant::now()),
            count: Cell::new(0),
            exceeded: Cell::new(false),
            connection: Cell::new(None),
        }
    }

    pub fn count(&self) {
        let now = Instant::now();
        if now.duration_since(self.since.get()) > WINDOW {
            self.since.set(now);
            self.count.set(0);
        }
        self.count.set(self.count.get().saturating_add(1));
        if self.count.get() > self.limit {
            self.exceeded.set(true);
            if let Some(waker) = self.connection.take() {
                waker.wake();
            }
        }
    }

    pub fn exceeded(&self) -> bool {
        self.exceeded.get()
    }

    pub fn watch(&self, cx: &Context<'_>) {
        let current = self.connection.take().filter(|waker| waker.will_wake(cx.waker()));
        self.connection.set(Some(current.unwrap_or_else(|| cx.waker().clone())));
    }
}
