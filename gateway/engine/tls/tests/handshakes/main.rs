//! TLS as peers see it: every case is a real handshake over loopback, with certificates made for it.

mod checks;
mod mesh;
mod server;
mod support;
mod verification;
