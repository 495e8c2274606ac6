//! HTTP/2 on the wire (RFC 9113), sans I/O, in both roles.
//!
//! [`Connection`] is fed with bytes and gives bytes: it keeps the streams, flow control, header compression and every
//! bound on what a peer may make us do. Who waits for what, sockets and clocks are somebody else's.

mod budget;
mod connection;
mod content;
mod frame;
pub mod hpack;
mod outgoing;
mod reason;
mod request;
mod response;
mod settings;
mod stream;
mod streams;
mod window;
mod write;

pub use connection::{Accepted, Connection, Handed, Limits, Role, Taken};
pub use outgoing::Outgoing;
pub use reason::Reason;
pub use stream::{Failure, StreamKey};

/// The connection cannot go on (RFC 9113, 5.4.1). The texts are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    pub reason: Reason,
    pub text: &'static str,
}

impl ConnectionError {
    const fn new(reason: Reason, text: &'static str) -> Self {
        Self { reason, text }
    }

    const fn protocol(text: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, text)
    }
}

/// What a frame broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Connection(ConnectionError),
    /// One stream alone (RFC 9113, 5.4.2).
    Stream(u32, Reason, &'static str),
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}
