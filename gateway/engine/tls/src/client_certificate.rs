//! What a backend is told of a client's certificate: the value of `X-Forwarded-Client-Cert`, in Envoy's format.

use std::fmt::Write;

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::PeerIdentity;

impl PeerIdentity {
    /// The one SPIFFE name that the certificate is for; `None` where it has several URIs, or none.
    pub fn spiffe_uri(&self) -> Option<&str> {
        match self.uris.as_slice() {
            [uri] => Some(uri),
            _ => None,
        }
    }

    /// `Hash=…;Subject="…";URI=…;DNS=…`, as far as the certificate has them.
    pub fn forwarded(&self) -> String {
        let mut text = String::new();
        if let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 {
            text.push_str("Hash=");
            for byte in suite.common.hash_provider.hash(&self.certificate).as_ref() {
                let _ = write!(text, "{byte:02x}");
            }
        }
        if let Ok((_, certificate)) = X509Certificate::from_der(&self.certificate) {
            let _ = write!(text, ";Subject=\"{}\"", quotable(&certificate.subject().to_string()));
        }
        for uri in &self.uris {
            let _ = write!(text, ";URI={}", plain(uri));
        }
        for name in &self.dns_names {
            let _ = write!(text, ";DNS={}", plain(name));
        }
        text
    }
}

/// What may stand between quotes: nothing in a name may end them, or the header's line.
fn quotable(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// What may stand by itself: a name with a separator of the format is put between quotes.
fn plain(name: &str) -> String {
    let separates = |character: char| matches!(character, ',' | ';' | '=' | '"' | '\\') || character.is_whitespace();
    if name.contains(separates) { format!("\"{}\"", quotable(name)) } else { quotable(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;

    fn identity(uris: &[&str], common_name: &str) -> PeerIdentity {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let names = uris.iter().map(|uri| rcgen::SanType::URI((*uri).try_into().expect("a name")));
        parameters.subject_alt_names = names.collect();
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let der = CertificateDer::from(certificate.der().to_vec());
        PeerIdentity::from_chain(Some(&[der])).expect("an identity")
    }

    #[test]
    fn a_certificate_is_told_in_envoy_s_format() {
        let identity = identity(&["spiffe://cluster.local/ns/shop/sa/cart"], "cart");
        let text = identity.forwarded();
        let (hash, rest) = text.split_once(';').expect("several parts");
        assert_eq!(hash.len(), "Hash=".len() + 64);
        assert_eq!(rest, "Subject=\"CN=cart\";URI=spiffe://cluster.local/ns/shop/sa/cart");
        assert_eq!(identity.spiffe_uri(), Some("spiffe://cluster.local/ns/shop/sa/cart"));
    }

    #[test]
    fn two_uris_are_no_identity() {
        assert_eq!(identity(&["spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/d"], "x").spiffe_uri(), None);
        assert_eq!(identity(&[], "x").spiffe_uri(), None);
    }

    #[test]
    fn a_name_cannot_add_parts_of_its_own() {
        let text = identity(&[], "a\",URI=spiffe://root/ns/x/sa/y").forwarded();
        assert!(text.ends_with(";Subject=\"CN=a\\\",URI=spiffe://root/ns/x/sa/y\""), "{text}");
    }
}
