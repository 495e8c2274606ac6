//! hyper, fed from memory and polled by hand: what it reads from the same bytes.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;

use super::Message;

/// Enough for anything that can happen without waiting for somebody else.
const TURNS: usize = 64;

/// Bytes that arrive at once; after them a server closes, and a client waits.
struct Wire {
    input: Vec<u8>,
    read: usize,
    /// A client must not get an answer before it has asked.
    answer_to: Option<usize>,
    written: usize,
}

impl Read for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.answer_to.is_some_and(|bytes| this.written < bytes) {
            return Poll::Pending;
        }
        let count = (this.input.len() - this.read).min(buffer.remaining());
        if count == 0 && this.answer_to.is_none() {
            return Poll::Pending;
        }
        buffer.put_slice(&this.input[this.read..this.read + count]);
        this.read += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().written += data.len();
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn message(start: String, headers: http::HeaderMap, body: Incoming) -> Option<Message> {
    let collected = body.collect().await.ok()?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let list = |map: &http::HeaderMap| {
        map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect::<Vec<_>>()
    };
    let trailers = list(&trailers);
    Some(Message { start, headers: list(&headers), content: collected.to_bytes().to_vec(), trailers })
}

/// The first request that a server reads; `None` when it refuses it.
pub fn request(wire: &[u8]) -> Option<Message> {
    let seen = Rc::new(RefCell::new(None));
    let first = Rc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let first = Rc::clone(&first);
        async move {
            let (parts, body) = request.into_parts();
            let target = parts.uri.to_string();
            let read = message(format!("{} {target} {:?}", parts.method, parts.version), parts.headers, body).await;
            let mut first = first.borrow_mut();
            if first.is_none() {
                *first = Some(read);
            }
            Ok::<_, io::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let io = Wire { input: wire.to_vec(), read: 0, answer_to: None, written: 0 };
    let mut connection = pin!(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..TURNS {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    seen.take().flatten()
}

/// The response that a client reads to a `method` request; `None` when it refuses it.
pub fn response(wire: &[u8], method: &Method) -> Option<Message> {
    let io = Wire { input: wire.to_vec(), read: 0, answer_to: Some(1), written: 0 };
    let mut cx = Context::from_waker(Waker::noop());
    let handshake = pin!(hyper::client::conn::http1::handshake(io));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.poll(&mut cx) else {
        return None;
    };
    let mut connection = pin!(connection);
    let request = Request::builder().method(method.clone()).uri("/").header("host", "a").body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.ok()?);
    let mut reading = pin!(async {
        let (parts, body) = answer.await.ok()?.into_parts();
        message(format!("{} {:?}", parts.status.as_u16(), parts.version), parts.headers, body).await
    });
    let mut ended = false;
    for _ in 0..TURNS {
        ended = ended || connection.as_mut().poll(&mut cx).is_ready();
        if let Poll::Ready(read) = reading.as_mut().poll(&mut cx) {
            return read;
        }
    }
    None
}
