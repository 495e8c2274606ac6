//! The routing table as the engine sees it: serde mirror, keyed store and validation.
//!
//! Owns decoding an update and keeping the resources; knows nothing of matching or sockets.

#![forbid(unsafe_code)]

pub mod model;
pub mod store;

pub use model::*;
pub use store::{Table, TableStore};
