//! One request on a connection of a client, and its response.

use std::task::{Context, Poll};

use http::StatusCode;
use sekisho_codec::http2::{Reason, StreamKey};
use sekisho_codec::{BodyKind, Headers, Piece, ResponseHead};

use super::shared::Shared;
use crate::StreamError;

/// Dropping it before both messages are complete cancels it.
pub struct Http2Exchange {
    shared: Shared,
    key: StreamKey,
    responded: bool,
    continue_owed: bool,
}

impl Http2Exchange {
    pub(super) fn new(shared: Shared, key: StreamKey, continue_owed: bool) -> Self {
        Self { shared, key, responded: false, continue_owed }
    }

    pub fn start_response(&mut self, head: &ResponseHead, kind: BodyKind) -> Result<(), StreamError> {
        if self.responded {
            return Err(StreamError::protocol("the response has begun already"));
        }
        self.continue_owed = false;
        let mut state = self.shared.state();
        state.prepare();
        state.connection.respond(self.key, head, kind).map_err(StreamError::from_failure)?;
        self.responded = true;
        state.notify();
        Ok(())
    }

    /// Sends an informational response (100 or 103).
    pub fn send_informational(&mut self, head: &ResponseHead) {
        if head.status == StatusCode::CONTINUE {
            self.continue_owed = false;
        }
        if !self.responded {
            let mut state = self.shared.state();
            state.prepare();
            // A client that is gone is noticed by the calls that follow.
            state.connection.inform(self.key, head);
            state.notify();
        }
    }

    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if self.continue_owed {
            self.send_informational(&ResponseHead { status: StatusCode::CONTINUE, headers: Headers::default() });
        }
        self.shared.state().poll_recv(self.key, cx)
    }

    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.shared.state().poll_send_ready(self.key, cx)
    }

    pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
        if !self.responded {
            return Err(StreamError::protocol("content was sent before the response"));
        }
        self.shared.state().queue(self.key, piece)
    }

    pub fn finish(&mut self) {
        if self.responded {
            self.shared.state().connection.finish(self.key);
        }
    }

    /// Hands over what was sent; ready when all of it is in the connection's hands.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if !self.responded {
            return Poll::Ready(Ok(()));
        }
        self.shared.state().poll_flush(self.key, cx)
    }

    pub fn recv_done(&self) -> bool {
        self.shared.state().connection.is_received(self.key)
    }

    pub fn send_done(&self) -> bool {
        self.responded && self.shared.state().connection.is_sent(self.key)
    }

    pub fn reset(&mut self, reason: Reason) {
        let mut state = self.shared.state();
        state.connection.reset(self.key, reason);
        state.notify();
    }

    /// Ready when the client cancelled the request, or is gone.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.state().poll_failure(self.key, cx).map(|_| ())
    }
}

impl Drop for Http2Exchange {
    fn drop(&mut self) {
        self.shared.state().release(self.key);
    }
}
