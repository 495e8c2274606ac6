//! Whether a backend is the one it should be (BackendTLSPolicy, `validation`).
//!
//! The chain is webpki's to verify. The name is the server name, unless subject alternative names
//! are given: then one of those must be in the certificate and the server name proves nothing.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sekisho_table::{SubjectAltName, SubjectAltNameType};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authorities::Authorities;
use crate::peer_check::{Checked, Presented, ServerCheck};
use crate::server_name::{certificate_name_covers, normalize};

#[derive(Debug)]
pub(crate) struct BackendVerifier {
    authorities: Authorities,
    /// Empty: the server name authenticates.
    names: Vec<AcceptedName>,
}

#[derive(Debug)]
enum AcceptedName {
    Dns(ServerName<'static>),
    /// `*.example.com` in the policy: any name one label below, or that very wildcard.
    Wildcard(String),
    Uri(String),
}

impl BackendVerifier {
    pub(crate) fn new(authorities: Authorities, names: &[SubjectAltName]) -> Result<Arc<Checked<Self>>, String> {
        let names = names.iter().map(AcceptedName::parse).collect::<Result<_, _>>()?;
        Ok(Arc::new(Checked(Self { authorities, names })))
    }

    fn verify_chain(&self, presented: Presented<'_>) -> Result<(), Error> {
        match presented.chains_to(&self.authorities.roots) {
            Err(_) if self.authorities.pinned.iter().any(|pinned| pinned == presented.leaf) => {
                verify_dates(presented.leaf, presented.now)
            }
            result => result,
        }
    }

    fn verify_name(&self, leaf: &CertificateDer<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let covered = if self.names.is_empty() {
            parsed.verify_is_valid_for_subject_name(server_name).is_ok()
        } else {
            self.names.iter().any(|name| name.is_in(&parsed))
        };
        if covered { Ok(()) } else { Err(self.mismatch(&parsed, server_name)) }
    }

    fn mismatch(&self, certificate: &EndEntityCert<'_>, server_name: &ServerName<'_>) -> Error {
        let server_name = server_name.to_str();
        let wanted = match self.names.as_slice() {
            [] => server_name.to_string(),
            names => format!("any of {}", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let presented: Vec<_> = certificate.valid_dns_names().chain(certificate.valid_uri_names()).collect();
        let presented = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
        let message = format!("the certificate of {server_name} does not cover {wanted}; it is for {presented}");
        CertificateError::Other(OtherError(Arc::new(NameMismatch(message)))).into()
    }
}

impl AcceptedName {
    fn parse(name: &SubjectAltName) -> Result<Self, String> {
        if name.value.is_empty() {
            return Err("a subject alternative name is empty".to_owned());
        }
        match name.kind {
            SubjectAltNameType::Uri => Ok(Self::Uri(name.value.clone())),
            SubjectAltNameType::Hostname => {
                let value = normalize(&name.value);
                if value.starts_with("*.") {
                    return Ok(Self::Wildcard(value));
                }
                let parsed = ServerName::try_from(value)
                    .map_err(|_| format!("the subject alternative name {:?} is not a DNS name", name.value))?;
                Ok(Self::Dns(parsed))
            }
        }
    }

    fn is_in(&self, certificate: &EndEntityCert<'_>) -> bool {
        match self {
            Self::Dns(name) => certificate.verify_is_valid_for_subject_name(name).is_ok(),
            Self::Wildcard(pattern) => certificate.valid_dns_names().any(|presented| {
                let presented = presented.to_ascii_lowercase();
                presented == *pattern || (!presented.starts_with("*.") && certificate_name_covers(pattern, &presented))
            }),
            Self::Uri(uri) => certificate.valid_uri_names().any(|presented| presented == uri),
        }
    }
}

impl fmt::Display for AcceptedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(&name.to_str()),
            Self::Wildcard(text) | Self::Uri(text) => f.write_str(text),
        }
    }
}

/// A pinned certificate has no issuer to ask; its dates still hold.
fn verify_dates(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

impl ServerCheck for BackendVerifier {
    fn check(&self, presented: Presented<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        self.verify_chain(presented)?;
        self.verify_name(presented.leaf, server_name)
    }
}

/// Carries the sentence through rustls to [`crate::TlsError`].
#[derive(Debug)]
struct NameMismatch(String);

impl fmt::Display for NameMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameMismatch {}
