//! One HTTP/1 connection, in either role (RFC 9112, 9).
//!
//! The server's calls are `poll_request`, then the content and the response in any interleaving; the client's are
//! `start_request`, then the content and `poll_response`. Writing only queues: `poll_flush` sends, and `poll_send_ready`
//! holds a sender back while too much waits.

mod content;
mod exchange;
mod forward;
mod input;
mod output;

use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::Version;
use sekisho_codec::http1::{BodyDecoder, BodyEncoder, Framing, HeadReader};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{StreamError, StreamErrorKind};
use input::{BOUND, Input};
use output::Output;

/// What a client speaks on a connection that did not say so before (RFC 9113, 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    Http1,
    Http2,
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Http1<IO> {
    io: IO,
    input: Input,
    output: Output,
    reader: HeadReader,
    decoder: BodyDecoder,
    encoder: BodyEncoder,
    /// Content is dropped instead of sent: the head alone answers.
    discard: bool,
    received: bool,
    sent: bool,
    keep_alive: bool,
    response_started: bool,
    continue_owed: bool,
    continue_unflushed: bool,
    peer_version: Version,
    receive_failure: Option<StreamError>,
    send_failure: Option<StreamError>,
}

impl<IO> Http1<IO> {
    pub fn new(io: IO) -> Self {
        Self::with_buffered(io, BytesMut::new())
    }

    /// A connection of which `buffered` was read before.
    pub fn with_buffered(io: IO, buffered: BytesMut) -> Self {
        Self {
            io,
            input: Input::new(buffered),
            output: Output::default(),
            reader: HeadReader::new(),
            decoder: BodyDecoder::new(Framing::None),
            encoder: BodyEncoder::new(Framing::None),
            discard: false,
            received: true,
            sent: true,
            keep_alive: true,
            response_started: false,
            continue_owed: false,
            continue_unflushed: false,
            peer_version: Version::HTTP_11,
            receive_failure: None,
            send_failure: None,
        }
    }

    pub fn io(&self) -> &IO {
        &self.io
    }

    /// The transport, and what was read from it and not consumed.
    pub fn into_parts(self) -> (IO, BytesMut) {
        (self.io, self.input.buffer)
    }

    pub fn bytes_received(&self) -> u64 {
        self.input.received
    }

    pub fn bytes_sent(&self) -> u64 {
        self.output.sent
    }

    /// True when the message that was received last is complete.
    pub fn recv_done(&self) -> bool {
        self.received
    }

    /// True when the message that was sent last is complete; it may still wait to be flushed.
    pub fn send_done(&self) -> bool {
        self.sent
    }

    /// True when another exchange may follow on this connection. A server may have pipelined requests waiting.
    pub fn is_persistent(&self) -> bool {
        self.received && self.sent && self.keep_alive
    }

    /// True when a client may send its next request here: persistent, everything flushed, nothing left over.
    pub fn is_reusable(&self) -> bool {
        self.is_persistent() && !self.input.eof && self.input.buffer.is_empty() && self.output.is_flushed()
    }

    /// Receiving ends here; an answer can still be sent.
    fn receive_failed(&mut self, error: StreamError) -> StreamError {
        self.keep_alive = false;
        self.receive_failure.get_or_insert(error);
        error
    }

    fn send_failed(&mut self, error: StreamError) -> StreamError {
        self.keep_alive = false;
        self.send_failure.get_or_insert(error);
        error
    }

    fn check_receiving(&self) -> Result<(), StreamError> {
        self.receive_failure.map_or(Ok(()), Err)
    }

    fn check_sending(&self) -> Result<(), StreamError> {
        self.send_failure.map_or(Ok(()), Err)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Http1<IO> {
    /// Looks at the first bytes of a connection, without consuming them: HTTP/2 by prior knowledge, or HTTP/1.
    pub fn poll_preface(&mut self, cx: &mut Context<'_>) -> Poll<Result<Preface, StreamError>> {
        loop {
            let seen = &self.input.buffer[..self.input.buffer.len().min(HTTP2_PREFACE.len())];
            if !HTTP2_PREFACE.starts_with(seen) {
                return Poll::Ready(Ok(Preface::Http1));
            }
            if seen.len() == HTTP2_PREFACE.len() {
                return Poll::Ready(Ok(Preface::Http2));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let kind =
                    if self.input.buffer.is_empty() { StreamErrorKind::Closed } else { StreamErrorKind::Truncated };
                return Poll::Ready(Err(self.receive_failed(StreamError::new(kind))));
            }
        }
    }

    /// Ready when more may be sent without too much waiting to be written.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.check_sending()?;
        if self.output.len() < output::HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        let outcome = ready!(self.output.poll_drain(&mut self.io, cx, output::HIGH_WATER - 1));
        Poll::Ready(outcome.map_err(|error| self.send_failed(StreamError::from_io(&error))))
    }

    /// Sends everything that was queued.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.check_sending()?;
        let outcome = ready!(self.output.poll_flush(&mut self.io, cx));
        Poll::Ready(outcome.map_err(|error| self.send_failed(StreamError::from_io(&error))))
    }

    /// For a pooled connection: ready when it cannot be used again, because the peer closed it or sent something unasked.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_reusable() {
            return Poll::Ready(());
        }
        let mut byte = [0u8; 1];
        let mut probe = tokio::io::ReadBuf::new(&mut byte);
        ready!(std::pin::Pin::new(&mut self.io).poll_read(cx, &mut probe)).ok();
        self.input.eof = true;
        self.keep_alive = false;
        Poll::Ready(())
    }

    /// While a request is worked on: ready when its client closed the connection, or its sending side of it. What the
    /// client sends meanwhile is kept, up to a bound.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.input.eof || self.receive_failure.is_some() || self.send_failure.is_some() {
                return Poll::Ready(());
            }
            if self.input.buffer.len() >= BOUND {
                return Poll::Pending;
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        if self.input.eof {
            return Poll::Ready(Ok(0));
        }
        let expected = self.decoder.remaining_hint();
        let outcome = ready!(self.input.poll_fill(&mut self.io, cx, expected));
        Poll::Ready(outcome.map_err(|error| self.receive_failed(StreamError::from_io(&error))))
    }
}
