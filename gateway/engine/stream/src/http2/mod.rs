//! HTTP/2 over a byte stream (RFC 9113), in both roles.
//!
//! The protocol is the codec's ([`sekisho_codec::http2`]). Here a connection's bytes are moved, and its streams' owners
//! woken: one state a connection, shared by reference with its streams on the same thread, without channels, tasks or
//! locks. What all streams of a turn have to say leaves in one write.

mod client;
mod driver;
mod exchange;
mod link;
mod request;
mod server;
mod shared;
mod tunnel;

use std::time::Instant;

use sekisho_codec::http2::Limits;

pub use client::{Http2Client, connect};
pub use exchange::Http2Exchange;
pub use request::Http2Request;
pub use server::Http2Server;
pub use tunnel::Http2Tunnel;

/// A sender is not ready while this much of its content waits for room.
const HIGH_WATER: usize = 32 * 1024;

/// Bounds of one HTTP/2 connection, in either role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Options {
    pub max_concurrent_streams: u32,
    pub stream_window: u32,
    pub connection_window: u32,
    pub max_header_list_size: u32,
    /// Streams have to wait while this much waits to be written.
    pub max_send_buffer: usize,
    /// A client that cancels more streams than this within half a minute loses its connection.
    pub max_resets_per_connection: u32,
    /// As a server: a CONNECT request is an exchange like others, which [`Http2Exchange::into_tunnel`] turns into bytes
    /// both ways. Otherwise it is answered with 501.
    pub takes_connect: bool,
    /// As a server: requests keep the scheme that they name; for a forward proxy.
    pub keeps_scheme: bool,
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
            takes_connect: false,
            keeps_scheme: false,
        }
    }
}

impl Http2Options {
    fn limits(&self) -> Limits {
        Limits {
            max_concurrent_streams: self.max_concurrent_streams,
            stream_window: self.stream_window,
            connection_window: self.connection_window,
            max_header_list_size: self.max_header_list_size,
            max_send_buffer: self.max_send_buffer,
            max_resets: self.max_resets_per_connection,
            takes_connect: self.takes_connect,
            keeps_scheme: self.keeps_scheme,
            clock: Instant::now,
        }
    }
}
