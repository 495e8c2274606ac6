//! One set of calls for whichever version a peer speaks.

use std::task::{Context, Poll, ready};

use http::header::HeaderValue;
use http::{Method, Version};
use sekisho_codec::http1::HeadLimits;
use sekisho_codec::{Piece, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{BodyKind, Http1, Http2Exchange, Http2Request, Reason, StreamError};

/// What decides how a response is framed in HTTP/1; HTTP/2 needs none of it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseOptions<'a> {
    pub method: &'a Method,
    pub version: Version,
    pub keep_alive: bool,
    pub upgrade: Option<&'a HeaderValue>,
}

/// A response head, whichever version brought it.
#[derive(Clone, Debug)]
pub struct ReceivedResponse {
    pub head: ResponseHead,
    pub kind: BodyKind,
    /// The protocol that a 101 switches to.
    pub upgrade: Option<HeaderValue>,
}

/// The client's side of an exchange.
#[allow(clippy::large_enum_variant)]
pub enum Downstream<IO> {
    Http1(Http1<IO>),
    Http2(Http2Exchange),
}

/// The server's side of an exchange.
#[allow(clippy::large_enum_variant)]
pub enum Upstream<IO> {
    /// Boxed: it moves between a pool and its exchanges.
    Http1(Box<Http1<IO>>),
    Http2(Http2Request),
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Http1($stream) => $call,
            Self::Http2($stream) => $call,
        }
    };
}

macro_rules! content {
    () => {
        /// The next piece of the content that the peer sends; `None` when it is complete.
        #[inline]
        pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
            each!(self, stream => stream.poll_recv(cx))
        }

        /// Ready when more may be sent without too much waiting.
        #[inline]
        pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
            each!(self, stream => stream.poll_send_ready(cx))
        }

        #[inline]
        pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
            each!(self, stream => stream.send(piece))
        }

        #[inline]
        pub fn finish(&mut self) {
            each!(self, stream => stream.finish());
        }

        /// Sends what was queued. Nothing is certain to leave before this is ready.
        #[inline]
        pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
            each!(self, stream => stream.poll_flush(cx))
        }

        #[inline]
        pub fn recv_done(&self) -> bool {
            each!(self, stream => stream.recv_done())
        }

        #[inline]
        pub fn send_done(&self) -> bool {
            each!(self, stream => stream.send_done())
        }

        /// Cancels a stream of HTTP/2; a connection of HTTP/1 is cancelled by dropping it.
        #[inline]
        pub fn reset(&mut self, reason: Reason) {
            match self {
                Self::Http1(_) => {}
                Self::Http2(stream) => stream.reset(reason),
            }
        }
    };
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Downstream<IO> {
    content!();

    pub fn start_response(
        &mut self,
        head: &ResponseHead,
        kind: BodyKind,
        options: &ResponseOptions<'_>,
    ) -> Result<(), StreamError> {
        match self {
            Self::Http1(stream) => stream.start_response(head, kind, options),
            Self::Http2(stream) => stream.start_response(head, kind),
        }
    }

    pub fn send_informational(&mut self, head: &ResponseHead) {
        each!(self, stream => stream.send_informational(head));
    }

    /// Ready when the client gave the exchange up.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(stream) => stream.poll_closed(cx),
            Self::Http2(stream) => stream.poll_reset(cx),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Upstream<IO> {
    content!();

    /// The next response head: informational ones first.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limits: &HeadLimits,
    ) -> Poll<Result<ReceivedResponse, StreamError>> {
        Poll::Ready(Ok(match self {
            Self::Http1(stream) => {
                let response = ready!(stream.poll_response(cx, method, limits))?;
                let kind = BodyKind::from(response.framing);
                ReceivedResponse { head: response.head, kind, upgrade: response.upgrade }
            }
            Self::Http2(stream) => {
                let (head, kind) = ready!(stream.poll_response(cx))?;
                ReceivedResponse { head, kind, upgrade: None }
            }
        }))
    }
}
