//! What the gateway proves itself with, and verifies peers by.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::peer::{ClientVerifier, ServerVerifier, sole_uri, trust_domain_of};
use crate::authorities::parse_bundle;
use crate::error::{TlsError, TlsErrorKind};
use crate::{pem, provider};

/// The identity of one engine; shared by all workers, and read once a handshake.
#[derive(Debug, Default)]
pub struct MeshIdentity {
    current: RwLock<Option<Arc<Credentials>>>,
}

impl MeshIdentity {
    /// In force from the next handshake on. The error says what cannot be used; the credentials before stay then.
    pub fn set(&self, chain: &str, private_key: &str, trust_bundle: &str, trust_domain: &str) -> Result<(), String> {
        let credentials = Credentials::new(chain, private_key, trust_bundle, trust_domain)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(credentials));
        Ok(())
    }

    /// Those in force, good or not.
    pub fn current(&self) -> Option<Arc<Credentials>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For a handshake that begins now.
    pub(super) fn usable(&self) -> Result<Arc<Credentials>, TlsError> {
        let missing = |message| TlsError::new(TlsErrorKind::NoIdentity, message);
        let credentials = self.current().ok_or_else(|| missing("this gateway has no identity yet"))?;
        if credentials.ends <= SystemTime::now() {
            return Err(missing("the certificate of this gateway's identity has ended and was not renewed"));
        }
        Ok(credentials)
    }
}

/// One certificate with its key, and the authorities of the mesh.
pub struct Credentials {
    uri: String,
    ends: SystemTime,
    /// By what the listener serves.
    pub(super) http: Arc<ServerConfig>,
    pub(super) http2: Arc<ServerConfig>,
    pub(super) bytes: Arc<ServerConfig>,
    /// Without ALPN, and with a verifier that takes nobody: each handshake brings its own.
    pub(super) client: ClientConfig,
    pub(super) roots: Arc<RootCertStore>,
}

impl Credentials {
    fn new(chain: &str, private_key: &str, trust_bundle: &str, trust_domain: &str) -> Result<Self, String> {
        if trust_domain.is_empty() {
            return Err("the trust domain is empty; name it".to_owned());
        }
        let key = Arc::new(pem::certified_key_of(chain, private_key)?);
        let leaf = key.cert.first().ok_or("the chain holds no certificate")?;
        let uri = sole_uri(leaf).map_err(|reason| format!("the certificate is no identity: {reason}"))?;
        if trust_domain_of(&uri) != Some(trust_domain) {
            return Err(format!("the certificate is for {uri}, which is not in the trust domain {trust_domain}"));
        }
        let ends = end_of(leaf)?;
        let mut roots = RootCertStore::empty();
        for certificate in parse_bundle(trust_bundle).map_err(|reason| format!("the trust bundle: {reason}"))? {
            roots.add(certificate).map_err(|error| format!("the trust bundle: {error}"))?;
        }
        let roots = Arc::new(roots);
        let server = server_config(&key, &roots, trust_domain)?;
        Ok(Self {
            uri,
            ends,
            http: selecting(&server, &[b"h2", b"http/1.1"]),
            http2: selecting(&server, &[b"h2"]),
            bytes: selecting(&server, &[]),
            client: client_config(&key, &roots)?,
            roots,
        })
    }

    /// `spiffe://trust-domain/ns/namespace/sa/service-account`.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// When the certificate stops being valid.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }
}

fn end_of(leaf: &CertificateDer<'_>) -> Result<SystemTime, String> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| format!("the certificate: {error}"))?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn server_config(
    key: &Arc<CertifiedKey>,
    roots: &Arc<RootCertStore>,
    trust_domain: &str,
) -> Result<ServerConfig, String> {
    let chains = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider().clone())
        .build()
        .map_err(|error| format!("the trust bundle cannot be used: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be configured: {error}"))?
        .with_client_cert_verifier(ClientVerifier::new(chains, trust_domain))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(key: &Arc<CertifiedKey>, roots: &Arc<RootCertStore>) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be configured: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(ServerVerifier::new(roots.clone(), ""))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn selecting(config: &ServerConfig, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// Nothing of the key is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("uri", &self.uri).field("ends", &self.ends).finish_non_exhaustive()
    }
}
