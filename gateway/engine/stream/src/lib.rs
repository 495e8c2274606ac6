//! Messages over a byte stream: thin, poll-based I/O over the HTTP/1 codec and the `h2` crate.
//!
//! Owns buffers, back-pressure and the mapping between HTTP/2 messages and ours. It decides nothing about requests, keeps
//! no timers and starts no tasks: whoever polls it does. Reading happens only when asked for, so not polling is how a
//! consumer holds a sender back.

#![forbid(unsafe_code)]

mod content;
mod dispatch;
mod error;
mod http1;
mod http2;
mod prefixed;
mod tunnel;

pub use content::BodyKind;
pub use dispatch::{Downstream, ReceivedResponse, ResponseOptions, Upstream};
pub use error::{StreamError, StreamErrorKind};
pub use h2::Reason;
pub use http1::{Http1, Preface};
pub use http2::{Http2Client, Http2Exchange, Http2Options, Http2Request, Http2Server, connect};
pub use tunnel::{Side, Tunnel};
