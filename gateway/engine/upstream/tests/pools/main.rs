//! Backends as the proxy sees them: every connection is a real one over loopback.

mod balancing;
#[path = "../../../tls/tests/handshakes/support.rs"]
#[allow(dead_code, reason = "these tests need a part of what the handshake tests need")]
mod certificates;
mod failures;
mod http1;
mod http2;
mod http2_server;
mod protocols;
mod specs;
mod support;
mod updates;
