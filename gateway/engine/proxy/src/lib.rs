//! The data plane: listeners, connections, exchanges, in the order a request meets them.
//!
//! accept ([`listener`]) → TLS and protocol ([`connection`]) → one exchange a request
//! ([`exchange`]): decide, open, send, receive, reply → access log, last, exactly once.

#![forbid(unsafe_code)]

mod access_log;
mod active_config;
mod authentication;
mod authorization;
mod binder;
mod collector;
mod config;
mod connection;
mod egress;
mod engine;
mod evidence;
mod exchange;
mod explain;
mod external;
mod http2_options;
mod layer4;
mod listener;
mod otlp;
mod parties;
mod plan;
mod reason;
mod rotated_file;
mod seldom;
mod series;
mod source_ranges;
mod statistics;
mod statistics_report;
mod stream_tasks;
mod timestamp;
mod watchdog;
mod worker;

pub use engine::{Engine, EngineOptions};
pub use explain::{explain_offline, validate};
pub use reason::{Reason, reasons};
