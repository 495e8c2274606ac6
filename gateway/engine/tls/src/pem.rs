//! PEM text to the types rustls wants, with errors a person can act on.

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sekisho_table::Certificate;

use crate::provider;

/// Every certificate in `text`, in order; never an empty list.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| format!("the PEM text cannot be read: {}", explain(&error)))?;
    if found.is_empty() {
        return Err("there is no certificate in it (no -----BEGIN CERTIFICATE----- section)".to_owned());
    }
    Ok(found)
}

pub(crate) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("BEGIN ENCRYPTED PRIVATE KEY") => {
            "the private key is encrypted; store it without a passphrase".to_owned()
        }
        pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
        other => format!("the private key's PEM text cannot be read: {}", explain(&other)),
    })
}

/// The chain with its key, ready to sign handshakes; refuses a key of another certificate.
pub(crate) fn certified_key(certificate: &Certificate) -> Result<CertifiedKey, String> {
    certified_key_of(&certificate.chain, &certificate.private_key)
}

/// The same of two texts.
pub(crate) fn certified_key_of(chain: &str, key: &str) -> Result<CertifiedKey, String> {
    let chain = certificates(chain).map_err(|reason| format!("certificate chain: {reason}"))?;
    let key = private_key(key)?;
    CertifiedKey::from_der(chain, key, provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".to_owned()
        }
        Error::InvalidCertificate(problem) => format!("the certificate cannot be used: {problem}"),
        other => format!(
            "the private key cannot be used (RSA of 2048 bits or more, ECDSA P-256/P-384 or Ed25519 is needed): {other}"
        ),
    })
}

fn explain(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line; maybe it was cut off".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not valid base64".to_owned(),
        other => other.to_string(),
    }
}
