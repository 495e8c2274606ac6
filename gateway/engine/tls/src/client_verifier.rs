//! Which clients a listener takes (Gateway API, `FrontendTLSValidation`).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use sekisho_table::{ClientValidation, Table};

use crate::authorities::Authorities;
use crate::provider;

pub(crate) fn verifier(validation: &ClientValidation, table: &Table) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let strict = strict(validation, table)?;
    Ok(if validation.allow_insecure_fallback { Arc::new(Lenient { strict }) } else { strict })
}

/// Takes certificates of the authorities alone, whatever else may be let in.
pub(crate) fn strict(validation: &ClientValidation, table: &Table) -> Result<Arc<dyn ClientCertVerifier>, String> {
    if validation.trust_bundles.is_empty() {
        return Err("client validation names no trust bundle".to_owned());
    }
    let authorities = Authorities::load(&validation.trust_bundles, table)?;
    WebPkiClientVerifier::builder_with_provider(authorities.roots, provider().clone())
        .build()
        .map_err(|error| format!("client validation cannot be configured: {error}"))
}

/// Asks for a certificate and serves whoever comes. A client still proves that it holds the key of the
/// certificate it shows, but nothing may be concluded from what that certificate says.
#[derive(Debug)]
struct Lenient {
    strict: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: with them, a client would keep a certificate of another authority to itself.
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
