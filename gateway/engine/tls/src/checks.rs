//! What a certificate or a trust bundle must be before it enters the table.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use sekisho_table::{Certificate, Checks, TrustBundle};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authorities::parse_bundle;
use crate::pem;

/// Refuses what no handshake could use. An expired certificate is served: taking a site down is
/// worse than what its clients would do with it, and [`expiry_warning`] says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateChecks;

impl Checks for CertificateChecks {
    fn certificate(&self, certificate: &Certificate) -> Result<(), String> {
        let chain = pem::certificates(&certificate.chain).map_err(|reason| format!("certificate chain: {reason}"))?;
        if let Err(reason) = pem::certified_key(certificate) {
            return Err(misplaced_leaf(certificate, &chain).unwrap_or(reason));
        }
        check_order(&chain)
    }

    fn trust_bundle(&self, bundle: &TrustBundle) -> Result<(), String> {
        parse_bundle(&bundle.certificates).map(|_| ())
    }
}

/// When the leaf stops being valid; `None` when it cannot be read.
pub fn expiry(certificate: &Certificate) -> Option<SystemTime> {
    let chain = pem::certificates(&certificate.chain).ok()?;
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let seconds = u64::try_from(leaf.validity().not_after.timestamp()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A line for people when the certificate has expired at `now`.
pub fn expiry_warning(certificate: &Certificate, now: SystemTime) -> Option<String> {
    let late = now.duration_since(expiry(certificate)?).ok()?;
    let days = late.as_secs() / 86_400;
    Some(format!("certificate {} expired {days} days ago; clients will refuse it", certificate.key))
}

/// Each certificate must be issued by the one after it (RFC 8446, section 4.4.2).
fn check_order(chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("certificate {} of the chain cannot be read: {error}", index + 1))?;
        parsed.push(certificate);
    }
    for (index, pair) in parsed.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            return Err(format!(
                "the chain is out of order: certificate {} is issued by {:?}, but certificate {} is {:?}",
                index + 1,
                pair[0].issuer().to_string(),
                index + 2,
                pair[1].subject().to_string(),
            ));
        }
    }
    Ok(())
}

/// The usual mistake: the authority's certificate was put first.
fn misplaced_leaf(certificate: &Certificate, chain: &[CertificateDer<'static>]) -> Option<String> {
    let key = pem::private_key(&certificate.private_key).ok()?;
    let position = chain.iter().skip(1).position(|candidate| {
        rustls::sign::CertifiedKey::from_der(vec![candidate.clone()], key.clone_key(), crate::provider()).is_ok()
    })?;
    Some(format!(
        "the chain is out of order: the private key belongs to certificate {}, which must come first",
        position + 2
    ))
}
