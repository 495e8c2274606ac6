//! HTTP/2 without I/O, as transcripts: what a side hears, and what it says to that.
#![allow(clippy::unwrap_used)]

mod client;
mod hostile;
mod malformed;
mod messages;
mod random;
mod support;
mod windows;
