//! HTTP/2 over the `h2` crate (RFC 9113), in both roles.
//!
//! What `h2` bounds itself is configured here: concurrent streams, windows, header lists and CONTINUATION frames (it ends
//! a connection whose header block takes more frames than its list size needs), resets before a stream is accepted,
//! small DATA frames, and what a stream may buffer. Resets of accepted streams are counted here.

mod client;
mod convert;
mod receive;
mod resets;
mod send;
mod server;

pub use client::{Http2Client, Http2Request, connect};
pub use server::{Http2Exchange, Http2Server};

/// Bounds of one HTTP/2 connection, in either role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Options {
    pub max_concurrent_streams: u32,
    pub stream_window: u32,
    pub connection_window: u32,
    pub max_header_list_size: u32,
    /// What one stream may hand over to be written before it has to wait.
    pub max_send_buffer: usize,
    /// A client that cancels more streams than this within half a minute loses its connection.
    pub max_resets_per_connection: u32,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            max_header_list_size: 64 * 1024,
            max_send_buffer: 64 * 1024,
            max_resets_per_connection: 200,
        }
    }
}

/// Streams that were reset before they were accepted, or by us because of the peer's errors, before the connection ends.
const MAX_UNSEEN_RESETS: usize = 50;
const MAX_ERROR_RESETS: usize = 200;
