//! What went wrong in a handshake, in words that name the likely cause.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::mesh::WrongIdentity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsErrorKind {
    /// The client named a host that no listener of the socket serves, or named none where one is needed.
    UnrecognizedName,
    /// The other side does not speak TLS.
    NotTls,
    /// The peer's certificate is not acceptable, or the peer refused ours.
    Certificate,
    /// The peer's certificate is good, and not that of the identity which is expected, or of none at all.
    Identity,
    /// This gateway has no identity, or one that has ended.
    NoIdentity,
    /// The two sides share no version, cipher suite or application protocol.
    Incompatible,
    /// The connection ended in the middle of the handshake.
    Closed,
    /// This side's own configuration is unusable.
    Configuration,
    /// Anything else that broke the handshake.
    Handshake,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    pub kind: TlsErrorKind,
    pub message: String,
}

impl TlsError {
    pub(crate) fn new(kind: TlsErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// `peer` reads well at the start of a sentence, for example "the client".
    pub(crate) fn from_io(error: &io::Error, peer: &str) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return Self::from_rustls(tls, peer);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::new(TlsErrorKind::Closed, format!("{peer} closed the connection during the TLS handshake"))
            }
            _ => Self::new(TlsErrorKind::Handshake, format!("the TLS handshake with {peer} failed: {error}")),
        }
    }

    pub(crate) fn from_rustls(error: &Error, peer: &str) -> Self {
        use TlsErrorKind::{Certificate, Handshake, Identity, Incompatible, NotTls, UnrecognizedName};
        let (kind, message) = match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                (NotTls, format!("{peer} does not speak TLS; maybe this is a plain HTTP port"))
            }
            Error::InvalidCertificate(CertificateError::Other(detail)) if detail.0.is::<WrongIdentity>() => {
                (Identity, detail.0.to_string())
            }
            Error::InvalidCertificate(problem) => (Certificate, certificate_problem(problem, peer)),
            Error::NoCertificatesPresented => (Certificate, format!("{peer} presented no certificate")),
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                (Incompatible, format!("{peer} speaks none of the protocols offered by ALPN"))
            }
            Error::PeerIncompatible(why) => {
                (Incompatible, format!("{peer} and the gateway share no TLS version or cipher suite ({why:?})"))
            }
            Error::AlertReceived(AlertDescription::UnrecognisedName) => {
                (UnrecognizedName, format!("{peer} does not know the server name it was sent"))
            }
            Error::AlertReceived(alert) => alert_received(*alert, peer),
            other => (Handshake, format!("the TLS handshake with {peer} failed: {other}")),
        };
        Self::new(kind, message)
    }
}

fn alert_received(alert: AlertDescription, peer: &str) -> (TlsErrorKind, String) {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => {
            (TlsErrorKind::Certificate, format!("{peer} requires a client certificate and none is configured"))
        }
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied => {
            (TlsErrorKind::Certificate, format!("{peer} refused the certificate it was sent ({alert:?})"))
        }
        Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            (TlsErrorKind::Incompatible, format!("{peer} refused the TLS version or cipher suites ({alert:?})"))
        }
        Alert::HandshakeFailure => (
            TlsErrorKind::Incompatible,
            format!("{peer} refused the handshake; maybe it requires a client certificate or shares no cipher suite"),
        ),
        other => (TlsErrorKind::Handshake, format!("{peer} broke off the TLS handshake ({other:?})")),
    }
}

fn certificate_problem(problem: &CertificateError, peer: &str) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {peer}, or one of its issuers, has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {peer} is not valid yet; maybe a clock is wrong")
        }
        CertificateError::UnknownIssuer => format!(
            "the certificate of {peer} is not signed by a trusted authority; \
             maybe the CA certificate configured for it is another one"
        ),
        CertificateError::BadSignature => {
            format!(
                "the certificate of {peer} is not signed by the authority it names; maybe that authority was replaced"
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate of {peer} is not meant for this side of a connection (extended key usage)")
        }
        CertificateError::BadEncoding => format!("the certificate of {peer} cannot be read"),
        CertificateError::Other(detail) => detail.0.to_string(),
        other => format!("the certificate of {peer} is not acceptable: {other}"),
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}
