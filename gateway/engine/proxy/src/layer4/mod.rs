//! Connections that are carried as they are: TCP, TLS (passed through or ended here) and UDP.
//!
//! Owns which rule and backend a connection gets, its tunnel or session, and what is told of it at its end.
//! Nothing here looks at what is carried, save for the server name that TLS tells in clear.

mod binding;
mod choice;
mod counters;
mod explain;
mod outside;
mod record;
mod session;
mod tcp;
mod udp;

pub use binding::DatagramSockets;
pub use counters::{ConnectionKey, ConnectionLine, ConnectionSeries};
pub use explain::explain;
pub use tcp::{Arrived, Place, carry, going_on, reason_of, refuse};
pub use udp::serve as serve_datagrams;
