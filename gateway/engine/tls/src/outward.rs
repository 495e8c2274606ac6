//! TLS to a server that the gateway has business of its own with: a collector, a name server. Set up by texts that somebody
//! read, not by the table; what a backend gets is [`crate::ClientTls`]'s.
//!
//! The server is verified by its name and the authorities given, or the operating system's. There is no way to skip that.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authorities::Authorities;
use crate::error::{TlsError, TlsErrorKind};
use crate::verifier::BackendVerifier;
use crate::{pem, provider};

/// What the gateway shows and demands, as PEM.
#[derive(Clone, Copy, Default)]
pub struct Trust<'a> {
    /// Empty: the operating system's.
    pub authorities: &'a str,
    /// A chain and its key, where the server wants to know who asks.
    pub certificate: Option<(&'a str, &'a str)>,
}

/// TLS towards one server. Sessions resume.
pub struct OutwardTls {
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl OutwardTls {
    pub fn build(server_name: &str, trust: Trust<'_>, protocols: &[&[u8]]) -> Result<Self, String> {
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| format!("{server_name:?} is neither a DNS name nor an IP address"))?;
        let authorities = Authorities::of_text(trust.authorities)?;
        let verifier = BackendVerifier::new(authorities, &[])?;
        let builder = ClientConfig::builder_with_provider(provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be configured: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match trust.certificate {
            Some((chain, key)) => {
                let key = pem::certified_key_of(chain, key)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { server_name, config: Arc::new(config) })
    }

    /// Runs the handshake. The caller bounds its time.
    pub async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, TlsError> {
        let connecting = TlsConnector::from(self.config.clone()).connect(self.server_name.clone(), stream);
        connecting.await.map_err(|error| TlsError::from_io(&error, &self.server_name.to_str()))
    }

    /// The same for a thread that may wait; the stream bounds its time.
    pub fn connect_waiting<S: Read + Write>(
        &self,
        mut stream: S,
    ) -> Result<StreamOwned<ClientConnection, S>, TlsError> {
        let name = self.server_name.to_str();
        let mut session = ClientConnection::new(self.config.clone(), self.server_name.clone())
            .map_err(|error| TlsError::from_rustls(&error, &name))?;
        while session.is_handshaking() {
            let moved = session.complete_io(&mut stream).map_err(|error| TlsError::from_io(&error, &name))?;
            if moved == (0, 0) {
                return Err(TlsError::new(TlsErrorKind::Closed, format!("{name} closed the connection")));
            }
        }
        Ok(StreamOwned::new(session, stream))
    }
}

impl fmt::Debug for OutwardTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutwardTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
