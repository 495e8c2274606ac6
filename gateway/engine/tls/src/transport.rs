//! One connection's bytes, whether TLS carries them or not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use crate::identity::PeerIdentity;

/// A closed set rather than a trait object: the plain case costs one branch.
pub enum Transport {
    Tcp(TcpStream),
    Server(Box<server::TlsStream<TcpStream>>),
    Client(Box<client::TlsStream<TcpStream>>),
    /// Carried in a stream of another connection.
    Carried(Box<dyn Carried>),
}

/// Bytes both ways that are no socket of their own.
pub trait Carried: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Carried for T {}

impl Transport {
    /// The socket, where the bytes have one of their own.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Server(stream) => Some(stream.get_ref().0),
            Self::Client(stream) => Some(stream.get_ref().0),
            Self::Carried(_) => None,
        }
    }

    /// Whether nothing has arrived and the other side has not closed; `None` where only reading can tell.
    #[inline]
    pub fn is_quiet(&self) -> Option<bool> {
        match self {
            Self::Tcp(stream) => {
                let nothing = stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                Some(nothing)
            }
            Self::Server(_) | Self::Client(_) | Self::Carried(_) => None,
        }
    }

    /// The verified certificate of the other side, where it presented one.
    pub fn peer_identity(&self) -> Option<PeerIdentity> {
        match self {
            Self::Tcp(_) | Self::Carried(_) => None,
            Self::Server(stream) => PeerIdentity::from_chain(stream.get_ref().1.peer_certificates()),
            Self::Client(stream) => PeerIdentity::from_chain(stream.get_ref().1.peer_certificates()),
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Tcp(_) => "tcp",
            Self::Server(_) => "tls server",
            Self::Client(_) => "tls client",
            Self::Carried(_) => "carried",
        };
        let peer = self.tcp().and_then(|stream| stream.peer_addr().ok());
        f.debug_struct("Transport").field("kind", &kind).field("peer", &peer).finish()
    }
}

/// Calls the same method on whichever stream is inside.
macro_rules! dispatch {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Server($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
            Transport::Client($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
            Transport::Carried($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        dispatch!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        dispatch!(self, stream => stream.poll_write(cx, data))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        dispatch!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Server(stream) => stream.is_write_vectored(),
            Self::Client(stream) => stream.is_write_vectored(),
            Self::Carried(stream) => stream.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        dispatch!(self, stream => stream.poll_flush(cx))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        dispatch!(self, stream => stream.poll_shutdown(cx))
    }
}
