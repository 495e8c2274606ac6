//! TLS on both sides of the gateway: which certificate a client sees, and which peers a backend may be.
//!
//! Owns rustls configuration, the choice of a certificate by server name, the verification of
//! backends, and the checks a certificate passes before it enters the table. It knows nothing of
//! HTTP beyond the protocol names that ALPN negotiates (RFC 7301), and opens no socket.

#![forbid(unsafe_code)]

mod authorities;
mod checks;
mod client;
mod client_certificate;
mod client_verifier;
mod error;
mod hello;
mod identity;
mod mesh;
mod outward;
mod peer_check;
mod pem;
mod server;
mod server_name;
mod transport;
mod verifier;

pub use checks::{CertificateChecks, expiry, expiry_warning};
pub use client::{Alpn, AlpnOffer, ClientTls};
pub use error::{TlsError, TlsErrorKind};
pub use identity::PeerIdentity;
pub use mesh::{Arrival, CertificateRequest, Credentials, MeshIdentity, Serves, Svid, chain_ends};
pub use outward::{OutwardTls, Trust};
pub use server::{Accepted, ServerTls};
pub use transport::{Carried, Transport};

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// The one cryptography provider; nothing relies on a process default that somebody else may set.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}
