//! The part of verifying a peer that is the same for everybody: that it holds the key of the certificate it shows, and that
//! a server's chain ends at an authority. Whether the certificate is the right one is a [`ServerCheck`]'s or
//! [`ClientCheck`]'s to say.

use std::fmt;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::provider;

/// A certificate and what came with it.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    pub leaf: &'a CertificateDer<'a>,
    pub intermediates: &'a [CertificateDer<'a>],
    pub now: UnixTime,
}

impl Presented<'_> {
    /// Whether a server's chain ends at one of the roots (webpki's to say; the extended key usage is part of it).
    pub fn chains_to(&self, roots: &RootCertStore) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(self.leaf)?;
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, self.intermediates, self.now, algorithms)
    }
}

/// Which servers are taken.
pub(crate) trait ServerCheck: fmt::Debug + Send + Sync {
    fn check(&self, presented: Presented<'_>, server_name: &ServerName<'_>) -> Result<(), Error>;
}

/// Which clients are taken.
pub(crate) trait ClientCheck: fmt::Debug + Send + Sync {
    fn check(&self, presented: Presented<'_>) -> Result<(), Error>;

    /// Whether a client without certificate is refused.
    fn mandatory(&self) -> bool {
        true
    }

    /// The authorities that are named to clients, who choose a certificate by them.
    fn hints(&self) -> &[DistinguishedName];
}

/// A check, as rustls asks for it.
#[derive(Debug)]
pub(crate) struct Checked<C>(pub C);

impl<C: ServerCheck> ServerCertVerifier for Checked<C> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.check(Presented { leaf, intermediates, now }, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl<C: ClientCheck> ClientCertVerifier for Checked<C> {
    fn client_auth_mandatory(&self) -> bool {
        self.0.mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.hints()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.check(Presented { leaf, intermediates, now })?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
