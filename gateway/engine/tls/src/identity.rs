//! Who the other side of a TLS connection says it is, once rustls has verified it.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Names of a verified peer certificate. Authorization decides on them; this module does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub certificate: CertificateDer<'static>,
    pub dns_names: Vec<String>,
    pub uris: Vec<String>,
}

impl PeerIdentity {
    pub(crate) fn from_chain(chain: Option<&[CertificateDer<'static>]>) -> Option<Self> {
        let certificate = chain?.first()?;
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        Some(Self {
            certificate: certificate.clone(),
            dns_names: parsed.valid_dns_names().map(str::to_owned).collect(),
            uris: parsed.valid_uri_names().map(str::to_owned).collect(),
        })
    }
}
