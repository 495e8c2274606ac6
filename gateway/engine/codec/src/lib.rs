//! Messages, and HTTP/1 and HTTP/2 on the wire, without I/O.
//!
//! Owns what a message is, how HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113, RFC 7541) are read and written, and the rules
//! for authorities and request targets that every HTTP version shares. It never touches a socket, a clock or a
//! configuration object.

#![forbid(unsafe_code)]

pub mod authority;
pub mod content;
pub mod fields;
mod headers;
pub mod http1;
pub mod http2;
pub mod message;
pub mod target;

pub use content::BodyKind;
pub use headers::{Headers, Prepared};
pub use message::{Piece, RequestHead, ResponseHead, Scheme};
