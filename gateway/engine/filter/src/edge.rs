//! What every request meets at the edge, whatever its route: who the client is, and the names it may not forge.

pub mod forwarded;
pub mod request_id;
pub mod traceparent;
pub mod underscore;
