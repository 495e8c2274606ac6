//! The server's side: a connection that yields exchanges.

use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::StatusCode;
use sekisho_codec::http2::{Connection, Role};
use sekisho_codec::{BodyKind, RequestHead, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::{Driver, Moved};
use super::link::Link;
use super::shared::Shared;
use super::{Http2Exchange, Http2Options};
use crate::{StreamError, StreamErrorKind};

/// One connection of a client. It has to be polled for its exchanges to move.
pub struct Http2Server<IO: AsyncRead + AsyncWrite + Unpin> {
    driver: Driver<IO>,
    shared: Shared,
    ended: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Http2Server<IO> {
    pub fn new(io: IO, scheme: Scheme, options: &Http2Options) -> Self {
        Self::with_buffered(io, BytesMut::new(), scheme, options)
    }

    /// A connection of which `buffered` was read before.
    pub fn with_buffered(io: IO, buffered: BytesMut, scheme: Scheme, options: &Http2Options) -> Self {
        let shared = Shared::new(Connection::new(Role::Server(scheme), options.limits()));
        Self { driver: Driver::new(Link::new(io, buffered), shared.clone()), shared, ended: false }
    }

    /// The task that polls this and its exchanges begins a turn, at the end of which it calls [`Self::poll_accept`]: until
    /// then the exchanges need not wake it. Leaving this out costs wake-ups.
    pub fn begin_turn(&self) {
        self.shared.state().begin_turn();
    }

    /// The next request; `None` when the connection has ended. Requests whose head is refused are answered here.
    #[allow(clippy::type_complexity)]
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(RequestHead, BodyKind, Http2Exchange), StreamError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            let accepted = self.shared.state().connection.pop_accepted();
            if let Some(accepted) = accepted {
                let exchange = Http2Exchange::new(self.shared.clone(), accepted.stream, accepted.expect_continue);
                return Poll::Ready(Some(Ok((accepted.head, accepted.kind, exchange))));
            }
            let moved = ready!(self.driver.poll(cx));
            if moved != Moved::Received {
                return Poll::Ready(self.end(moved));
            }
        }
    }

    fn end(&mut self, moved: Moved) -> Option<Result<(RequestHead, BodyKind, Http2Exchange), StreamError>> {
        self.ended = true;
        let mut state = self.shared.state();
        let error = state.connection.error();
        let in_order = moved == Moved::Finished || (state.connection.is_greeted() && !state.connection.has_streams());
        state.lose();
        match error {
            Some(error) => Some(Err(StreamError::protocol(error.text))),
            None if in_order => None,
            None => Some(Err(StreamError::new(StreamErrorKind::Closed))),
        }
    }

    /// Lets the requests that are under way complete, and takes no new ones.
    pub fn graceful_shutdown(&mut self) {
        let mut state = self.shared.state();
        state.connection.shut_down();
        state.notify();
    }

    /// The status of a request that was answered here because its head was refused.
    pub fn take_refused(&mut self) -> Option<StatusCode> {
        self.shared.state().connection.pop_refused()
    }
}
