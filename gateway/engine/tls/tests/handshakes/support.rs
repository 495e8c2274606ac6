//! Certificate authorities and certificates made for one test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, date_time_ymd,
};
use sekisho_table::{Certificate, Table, TrustBundle};

/// Runs a test and the tasks that it starts.
#[allow(dead_code, reason = "the certificates serve the tests of other crates too")]
pub fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate chain and its key, PEM.
#[derive(Clone)]
pub struct Issued {
    pub chain: String,
    pub key: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Current,
    Expired,
    NotYet,
}

/// Which side of a connection a certificate is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Both,
    ServerOnly,
    ClientOnly,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Ecdsa,
    Ed25519,
}

/// What a certificate is issued for: DNS names, `spiffe://` URIs and IP addresses are told apart by their form.
pub struct Request<'a> {
    pub names: &'a [&'a str],
    pub validity: Validity,
    pub key_type: KeyType,
    pub usage: Usage,
}

impl<'a> Request<'a> {
    pub fn names(names: &'a [&'a str]) -> Self {
        Self { names, validity: Validity::Current, key_type: KeyType::Ecdsa, usage: Usage::Both }
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().expect("a key"));
        Self { issuer: issuer.expect("an authority") }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::signed_by(authority_params(name), key, &self.issuer);
        Self { issuer: issuer.expect("an intermediate authority") }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_as(&Request::names(names))
    }

    pub fn issue_as(&self, request: &Request<'_>) -> Issued {
        let key = key(request.key_type);
        let certificate = params(request).signed_by(&key, &self.issuer).expect("a certificate");
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A certificate that is its own authority, as development servers have.
pub fn self_signed(request: &Request<'_>) -> Issued {
    let key = key(request.key_type);
    let mut params = params(request);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    Issued { chain: certificate.pem(), key: key.serialize_pem() }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn params(request: &Request<'_>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = request.names.iter().map(|name| subject_alt_name(name)).collect();
    params.distinguished_name.push(DnType::CommonName, request.names.first().copied().unwrap_or("nobody"));
    params.extended_key_usages = match request.usage {
        Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Usage::ServerOnly => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::ClientOnly => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    (params.not_before, params.not_after) = match request.validity {
        Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1)),
        Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        Validity::NotYet => (date_time_ymd(2099, 1, 1), date_time_ymd(2100, 1, 1)),
    };
    params
}

fn subject_alt_name(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        return SanType::IpAddress(address);
    }
    let text = name.try_into().expect("an ASCII name");
    if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) }
}

fn key(key_type: KeyType) -> KeyPair {
    let algorithm = match key_type {
        KeyType::Ecdsa => &PKCS_ECDSA_P256_SHA256,
        KeyType::Ed25519 => &PKCS_ED25519,
    };
    KeyPair::generate_for(algorithm).expect("a key")
}

impl Issued {
    /// With `authority` after the leaf, as a server sends it.
    pub fn with(mut self, authority: &Authority) -> Self {
        self.chain.push_str(&authority.pem());
        self
    }

    pub fn certificate(&self, key: &str) -> Certificate {
        Certificate { key: key.to_owned(), chain: self.chain.clone(), private_key: self.key.clone() }
    }
}

pub fn add_certificate(table: &mut Table, key: &str, issued: &Issued) {
    table.certificates.insert(key.to_owned(), Arc::new(issued.certificate(key)));
}

pub fn add_bundle(table: &mut Table, key: &str, certificates: String) {
    table.trust_bundles.insert(key.to_owned(), Arc::new(TrustBundle { key: key.to_owned(), certificates }));
}
