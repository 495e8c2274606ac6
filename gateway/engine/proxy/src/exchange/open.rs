//! Sending a request's head on a connection from the pool.

use std::rc::Rc;

use http::header::HeaderValue;
use sekisho_codec::RequestHead;
use sekisho_stream::{BodyKind, Http1, Http2Client, StreamError, StreamErrorKind, Upstream};
use sekisho_tls::Transport;
use sekisho_upstream::{Backend, Connection, Lease, LeaseGuard};

/// A request's head as it is sent.
pub struct OpenRequest<'a> {
    pub head: &'a RequestHead,
    pub body: BodyKind,
    pub upgrade: Option<&'a HeaderValue>,
}

/// An exchange with a backend whose head is queued or sent.
pub struct Opened {
    pub up: Upstream<Transport>,
    pub endpoint: LeaseGuard,
    /// The connection carried requests before this one.
    reused: bool,
    /// The connection of an HTTP/2 stream.
    shared: Option<Http2Client>,
}

impl Opened {
    /// Queues the head on the leased connection.
    pub fn new(lease: Lease, request: &OpenRequest<'_>) -> Result<Opened, StreamError> {
        let Lease { connection, endpoint, reused } = lease;
        let (up, shared) = match connection {
            Connection::Http1(mut connection) => {
                connection.start_request(request.head, request.body, request.upgrade)?;
                (Upstream::Http1(connection), None)
            }
            Connection::Http2(client) => (Upstream::Http2(client.open(request.head, request.body)?), Some(client)),
        };
        Ok(Opened { up, endpoint, reused, shared })
    }

    /// `error` came before the first byte of an answer, from a connection that had served before and is gone: the
    /// backend may well have closed it before the request arrived.
    pub fn is_stale(&self, error: StreamError) -> bool {
        let lost = match &self.shared {
            None => error.kind != StreamErrorKind::Truncated,
            // A stream may also be reset alone, and then the backend has seen it.
            Some(connection) => connection.is_closed(),
        };
        self.reused && lost
    }

    /// Gives a connection that can carry another request back to its pool; any other is closed.
    pub fn release(self, backend: &Rc<Backend>) {
        if let Upstream::Http1(connection) = self.up {
            backend.release(connection, self.endpoint);
        }
    }

    /// The connection itself, after an upgrade.
    pub fn into_http1(self) -> Option<(Box<Http1<Transport>>, LeaseGuard)> {
        match self.up {
            Upstream::Http1(connection) => Some((connection, self.endpoint)),
            Upstream::Http2(_) => None,
        }
    }
}
