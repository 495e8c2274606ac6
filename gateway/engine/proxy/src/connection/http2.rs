//! HTTP/2: many requests at once on one connection, all served by the connection's own task.
//!
//! No task a stream: the exchanges are polled first and the connection after them, so that what
//! they have to say leaves in one write.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::stream::{FuturesUnordered, Stream};
use http::{StatusCode, Version};
use sekisho_codec::Scheme;
use sekisho_stream::{Downstream, Http1, Http2Exchange, Http2Server};
use sekisho_tls::Transport;

use super::ConnectionContext;
use crate::exchange::{self, Incoming, Record, Reply};
use crate::http2_options::http2_options;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after};

type Exchanges = FuturesUnordered<Pin<Box<dyn Future<Output = ()>>>>;

pub async fn serve(context: Rc<ConnectionContext>, connection: Http1<Transport>) {
    let scheme = if context.tls { Scheme::Https } else { Scheme::Http };
    let (transport, buffered) = connection.into_parts();
    let connection = Http2Server::with_buffered(transport, buffered, scheme, &http2_options(&context.limits));
    let mut connection = Connection {
        connection,
        exchanges: FuturesUnordered::new(),
        watchdog: Watchdog::default(),
        spare: Rc::default(),
        idle_since: Instant::now(),
        left: false,
        leave_by: None,
        served: false,
        context,
    };
    poll_fn(|task| connection.poll(task)).await;
}

struct Connection {
    context: Rc<ConnectionContext>,
    connection: Http2Server<Transport>,
    exchanges: Exchanges,
    watchdog: Watchdog,
    /// Of exchanges that have ended: a timer that stands costs less than a new one. No more than there were exchanges
    /// at once.
    spare: Rc<RefCell<Vec<Watchdog>>>,
    idle_since: Instant,
    /// GOAWAY has been said.
    left: bool,
    /// When a connection that left is cut off.
    leave_by: Option<Instant>,
    /// A first request has come: from here on the connection may idle longer.
    served: bool,
}

impl Connection {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        self.connection.begin_turn();
        if self.context.leaving() {
            self.leave();
        }
        loop {
            if self.poll_streams(task).is_ready() {
                return Poll::Ready(());
            }
            if self.watchdog.poll_expired(task, self.deadline()).is_pending() {
                return Poll::Pending;
            }
            // Time is up: for a connection that left, at once; for an idle one, by leaving.
            if self.left {
                return Poll::Ready(());
            }
            self.leave();
        }
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        self.connection.graceful_shutdown();
        let bound = || after(Instant::now(), self.context.limits.drain_timeout_ms);
        self.leave_by = if self.context.leaving() { self.context.leave_by() } else { bound() };
    }

    /// Ready when the connection has ended.
    fn poll_streams(&mut self, task: &mut Context<'_>) -> Poll<()> {
        loop {
            self.poll_exchanges(task);
            let accept = self.poll_accept(task);
            self.record_refused();
            match accept {
                Accept::More => {}
                Accept::Waiting => return Poll::Pending,
                Accept::Ended => return Poll::Ready(()),
            }
        }
    }

    /// Requests that the stream layer answered itself are logged and counted like any other.
    fn record_refused(&mut self) {
        while let Some(status) = self.connection.take_refused() {
            self.served = true;
            let config = self.context.worker.config();
            let now = Instant::now();
            let mut record = Record::begin(&self.context, &config, exchange::unreadable(Version::HTTP_2), now);
            let too_large = status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            record.answered(status, if too_large { Reason::RequestHeadTooLarge } else { Reason::RequestMalformed });
            record.settle(now);
        }
    }

    fn poll_exchanges(&mut self, task: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = Pin::new(&mut self.exchanges).poll_next(task) {
            if self.exchanges.is_empty() {
                self.idle_since = Instant::now();
            }
        }
    }

    fn poll_accept(&mut self, task: &mut Context<'_>) -> Accept {
        match self.connection.poll_accept(task) {
            Poll::Pending => Accept::Waiting,
            Poll::Ready(Some(Ok((head, body, exchange)))) => {
                self.served = true;
                self.start(Incoming { head, body, upgrade: None, expect_continue: false, keep_alive: true }, exchange);
                Accept::More
            }
            // The connection has flushed and closed, or broke: its exchanges cannot be answered any more.
            Poll::Ready(Some(Err(_)) | None) => Accept::Ended,
        }
    }

    fn start(&mut self, incoming: Incoming, exchange: Http2Exchange) {
        let context = self.context.clone();
        let spare = self.spare.clone();
        let mut watchdog = spare.borrow_mut().pop().unwrap_or_default();
        let mut down = Downstream::Http2(exchange);
        self.exchanges.push(Box::pin(async move {
            if incoming.head.headers.len() > context.limits.max_request_headers as usize {
                let reply = Reply::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reason::RequestHeadTooLarge);
                // Boxed: the usual case should not be large because of it.
                Box::pin(exchange::refuse(&context, &mut down, &mut watchdog, incoming.head, reply)).await;
                return;
            }
            exchange::serve(&context, &mut down, &mut watchdog, incoming).await;
            spare.borrow_mut().push(watchdog);
        }));
    }

    fn deadline(&self) -> Option<Instant> {
        if self.left {
            return self.leave_by;
        }
        let limits = &self.context.limits;
        let idle_bound = if self.served { limits.connection_idle_timeout_ms } else { limits.request_head_timeout_ms };
        if self.exchanges.is_empty() { after(self.idle_since, idle_bound) } else { None }
    }
}

enum Accept {
    More,
    Waiting,
    Ended,
}
