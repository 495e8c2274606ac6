//! What every request meets at the edge, whatever its route: who the client is, and the names it may not forge.

pub mod forwarded;
pub mod request_id;
pub mod traceparent;
pub mod underscore;

use http::header::HeaderValue;

/// A value that no other request repeats would only push useful ones out of HPACK's table (RFC 7541, 7.1.3).
fn never_index(value: &mut HeaderValue) {
    value.set_sensitive(true);
}
