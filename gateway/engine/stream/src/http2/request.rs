//! One request on a connection to a server, and its response.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use sekisho_codec::http2::{Reason, StreamKey};
use sekisho_codec::{BodyKind, Piece, ResponseHead};

use super::client::Handle;
use crate::StreamError;

/// Dropping it before both messages are complete cancels it.
pub struct Http2Request {
    handle: Rc<Handle>,
    key: StreamKey,
    answered: bool,
}

impl Http2Request {
    pub(super) fn new(handle: Rc<Handle>, key: StreamKey) -> Self {
        Self { handle, key, answered: false }
    }

    /// The next response head: informational ones first.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, BodyKind), StreamError>> {
        if self.answered {
            return Poll::Ready(Err(StreamError::protocol("the response has begun already")));
        }
        let response = ready!(self.handle.shared.state().poll_response(self.key, cx))?;
        self.answered = !response.0.status.is_informational();
        Poll::Ready(Ok(response))
    }

    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if !self.answered {
            return Poll::Ready(Some(Err(StreamError::protocol("content was awaited before the response"))));
        }
        self.handle.shared.state().poll_recv(self.key, cx)
    }

    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.handle.shared.state().poll_send_ready(self.key, cx)
    }

    pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
        self.handle.shared.state().queue(self.key, piece)
    }

    pub fn finish(&mut self) {
        self.handle.shared.state().connection.finish(self.key);
    }

    /// Hands over what was sent; ready when all of it is in the connection's hands.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.handle.shared.state().poll_flush(self.key, cx)
    }

    pub fn recv_done(&self) -> bool {
        self.handle.shared.state().connection.is_received(self.key)
    }

    pub fn send_done(&self) -> bool {
        self.handle.shared.state().connection.is_sent(self.key)
    }

    pub fn reset(&mut self, reason: Reason) {
        let mut state = self.handle.shared.state();
        state.connection.reset(self.key, reason);
        state.notify();
    }
}

impl Drop for Http2Request {
    fn drop(&mut self) {
        self.handle.in_flight.set(self.handle.in_flight.get().saturating_sub(1));
        self.handle.shared.state().release(self.key);
    }
}
