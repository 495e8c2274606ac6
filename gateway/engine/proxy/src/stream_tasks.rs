//! A connection of HTTP/2 whose streams are served in tasks of their own, as tunnels are: each lives long, and is woken
//! alone.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::StatusCode;
use sekisho_codec::{BodyKind, RequestHead};
use sekisho_stream::{Http2Exchange, Http2Server};
use sekisho_tls::Transport;

use crate::watchdog::{Watchdog, after};

/// Times of a connection, in milliseconds; 0 is no bound.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until the first request.
    pub first_ms: u64,
    /// Without an open stream.
    pub idle_ms: u64,
    /// From GOAWAY to the end.
    pub drain_ms: u64,
}

/// What a connection brings.
pub enum Event {
    Asked(RequestHead, BodyKind, Http2Exchange, Open),
    /// A head that was answered with this status, because it could not be read.
    Refused(StatusCode),
}

/// Counts a stream for as long as it is kept.
pub struct Open(Rc<Cell<u32>>);

impl Open {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

pub struct StreamTasks {
    connection: Http2Server<Transport>,
    bounds: Bounds,
    open: Rc<Cell<u32>>,
    watchdog: Watchdog,
    idle_since: Instant,
    served: bool,
    leave_by: Option<Instant>,
    left: bool,
}

impl StreamTasks {
    pub fn new(connection: Http2Server<Transport>, bounds: Bounds) -> Self {
        Self {
            connection,
            bounds,
            open: Rc::default(),
            watchdog: Watchdog::default(),
            idle_since: Instant::now(),
            served: false,
            leave_by: None,
            left: false,
        }
    }

    /// To the connection's end. `is_over`: it should say GOAWAY; asked whenever the task is woken.
    pub async fn run(mut self, is_over: impl Fn() -> bool, mut take: impl FnMut(Event)) {
        poll_fn(|task| self.poll(task, &is_over, &mut take)).await;
    }

    fn poll(&mut self, task: &mut Context<'_>, is_over: &impl Fn() -> bool, take: &mut impl FnMut(Event)) -> Poll<()> {
        self.connection.begin_turn();
        loop {
            if is_over() {
                self.leave();
            }
            let accepted = self.connection.poll_accept(task);
            while let Some(status) = self.connection.take_refused() {
                self.served = true;
                take(Event::Refused(status));
            }
            match accepted {
                Poll::Ready(Some(Ok((head, kind, exchange)))) => {
                    (self.served, self.idle_since) = (true, Instant::now());
                    take(Event::Asked(head, kind, exchange, Open::new(&self.open)));
                    continue;
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.open.get() > 0 {
                self.idle_since = Instant::now();
            }
            let idle = after(self.idle_since, if self.served { self.bounds.idle_ms } else { self.bounds.first_ms });
            if self.watchdog.poll_expired(task, if self.left { self.leave_by } else { idle }).is_pending() {
                return Poll::Pending;
            }
            if self.left {
                return Poll::Ready(());
            }
            if self.open.get() == 0 {
                self.leave();
            }
        }
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            self.connection.graceful_shutdown();
            self.leave_by = after(Instant::now(), self.bounds.drain_ms);
        }
    }
}
