//! What is taken for the gateway's own identity (SPIFFE X.509-SVID), and what is asked for it: a key and a request.
//!
//! Owns what a person is told of a certificate that is no identity. Whether it is good *now* is for who has a clock.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::peer::uris;
use crate::pem;

/// A chain that is an identity, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svid {
    pub uri: String,
    /// Seconds since the epoch.
    pub begins: i64,
    pub ends: i64,
    /// The key identifier of the issuer of the chain's last certificate, hexadecimal; empty where that names none.
    pub root_key: String,
}

impl Svid {
    /// Leaf first. The error says what is wrong with the chain or the key, both PEM.
    pub fn read(chain: &str, private_key: &str) -> Result<Self, String> {
        let found = pem::certificates(chain).map_err(|reason| format!("certificate chain: {reason}"))?;
        let certificates = found.iter().enumerate().map(|(index, der)| parsed(der, index));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let (Some(leaf), Some(last)) = (certificates.first(), certificates.last()) else {
            return Err("certificate chain: there is no certificate in it".to_owned());
        };
        let uri = identity(leaf)?;
        pem::certified_key_of(chain, private_key)?;
        let validity = leaf.validity();
        Ok(Self {
            uri,
            begins: validity.not_before.timestamp(),
            ends: validity.not_after.timestamp(),
            root_key: issuer_key(last),
        })
    }
}

/// Of a chain in PEM, when the first of its certificates stops being valid: seconds since the epoch. `None` where one
/// cannot be read.
pub fn chain_ends(chain: &str) -> Option<i64> {
    let ends = pem::certificates(chain).ok()?.into_iter().map(|der| Some(parsed(&der, 0).ok()?.validity().not_after));
    ends.map(|end| Some(end?.timestamp())).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// A request for a certificate, and the key it is for.
pub struct CertificateRequest {
    /// PKCS #10 in PEM. It names nobody: the proof that is shown with it does.
    pub request: String,
    /// PKCS #8 in PEM, of P-256.
    pub private_key: String,
}

impl CertificateRequest {
    pub fn generate() -> Result<Self, String> {
        let failed = |error: rcgen::Error| format!("no key can be made: {error}");
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        let request = parameters.serialize_request(&key).and_then(|request| request.pem()).map_err(failed)?;
        Ok(Self { request, private_key: key.serialize_pem() })
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>, index: usize) -> Result<X509Certificate<'a>, String> {
    let parsed = X509Certificate::from_der(der);
    parsed
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("certificate {} of the chain cannot be read: {error}", index + 1))
}

/// Exactly one URI, a leaf, good for both sides of TLS.
fn identity(leaf: &X509Certificate<'_>) -> Result<String, String> {
    let unreadable = |_| "the extensions of the certificate cannot be read".to_owned();
    let uris = uris(leaf)?;
    let [uri] = uris.as_slice() else {
        return Err(format!("the certificate has {} URIs; an identity is exactly one", uris.len()));
    };
    let domain = uri.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next());
    if domain.is_none_or(str::is_empty) {
        return Err(format!("the certificate is for '{uri}', which is no SPIFFE identifier"));
    }
    if leaf.basic_constraints().map_err(unreadable)?.is_some_and(|constraints| constraints.value.ca) {
        return Err(format!("the certificate of {uri} is one that signs others (CA:TRUE), and no identity"));
    }
    if let Some(usage) = leaf.extended_key_usage().map_err(unreadable)? {
        let needed = [(usage.value.client_auth, "clientAuth"), (usage.value.server_auth, "serverAuth")];
        if let Some((_, missing)) = needed.into_iter().find(|(present, _)| !present) {
            return Err(format!(
                "the certificate of {uri} may not be used for both sides of TLS: {missing} is missing"
            ));
        }
    }
    Ok((*uri).to_owned())
}

fn issuer_key(certificate: &X509Certificate<'_>) -> String {
    let identifiers = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(issuer) => issuer.key_identifier.as_ref(),
        _ => None,
    });
    identifiers.map(|identifier| identifier.0.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, SanType};

    use super::*;

    const URI: &str = "spiffe://cluster.local/ns/prod/sa/edge";

    fn issued(request: &CertificateRequest, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut signed = CertificateSigningRequestParams::from_pem(&request.request).expect("a request");
        signed.params.subject_alt_names = vec![SanType::URI(URI.try_into().expect("a name"))];
        signed.params.use_authority_key_identifier_extension = true;
        signed.params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut signed.params);
        let key = KeyPair::generate().expect("a key");
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        signed.signed_by(&Issuer::new(root, key)).expect("a certificate").pem()
    }

    #[test]
    fn a_request_gets_a_certificate_that_is_an_identity() {
        let request = CertificateRequest::generate().expect("a request");
        let chain = issued(&request, |_| {});
        let svid = Svid::read(&chain, &request.private_key).expect("an identity");
        assert_eq!(svid.uri, URI);
        assert!(svid.begins < svid.ends);
        assert_eq!(svid.root_key.len(), 40, "{}", svid.root_key);
        assert_eq!(chain_ends(&chain), Some(svid.ends));
        let other = CertificateRequest::generate().expect("a request");
        assert_eq!(
            Svid::read(&chain, &other.private_key).expect_err("another key"),
            "the private key does not belong to the certificate"
        );
    }

    #[test]
    fn what_is_no_identity_is_said() {
        let request = CertificateRequest::generate().expect("a request");
        let told = |change: fn(&mut CertificateParams)| {
            Svid::read(&issued(&request, change), &request.private_key).expect_err("no identity")
        };
        assert!(told(|it| it.subject_alt_names.clear()).contains("has 0 URIs"));
        assert!(told(|it| it.subject_alt_names.push(it.subject_alt_names[0].clone())).contains("has 2 URIs"));
        let elsewhere = told(|it| it.subject_alt_names = vec![SanType::URI("https://a/b".try_into().expect("a name"))]);
        assert!(elsewhere.contains("no SPIFFE identifier"), "{elsewhere}");
        assert!(told(|it| it.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)).contains("CA:TRUE"));
        assert!(told(|it| drop(it.extended_key_usages.pop())).contains("serverAuth is missing"));
        assert!(Svid::read("hello", &request.private_key).expect_err("no chain").contains("no certificate"));
        assert_eq!(chain_ends("hello"), None);
    }
}
