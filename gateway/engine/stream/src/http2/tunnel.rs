//! A stream of HTTP/2 as bytes both ways, after a CONNECT request was answered with success (RFC 9113, 8.5).
//!
//! Back-pressure is the stream's: what is not read here is not asked for from the peer, and a write waits while the windows
//! are closed. The stream's end is the end of what the peer sends; dropping a tunnel before both ends cancels it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::StatusCode;
use sekisho_codec::{BodyKind, Headers, Piece, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Http2Exchange, Http2Request};
use crate::{StreamError, StreamErrorKind};

/// Most that is taken in by one write.
const MOST: usize = 32 * 1024;

/// Bytes both ways over one stream, on either side. Read and written by one task.
pub struct Http2Tunnel {
    stream: Side,
    unread: Bytes,
    ended: bool,
}

enum Side {
    Server(Http2Exchange),
    Client(Http2Request),
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self {
            Side::Server($stream) => $call,
            Side::Client($stream) => $call,
        }
    };
}

impl Http2Exchange {
    /// Answers a CONNECT request with 200 and these headers: what follows is the tunnel's.
    pub fn into_tunnel(mut self, headers: Headers) -> Result<Http2Tunnel, StreamError> {
        self.start_response(&ResponseHead { status: StatusCode::OK, headers }, BodyKind::Unknown)?;
        Ok(Http2Tunnel { stream: Side::Server(self), unread: Bytes::new(), ended: false })
    }
}

impl Http2Request {
    /// After a CONNECT request was answered with success.
    pub fn into_tunnel(self) -> Http2Tunnel {
        Http2Tunnel { stream: Side::Client(self), unread: Bytes::new(), ended: false }
    }
}

impl AsyncRead for Http2Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() && !this.ended {
            match ready!(each!(this.stream, stream => stream.poll_recv(cx))) {
                Some(Ok(Piece::Data(data))) => this.unread = data,
                // A tunnel has no use for trailers; its end follows them.
                Some(Ok(Piece::Trailers(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => this.ended = true,
            }
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(each!(this.stream, stream => stream.poll_send_ready(cx))).map_err(broken)?;
        let count = data.len().min(MOST);
        let piece = Piece::Data(Bytes::copy_from_slice(&data[..count]));
        each!(this.stream, stream => stream.send(piece)).map_err(broken)?;
        // As far as the windows allow; what is left is handed over when the next write or flush asks for room.
        match each!(this.stream, stream => stream.poll_flush(cx)) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(broken(error))),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut().stream, stream => stream.poll_flush(cx)).map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().stream;
        each!(*stream, stream => stream.finish());
        each!(*stream, stream => stream.poll_flush(cx)).map_err(broken)
    }
}

fn broken(error: StreamError) -> io::Error {
    let kind = match error.kind {
        StreamErrorKind::Io(kind) => kind,
        StreamErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, error)
}

impl std::fmt::Debug for Http2Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = match &self.stream {
            Side::Server(_) => "server",
            Side::Client(_) => "client",
        };
        f.debug_struct("Http2Tunnel").field("side", &side).field("ended", &self.ended).finish_non_exhaustive()
    }
}
