//! The upstream side: how the gateway introduces itself to a backend, and what it demands of it.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::ServerName;
use sekisho_table::{BackendTls, Table};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authorities::Authorities;
use crate::error::{TlsError, TlsErrorKind};
use crate::transport::Transport;
use crate::verifier::BackendVerifier;
use crate::{pem, provider};

/// What the gateway offers by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlpnOffer {
    Http1,
    Http2,
    /// Both, HTTP/2 preferred.
    Any,
    /// Nothing: what the connection carries is not the gateway's to say.
    None,
    /// HTTP/2, for CONNECT alone.
    Tunnel,
}

/// What the backend chose; a backend without ALPN speaks HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    Http1,
    Http2,
}

/// TLS towards one backend. Immutable and shared by all workers; sessions resume across them.
pub struct ClientTls {
    server_name: ServerName<'static>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    any: Arc<ClientConfig>,
    unnamed: Arc<ClientConfig>,
}

impl ClientTls {
    pub fn build(spec: &BackendTls, table: &Table) -> Result<Self, String> {
        let server_name = ServerName::try_from(spec.server_name.clone())
            .map_err(|_| format!("the server name {:?} is neither a DNS name nor an IP address", spec.server_name))?;
        let authorities = Authorities::load(&spec.trust_bundles, table)?;
        let verifier = BackendVerifier::new(authorities, &spec.subject_alt_names)?;
        let builder = ClientConfig::builder_with_provider(provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be configured: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match client_certificate(spec, table)? {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            server_name,
            http1: offering(&config, &[b"http/1.1"]),
            http2: offering(&config, &[b"h2"]),
            any: offering(&config, &[b"h2", b"http/1.1"]),
            unnamed: offering(&config, &[]),
        })
    }

    /// Runs the handshake. The caller bounds its time.
    pub async fn connect(&self, stream: TcpStream, offer: AlpnOffer) -> Result<(Transport, Alpn), TlsError> {
        let config = match offer {
            AlpnOffer::Http1 => &self.http1,
            AlpnOffer::Http2 | AlpnOffer::Tunnel => &self.http2,
            AlpnOffer::Any => &self.any,
            AlpnOffer::None => &self.unnamed,
        };
        // An IP address is never sent as SNI (RFC 6066, section 3): rustls leaves it out by the type.
        let connecting = TlsConnector::from(config.clone()).connect(self.server_name.clone(), stream);
        let stream = connecting.await.map_err(|error| TlsError::from_io(&error, &self.server_name.to_str()))?;
        let alpn = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Alpn::Http2,
            _ => Alpn::Http1,
        };
        if offer == AlpnOffer::Http2 && alpn == Alpn::Http1 {
            return Err(TlsError::new(
                TlsErrorKind::Incompatible,
                format!("{} does not speak HTTP/2: it did not select h2 by ALPN", self.server_name.to_str()),
            ));
        }
        Ok((Transport::Client(Box::new(stream)), alpn))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn client_certificate(spec: &BackendTls, table: &Table) -> Result<Option<CertifiedKey>, String> {
    if spec.client_certificate.is_empty() {
        return Ok(None);
    }
    let key = &spec.client_certificate;
    let certificate =
        table.certificates.get(key).ok_or_else(|| format!("client certificate {key} is not in the table"))?;
    pem::certified_key(certificate).map(Some).map_err(|reason| format!("client certificate {key}: {reason}"))
}

/// The same configuration, and the same session cache, with another ALPN offer.
fn offering(config: &ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
