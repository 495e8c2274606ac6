//! Why no connection to a backend could be had, in words that name the endpoint.

use std::fmt;
use std::sync::Arc;

use sekisho_tls::{TlsError, TlsErrorKind};

use crate::endpoint::EndpointHandle;

#[derive(Clone, Debug)]
pub enum OpenError {
    /// The backend exists and has no ready endpoint.
    NoEndpoints,
    /// The endpoint's name has no address.
    Dns { endpoint: EndpointHandle, message: Arc<str> },
    /// Nothing answered at the endpoint's address.
    Connect { endpoint: EndpointHandle, message: Arc<str> },
    /// The handshake failed, or the backend's TLS settings cannot be used.
    Tls { endpoint: EndpointHandle, message: Arc<str> },
    /// The endpoint is not the one that is expected there.
    Identity { endpoint: EndpointHandle, message: Arc<str> },
    /// The gateway has no identity to show to an endpoint of the mesh.
    NoIdentity { endpoint: EndpointHandle, message: Arc<str> },
    /// The connection was not ready in time.
    Timeout { endpoint: EndpointHandle, message: Arc<str> },
}

/// The same without the endpoint, which would otherwise own itself through its last failure.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Dns(Arc<str>),
    Connect(Arc<str>),
    Tls(Arc<str>),
    Identity(Arc<str>),
    NoIdentity(Arc<str>),
    Timeout(Arc<str>),
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let message = error.message.into();
        match error.kind {
            TlsErrorKind::Identity => Self::Identity(message),
            TlsErrorKind::NoIdentity => Self::NoIdentity(message),
            _ => Self::Tls(message),
        }
    }
}

impl Failure {
    pub(crate) fn at(self, endpoint: EndpointHandle) -> OpenError {
        match self {
            Self::Dns(message) => OpenError::Dns { endpoint, message },
            Self::Connect(message) => OpenError::Connect { endpoint, message },
            Self::Tls(message) => OpenError::Tls { endpoint, message },
            Self::Identity(message) => OpenError::Identity { endpoint, message },
            Self::NoIdentity(message) => OpenError::NoIdentity { endpoint, message },
            Self::Timeout(message) => OpenError::Timeout { endpoint, message },
        }
    }
}

impl OpenError {
    /// The endpoint to avoid in a next attempt.
    pub fn endpoint(&self) -> Option<&EndpointHandle> {
        match self {
            Self::NoEndpoints => None,
            Self::Dns { endpoint, .. }
            | Self::Connect { endpoint, .. }
            | Self::Tls { endpoint, .. }
            | Self::Identity { endpoint, .. }
            | Self::NoIdentity { endpoint, .. }
            | Self::Timeout { endpoint, .. } => Some(endpoint),
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::NoEndpoints => "the backend has no ready endpoint",
            Self::Dns { message, .. }
            | Self::Connect { message, .. }
            | Self::Tls { message, .. }
            | Self::Identity { message, .. }
            | Self::NoIdentity { message, .. }
            | Self::Timeout { message, .. } => message,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint() {
            Some(endpoint) => write!(f, "endpoint {}: {}", endpoint.label(), self.message()),
            None => f.write_str(self.message()),
        }
    }
}

impl std::error::Error for OpenError {}
