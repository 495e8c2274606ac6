//! What an HTTP/2 connection from a client is bounded by.

use sekisho_stream::Http2Options;
use sekisho_table::Limits;

pub fn http2_options(limits: &Limits) -> Http2Options {
    Http2Options {
        max_concurrent_streams: limits.max_concurrent_streams,
        stream_window: limits.initial_stream_window_bytes,
        connection_window: limits.initial_connection_window_bytes,
        max_header_list_size: limits.max_request_head_bytes,
        max_resets_per_connection: limits.max_resets_per_connection,
        ..Http2Options::default()
    }
}
