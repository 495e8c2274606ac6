//! The server's side: a connection that yields exchanges.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::server::{Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode};
use sekisho_codec::http1::HeadError;
use sekisho_codec::{Headers, Piece, RequestHead, ResponseHead, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};

use super::receive::{Receive, classify};
use super::resets::Resets;
use super::send::Send;
use super::{Http2Options, MAX_ERROR_RESETS, MAX_UNSEEN_RESETS, convert};
use crate::prefixed::Prefixed;
use crate::{BodyKind, StreamError, StreamErrorKind};

enum State<IO: AsyncRead + AsyncWrite + Unpin> {
    Handshaking(Pin<Box<Handshake<Prefixed<IO>, Bytes>>>),
    Open(Box<Connection<Prefixed<IO>, Bytes>>),
    Closed,
}

/// One connection of a client. It has to be polled for its exchanges to move.
pub struct Http2Server<IO: AsyncRead + AsyncWrite + Unpin> {
    state: State<IO>,
    scheme: Scheme,
    resets: Rc<Resets>,
    closing: bool,
    calmed: bool,
    refused: u64,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Http2Server<IO> {
    pub fn new(io: IO, scheme: Scheme, options: &Http2Options) -> Self {
        Self::with_buffered(io, BytesMut::new(), scheme, options)
    }

    /// A connection of which `buffered` was read before.
    pub fn with_buffered(io: IO, buffered: BytesMut, scheme: Scheme, options: &Http2Options) -> Self {
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(options.max_concurrent_streams)
            .initial_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .max_header_list_size(options.max_header_list_size)
            .max_send_buffer_size(options.max_send_buffer)
            .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
            .max_local_error_reset_streams(Some(MAX_ERROR_RESETS));
        let handshake = builder.handshake(Prefixed::new(io, buffered));
        Self {
            state: State::Handshaking(Box::pin(handshake)),
            scheme,
            resets: Rc::new(Resets::new(options.max_resets_per_connection)),
            closing: false,
            calmed: false,
            refused: 0,
        }
    }

    /// The next request; `None` when the connection has ended. Requests whose head is refused are answered here.
    #[allow(clippy::type_complexity)]
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(RequestHead, BodyKind, Http2Exchange), StreamError>>> {
        loop {
            let connection = match &mut self.state {
                State::Open(connection) => connection,
                State::Closed => return Poll::Ready(None),
                State::Handshaking(handshake) => match ready!(handshake.as_mut().poll(cx)) {
                    Ok(mut connection) => {
                        if self.closing {
                            connection.graceful_shutdown();
                        }
                        self.state = State::Open(Box::new(connection));
                        continue;
                    }
                    Err(error) => return Poll::Ready(Some(Err(self.close(&error)))),
                },
            };
            self.resets.watch(cx);
            if self.resets.exceeded() && !self.calmed {
                self.calmed = true;
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            match ready!(connection.poll_accept(cx)) {
                Some(Ok((request, respond))) => {
                    if let Some(accepted) = self.open(request, respond) {
                        return Poll::Ready(Some(Ok(accepted)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.close(&error)))),
                None => {
                    self.state = State::Closed;
                    if self.calmed {
                        return Poll::Ready(Some(Err(StreamError::protocol("the client cancels too many streams"))));
                    }
                }
            }
        }
    }

    /// Lets the requests that are under way complete, and takes no new ones.
    pub fn graceful_shutdown(&mut self) {
        if let (State::Open(connection), false) = (&mut self.state, self.closing) {
            connection.graceful_shutdown();
        }
        self.closing = true;
    }

    /// How many requests were answered here because their head was refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn close(&mut self, error: &h2::Error) -> StreamError {
        self.state = State::Closed;
        match error.get_io().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::UnexpectedEof) => StreamError::new(StreamErrorKind::Closed),
            _ => StreamError::from_h2(error),
        }
    }

    fn open(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Option<(RequestHead, BodyKind, Http2Exchange)> {
        let (parts, body) = request.into_parts();
        let ended = body.is_end_stream();
        let read = convert::request(parts, self.scheme)
            .and_then(|mut head| convert::take_body_kind(&mut head.headers, ended).map(|kind| (head, kind)));
        match read {
            Ok((mut head, kind)) => {
                let continue_owed = convert::take_expect_continue(&mut head.headers) && !kind.is_empty();
                let exchange = Http2Exchange {
                    respond,
                    send: None,
                    receive: Receive::new(body),
                    head_request: head.method == Method::HEAD,
                    continue_owed,
                    resets: Rc::clone(&self.resets),
                    reset_counted: false,
                };
                Some((head, kind, exchange))
            }
            Err(error) => {
                self.refused += 1;
                refuse(&mut respond, error);
                None
            }
        }
    }
}

/// Failing here means that the client is gone, and then there is nobody to answer.
fn refuse(respond: &mut SendResponse<Bytes>, error: HeadError) {
    let head = ResponseHead { status: error.status(), headers: Headers::default() };
    respond.send_response(convert::to_response(&head, BodyKind::Empty, false), true).ok();
}

/// One request on a connection of a client, and its response.
pub struct Http2Exchange {
    respond: SendResponse<Bytes>,
    send: Option<Send>,
    receive: Receive,
    head_request: bool,
    continue_owed: bool,
    resets: Rc<Resets>,
    reset_counted: bool,
}

impl Http2Exchange {
    pub fn start_response(&mut self, head: &ResponseHead, kind: BodyKind) -> Result<(), StreamError> {
        self.continue_owed = false;
        let status = head.status;
        let bodiless = self.head_request || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let ended = bodiless || kind.is_empty();
        let metadata = self.head_request || status == StatusCode::NOT_MODIFIED;
        let response = convert::to_response(head, kind, metadata);
        match self.respond.send_response(response, ended) {
            Ok(stream) => {
                self.send = Some(Send::new(stream, ended, bodiless));
                Ok(())
            }
            Err(error) => Err(self.noted(&error)),
        }
    }

    /// Sends an informational response (100 or 103).
    pub fn send_informational(&mut self, head: &ResponseHead) {
        if head.status == StatusCode::CONTINUE {
            self.continue_owed = false;
        }
        if self.send.is_none() {
            // A client that is gone is noticed by the calls that follow.
            self.respond.send_informational(convert::to_response(head, BodyKind::Empty, false)).ok();
        }
    }

    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if self.continue_owed {
            self.send_informational(&ResponseHead { status: StatusCode::CONTINUE, headers: Headers::default() });
        }
        match ready!(self.receive.poll(cx)) {
            Some(Err(error)) => Poll::Ready(Some(Err(self.noted(&error)))),
            Some(Ok(piece)) => Poll::Ready(Some(Ok(piece))),
            None => Poll::Ready(None),
        }
    }

    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &mut self.send {
            Some(send) => send.poll_ready(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
        match &mut self.send {
            Some(send) => send.queue(piece),
            None => Err(StreamError::protocol("content was sent before the response")),
        }
    }

    pub fn finish(&mut self) {
        if let Some(send) = &mut self.send {
            send.finish();
        }
    }

    /// Hands over what was sent; ready when all of it is in the connection's hands.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &mut self.send {
            Some(send) => send.poll_hand_over(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    pub fn recv_done(&self) -> bool {
        self.receive.is_done()
    }

    pub fn send_done(&self) -> bool {
        self.send.as_ref().is_some_and(Send::is_ended)
    }

    pub fn reset(&mut self, reason: Reason) {
        // What comes to light later is our doing, not the client's.
        self.reset_counted = true;
        match &mut self.send {
            Some(send) => send.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Ready when the client cancelled the request, or is gone.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx).map(|outcome| outcome.is_ok()),
        };
        let by_client = ready!(reset);
        if by_client {
            self.count_reset();
        }
        Poll::Ready(())
    }

    fn noted(&mut self, error: &h2::Error) -> StreamError {
        let (error, cancelled) = classify(error);
        if cancelled {
            self.count_reset();
        }
        error
    }

    fn count_reset(&mut self) {
        if !std::mem::replace(&mut self.reset_counted, true) {
            self.resets.count();
        }
    }
}

impl Drop for Http2Exchange {
    fn drop(&mut self) {
        let complete = self.recv_done() && self.send_done();
        if !complete && !self.reset_counted {
            // A cancelled request counts even when nobody looked.
            let _ = self.poll_reset(&mut Context::from_waker(Waker::noop()));
        }
    }
}
