//! Sending a request's head on a connection from the pool.

use std::rc::Rc;

use http::header::HeaderValue;
use sekisho_codec::RequestHead;
use sekisho_stream::{BodyKind, Http1, StreamError, Upstream};
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
    pub reused: bool,
}

impl Opened {
    /// Queues the head on the leased connection.
    pub fn new(lease: Lease, request: &OpenRequest<'_>) -> Result<Opened, StreamError> {
        let Lease { connection, endpoint, reused } = lease;
        let up = match connection {
            Connection::Http1(mut connection) => {
                connection.start_request(request.head, request.body, request.upgrade)?;
                Upstream::Http1(connection)
            }
            Connection::Http2(client) => Upstream::Http2(client.open(request.head, request.body)?),
        };
        Ok(Opened { up, endpoint, reused })
    }

    /// Gives a connection that can carry another request back to its pool; any other is closed.
    pub fn release(self, backend: &Rc<Backend>) {
        if let Upstream::Http1(connection) = self.up {
            backend.release(connection, self.endpoint);
        }
    }

    /// The connection itself, after an upgrade.
    pub fn into_http1(self) -> Option<(Http1<Transport>, LeaseGuard)> {
        match self.up {
            Upstream::Http1(connection) => Some((connection, self.endpoint)),
            Upstream::Http2(_) => None,
        }
    }
}
