//! The data plane in one process: an engine with a table, raw clients in front and backends written here behind.

#[allow(dead_code, reason = "the certificates serve the tests of other crates too")]
#[path = "../../../tls/tests/handshakes/support.rs"]
mod certificates;
mod chaos;
mod control;
mod disconnects;
mod drain;
mod http2;
mod outside;
mod relaying;
mod retries;
mod support;
mod upgrades;
mod ways_out;
