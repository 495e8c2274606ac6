//! The client's side: a shared handle on a connection, and the requests on it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http::Method;
use sekisho_codec::{Piece, RequestHead, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite};

use super::receive::Receive;
use super::send::Send;
use super::{Http2Options, MAX_ERROR_RESETS, MAX_UNSEEN_RESETS, convert};
use crate::{BodyKind, StreamError, StreamErrorKind};

/// Begins HTTP/2 on `io`; ready when the server has said how many streams it takes. The future that comes with the handle
/// drives the connection: it has to be polled until it ends.
pub async fn connect<IO>(
    io: IO,
    options: &Http2Options,
) -> Result<(Http2Client, impl Future<Output = ()> + use<IO>), StreamError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        // None until the server has said how many: until then every stream would be a guess.
        .initial_max_send_streams(0)
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_header_list_size(options.max_header_list_size)
        .max_send_buffer_size(options.max_send_buffer)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERROR_RESETS));
    let (sender, mut connection) = builder.handshake(io).await.map_err(|error| StreamError::from_h2(&error))?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(StreamError::new(StreamErrorKind::Closed))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(StreamError::from_h2(&error))),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let shared =
        Rc::new(Shared { sender: RefCell::new(sender), in_flight: Cell::new(0), closed: Rc::new(Cell::new(false)) });
    let closed = Rc::clone(&shared.closed);
    let driver = async move {
        // How it ended is told to each stream, and to whoever tries to open another.
        connection.await.ok();
        closed.set(true);
    };
    Ok((Http2Client { shared }, driver))
}

struct Shared {
    sender: RefCell<SendRequest<Bytes>>,
    in_flight: Cell<u32>,
    /// Apart, because the driver must not keep the handle alive: the last handle's end closes the connection.
    closed: Rc<Cell<bool>>,
}

/// A handle on a connection to a server; the connection closes when the last one and all requests are gone.
#[derive(Clone)]
pub struct Http2Client {
    shared: Rc<Shared>,
}

impl Http2Client {
    /// Ready when a request can be opened, as far as this side knows.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let ready = ready!(self.shared.sender.borrow_mut().poll_ready(cx));
        Poll::Ready(ready.map_err(|error| StreamError::from_h2(&error)))
    }

    /// True while the connection is up and the server takes one more stream.
    pub fn can_open(&self) -> bool {
        if self.is_closed() {
            return false;
        }
        let most = self.shared.sender.borrow().current_max_send_streams();
        (self.in_flight() as usize) < most
            && matches!(self.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    pub fn is_closed(&self) -> bool {
        self.shared.closed.get()
    }

    pub fn in_flight(&self) -> u32 {
        self.shared.in_flight.get()
    }

    /// Sends a request head. `Refused` when the connection does not take it any more.
    pub fn open(&self, head: &RequestHead, kind: BodyKind) -> Result<Http2Request, StreamError> {
        let request = convert::to_request(head, kind)?;
        let ended = kind.is_empty();
        let (response, stream) = self
            .shared
            .sender
            .borrow_mut()
            .send_request(request, ended)
            .map_err(|_| StreamError::new(StreamErrorKind::Refused))?;
        self.shared.in_flight.set(self.in_flight() + 1);
        Ok(Http2Request {
            response,
            send: Send::new(stream, ended, false),
            receive: None,
            head_request: head.method == Method::HEAD,
            shared: Rc::clone(&self.shared),
        })
    }
}

/// One request on a connection to a server, and its response. Dropping it before both are complete cancels it.
pub struct Http2Request {
    response: ResponseFuture,
    send: Send,
    receive: Option<Receive>,
    head_request: bool,
    shared: Rc<Shared>,
}

impl Http2Request {
    /// The next response head: informational ones first.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, BodyKind), StreamError>> {
        if self.receive.is_some() {
            return Poll::Ready(Err(StreamError::protocol("the response has begun already")));
        }
        let interim = match ready!(self.response.poll_informational(cx)) {
            Some(interim) => Some(interim.map_err(|error| StreamError::from_h2(&error))?),
            None => None,
        };
        if let Some(interim) = interim {
            return Poll::Ready(Ok(convert::response(interim.into_parts().0, self.head_request, false)?));
        }
        let response = ready!(std::pin::Pin::new(&mut self.response).poll(cx));
        let (parts, body) = response.map_err(|error| StreamError::from_h2(&error))?.into_parts();
        let received = convert::response(parts, self.head_request, body.is_end_stream());
        self.receive = Some(Receive::new(body));
        Poll::Ready(Ok(received?))
    }

    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        let Some(receive) = &mut self.receive else {
            return Poll::Ready(Some(Err(StreamError::protocol("content was awaited before the response"))));
        };
        match ready!(receive.poll(cx)) {
            Some(outcome) => Poll::Ready(Some(outcome.map_err(|error| StreamError::from_h2(&error)))),
            None => Poll::Ready(None),
        }
    }

    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.send.poll_ready(cx)
    }

    pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
        self.send.queue(piece)
    }

    pub fn finish(&mut self) {
        self.send.finish();
    }

    /// Hands over what was sent; ready when all of it is in the connection's hands.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.send.poll_hand_over(cx)
    }

    pub fn recv_done(&self) -> bool {
        self.receive.as_ref().is_some_and(Receive::is_done)
    }

    pub fn send_done(&self) -> bool {
        self.send.is_ended()
    }

    pub fn reset(&mut self, reason: Reason) {
        self.send.reset(reason);
    }
}

impl Drop for Http2Request {
    fn drop(&mut self) {
        self.shared.in_flight.set(self.shared.in_flight.get().saturating_sub(1));
    }
}
