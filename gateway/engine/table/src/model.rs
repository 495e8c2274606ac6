//! Serde mirror of `gateway/routing_table/model/`; the documentation of each field lives there.
//!
//! Every struct refuses unknown fields: an unknown field may be a match or a guard that this
//! reader does not understand. `tests/contract` holds cases that both sides decode. What few resources have is boxed,
//! where a table holds thousands without it.

mod answers;
mod authentication;
mod authorization;
mod backends;
mod certificates;
mod defaults;
mod egress;
mod filters;
mod gateways;
mod listeners;
mod matches;
mod routes;

pub use answers::{Applied, ListenerState, Rejection};
pub use authentication::{ClaimHeader, RequestAuthentication, TokenHeader, TokenRule};
pub use authorization::{
    AuthorizationAction, AuthorizationCondition, AuthorizationOperation, AuthorizationPolicy, AuthorizationRule,
    AuthorizationSource, ExternalAuthorization,
};
pub use backends::{
    Backend, BackendProtocol, BackendTls, Destination, Endpoint, Endpoints, Peer, PeerTunnel, SubjectAltName,
    SubjectAltNameType,
};
pub use certificates::{Certificate, TrustBundle};
pub use egress::{
    EgressAction, EgressCredential, EgressDestination, EgressLimits, EgressMode, EgressPolicy, EgressProtocol,
    EgressRule, EgressSource,
};
pub use filters::{
    Cors, CredentialInjection, ExternalAuth, Filter, Header, HeaderModifier, PathModifier, PathModifierType,
    RequestMirror, RequestRedirect, SecretHeader, SourceRanges, UrlRewrite,
};
pub use gateways::{Gateway, Limits, Workload};
pub use listeners::{
    Captured, ClientValidation, Egress, EgressWay, Listener, ListenerProtocol, MeshMode, MeshServer, RoutedEgress,
    TlsMode,
};
pub use matches::{GrpcMethodMatch, Match, PathMatch, PathMatchType, ValueMatch, ValueMatchType};
pub use routes::{Attachment, Failure, Retry, Route, RouteKind, Timeouts, WeightedBackend};

/// Version of the wire format; equals `FORMAT` in Python.
pub const FORMAT: u32 = 1;
