//! Certificate authorities: the bundles of the table, or those of the operating system.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use sekisho_table::Table;

use crate::pem;

/// Whom a backend's certificate may descend from.
#[derive(Debug)]
pub(crate) struct Authorities {
    pub(crate) roots: Arc<RootCertStore>,
    /// The bundles' certificates as they are: a server certificate listed there is trusted itself,
    /// which is how a self-signed development server is configured.
    pub(crate) pinned: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// `bundles` empty means the operating system's.
    pub(crate) fn load(bundles: &[String], table: &Table) -> Result<Self, String> {
        if bundles.is_empty() {
            return Ok(Self { roots: system_roots()?, pinned: Vec::new() });
        }
        let mut roots = RootCertStore::empty();
        let mut pinned = Vec::new();
        for key in bundles {
            let bundle =
                table.trust_bundles.get(key).ok_or_else(|| format!("trust bundle {key} is not in the table"))?;
            for certificate in
                parse_bundle(&bundle.certificates).map_err(|reason| format!("trust bundle {key}: {reason}"))?
            {
                roots.add(certificate.clone()).map_err(|error| {
                    format!("trust bundle {key}: a certificate cannot be used as an authority: {error}")
                })?;
                pinned.push(certificate);
            }
        }
        Ok(Self { roots: Arc::new(roots), pinned })
    }
}

impl Authorities {
    /// Of PEM; an empty text means the operating system's.
    pub(crate) fn of_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { roots: system_roots()?, pinned: Vec::new() });
        }
        let pinned = parse_bundle(text)?;
        let mut roots = RootCertStore::empty();
        for certificate in &pinned {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("a certificate cannot be used as an authority: {error}"))?;
        }
        Ok(Self { roots: Arc::new(roots), pinned })
    }
}

/// Every certificate of a bundle, each usable as an authority.
pub(crate) fn parse_bundle(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = pem::certificates(text)?;
    for (index, certificate) in certificates.iter().enumerate() {
        webpki::anchor_from_trusted_cert(certificate)
            .map_err(|error| format!("certificate {} cannot be used as an authority: {error}", index + 1))?;
    }
    Ok(certificates)
}

/// Read once, when the first backend needs them: reading takes milliseconds, and most tables need none.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    ROOTS.get_or_init(load_system_roots).clone()
}

fn load_system_roots() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "the system has no certificate authorities{detail}; \
             install ca-certificates, set SSL_CERT_FILE, or name a CA certificate"
        ));
    }
    Ok(Arc::new(roots))
}
