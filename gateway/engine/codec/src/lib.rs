//! Messages, and HTTP/1 on the wire, without I/O.

#![forbid(unsafe_code)]

pub mod message;

pub use message::{Headers, Piece, RequestHead, ResponseHead, Scheme};
