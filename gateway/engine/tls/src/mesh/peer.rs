//! Who a peer is: a chain to the mesh's authorities, and exactly one URI that is a SPIFFE identity.
//!
//! A certificate with several URIs is nobody's (X.509-SVID, section 2), whatever the rest of it says. The extended key usage
//! is webpki's to check with the chain: a client's certificate must be good for clients, a server's for servers.

use std::fmt;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DistinguishedName, Error, OtherError, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::peer_check::{Checked, ClientCheck, Presented, ServerCheck};

const SCHEME: &str = "spiffe://";

/// The one URI of a certificate, or why there is none to go by. Every URI counts, also one that cannot be read.
pub(super) fn sole_uri(leaf: &CertificateDer<'_>) -> Result<String, String> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| "it cannot be read".to_owned())?;
    let uris = uris(&parsed)?;
    match uris.as_slice() {
        [uri] if trust_domain_of(uri).is_some() => Ok((*uri).to_owned()),
        [uri] => Err(format!("its URI {uri:?} is no SPIFFE identity")),
        [] => Err("it holds no URI".to_owned()),
        several => Err(format!("it holds {} URIs, and an identity has exactly one", several.len())),
    }
}

/// Every URI of a certificate. One that cannot be read is there as an empty text.
pub(super) fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, String> {
    let names = certificate.subject_alternative_name().map_err(|_| "its names cannot be read".to_owned())?;
    let names = names.map_or(&[][..], |extension| &extension.value.general_names);
    let found = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        // A name that cannot be read may be another URI.
        GeneralName::Invalid(..) => Some(""),
        _ => None,
    });
    Ok(found.collect())
}

pub(super) fn trust_domain_of(uri: &str) -> Option<&str> {
    let (domain, path) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    (!domain.is_empty() && !path.is_empty()).then_some(domain)
}

/// Carries a sentence through rustls to [`crate::TlsError`], and that it was the identity.
#[derive(Debug)]
pub(crate) struct WrongIdentity(String);

impl fmt::Display for WrongIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongIdentity {}

fn wrong(message: String) -> Error {
    CertificateError::Other(OtherError(Arc::new(WrongIdentity(message)))).into()
}

/// Takes clients of the mesh's trust domain.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    trust_domain: String,
}

impl ClientVerifier {
    pub fn new(chains: Arc<dyn ClientCertVerifier>, trust_domain: &str) -> Arc<Checked<Self>> {
        Arc::new(Checked(Self { chains, trust_domain: trust_domain.to_owned() }))
    }
}

impl ClientCheck for ClientVerifier {
    fn check(&self, presented: Presented<'_>) -> Result<(), Error> {
        self.chains.verify_client_cert(presented.leaf, presented.intermediates, presented.now)?;
        let uri = sole_uri(presented.leaf).map_err(|reason| wrong(format!("the client's certificate: {reason}")))?;
        if trust_domain_of(&uri) != Some(&self.trust_domain) {
            return Err(wrong(format!("the client is {uri}, of another trust domain than {}", self.trust_domain)));
        }
        Ok(())
    }

    fn hints(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }
}

/// Takes one identity. The server name proves nothing here.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    roots: Arc<RootCertStore>,
    /// Without scheme. An empty one is nobody's.
    expected: String,
}

impl ServerVerifier {
    pub fn new(roots: Arc<RootCertStore>, expected: &str) -> Arc<Checked<Self>> {
        Arc::new(Checked(Self { roots, expected: expected.to_owned() }))
    }
}

impl ServerCheck for ServerVerifier {
    fn check(&self, presented: Presented<'_>, _server_name: &ServerName<'_>) -> Result<(), Error> {
        presented.chains_to(&self.roots)?;
        let uri = sole_uri(presented.leaf).map_err(|reason| wrong(format!("the endpoint's certificate: {reason}")))?;
        if uri.strip_prefix(SCHEME) != Some(&self.expected) {
            return Err(wrong(format!("the endpoint is {uri}, and {SCHEME}{} is expected there", self.expected)));
        }
        Ok(())
    }
}
