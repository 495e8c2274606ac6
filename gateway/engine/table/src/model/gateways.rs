//! Gateways.

use serde::{Deserialize, Serialize};

use super::defaults::yes;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub max_connections: u32,
    pub max_connections_per_listener: u32,
    pub max_request_head_bytes: u32,
    pub max_request_headers: u32,
    pub max_concurrent_streams: u32,
    pub initial_stream_window_bytes: u32,
    pub initial_connection_window_bytes: u32,
    pub max_resets_per_connection: u32,
    pub tls_handshake_timeout_ms: u64,
    pub request_head_timeout_ms: u64,
    pub stream_idle_timeout_ms: u64,
    pub connection_idle_timeout_ms: u64,
    pub connect_timeout_ms: u64,
    pub drain_timeout_ms: u64,
    pub replay_buffer_bytes: u32,
    pub mirror_buffer_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            max_connections_per_listener: 10_000,
            max_request_head_bytes: 60 * 1024,
            max_request_headers: 100,
            max_concurrent_streams: 100,
            initial_stream_window_bytes: 64 * 1024,
            initial_connection_window_bytes: 1024 * 1024,
            max_resets_per_connection: 100,
            tls_handshake_timeout_ms: 15_000,
            request_head_timeout_ms: 60_000,
            stream_idle_timeout_ms: 300_000,
            connection_idle_timeout_ms: 3_600_000,
            connect_timeout_ms: 5_000,
            drain_timeout_ms: 30_000,
            replay_buffer_bytes: 64 * 1024,
            mirror_buffer_bytes: 1024 * 1024,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    pub namespace: String,
    #[serde(default)]
    pub canonical_service: String,
    #[serde(default)]
    pub canonical_revision: String,
    #[serde(default)]
    pub cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub key: String,
    #[serde(default)]
    pub workload: Option<Workload>,
    #[serde(default)]
    pub trusted_hops: u32,
    #[serde(default = "yes")]
    pub access_log: bool,
    #[serde(default)]
    pub limits: Limits,
}
