//! Mutual TLS between workloads: the gateway's own identity, and what it demands of a peer's (SPIFFE X.509-SVID).
//!
//! Owns the credentials that are in force, and the verification of peers on both sides. Credentials are swapped live: a
//! handshake takes those that are current when it begins, and nothing that was set up before is touched. Sessions are never
//! resumed, because a resumed session would skip the verification of a peer under the identity that is expected now.

mod accept;
mod connect;
mod credentials;
mod peer;
mod svid;

pub(crate) use peer::WrongIdentity;

pub use accept::{Arrival, Serves};
pub use credentials::{Credentials, MeshIdentity};
pub use svid::{CertificateRequest, Svid, chain_ends};
