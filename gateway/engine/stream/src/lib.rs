//! Messages over a byte stream: thin, poll-based I/O over the codec of both HTTP versions.
//!
//! Owns buffers, back-pressure and who is woken for what. It decides nothing about requests, keeps no timers and starts no
//! tasks: whoever polls it does. Reading happens only when asked for, so not polling is how a consumer holds a sender back.

#![forbid(unsafe_code)]

mod dispatch;
mod error;
mod http1;
mod http2;
mod spare;
mod tunnel;

pub use dispatch::{Downstream, ReceivedResponse, ResponseOptions, Upstream};
pub use error::{StreamError, StreamErrorKind};
pub use http1::{Http1, Preface};
pub use http2::{Http2Client, Http2Exchange, Http2Options, Http2Request, Http2Server, Http2Tunnel, connect};
pub use sekisho_codec::BodyKind;
pub use sekisho_codec::http2::Reason;
pub use tunnel::{Side, Tunnel};
