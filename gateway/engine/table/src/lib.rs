//! The routing table as the engine sees it: serde mirror, keyed store and validation.
//!
//! Owns decoding an update, judging each resource and keeping the good ones; knows nothing of
//! matching or sockets.

#![forbid(unsafe_code)]

mod document;
mod kind;
pub mod model;
mod name_server;
pub mod regex;
mod sockets;
pub mod store;
mod touched;
mod update;
pub mod validate;

pub use self::regex::{compile_regex, regex_problem};
pub use document::SnapshotText;
pub use model::*;
pub use name_server::{NameServer, NotANameServer};
pub use store::{Outcome, Table, TableStore};
pub use touched::Touched;
pub use validate::{Checks, NoChecks};
