//! The data plane in one process: an engine with a table, raw clients in front and backends written here behind.

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
