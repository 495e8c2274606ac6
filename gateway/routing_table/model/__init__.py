"""The routing table: the contract between the controller and the gateway.

Owns the shape of every resource a gateway consumes. The consumer owns the contract, so this
package lives in ``gateway``; the engine mirrors it in ``gateway/engine/table``, and
``tests/contract`` holds cases that both sides decode.

No Kubernetes type appears here. A resource is keyed, and its granularity follows the API a
person edits: one rule is one :class:`Route`, one Service port is one :class:`Backend`, the
endpoints of a backend and each certificate have keys of their own. One edit is therefore one
small message, and a change of endpoints never rebuilds a matcher.

Units are in the field names (``_ms``, ``_bytes``); an absent optional means "not configured".
"""

from __future__ import annotations

from gateway.routing_table.model.authentication import ClaimHeader, RequestAuthentication, TokenHeader, TokenRule
from gateway.routing_table.model.authorization import (
    AuthorizationAction,
    AuthorizationCondition,
    AuthorizationOperation,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
    ExternalAuthorization,
)
from gateway.routing_table.model.backends import (
    Backend,
    BackendTLS,
    Destination,
    Endpoint,
    Endpoints,
    Peer,
    SubjectAltName,
)
from gateway.routing_table.model.certificates import Certificate, TrustBundle
from gateway.routing_table.model.egress import (
    EgressCredential,
    EgressDestination,
    EgressLimits,
    EgressPolicy,
    EgressProtocol,
    EgressRule,
    EgressSource,
)
from gateway.routing_table.model.filters import (
    CORS,
    CredentialInjection,
    ExternalAuth,
    Filter,
    PathModifier,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    ResponseHeaderModifier,
    SecretHeader,
    SourceRanges,
    URLRewrite,
)
from gateway.routing_table.model.gateways import Gateway, Limits, Workload
from gateway.routing_table.model.listeners import (
    Captured,
    ClientValidation,
    Egress,
    EgressWay,
    Listener,
    MeshServer,
    RoutedEgress,
)
from gateway.routing_table.model.matches import GRPCMethodMatch, Match, PathMatch, ValueMatch
from gateway.routing_table.model.routes import Attachment, Failure, Retry, Route, Timeouts, WeightedBackend
from gateway.routing_table.model.schema import FORMAT, Header, Struct
from gateway.routing_table.model.tables import (
    Applied,
    Delta,
    ListenerState,
    Rejection,
    Removed,
    Resource,
    Resources,
    Snapshot,
    Update,
)

__all__ = [
    "CORS",
    "FORMAT",
    "Applied",
    "Attachment",
    "AuthorizationAction",
    "AuthorizationCondition",
    "AuthorizationOperation",
    "AuthorizationPolicy",
    "AuthorizationRule",
    "AuthorizationSource",
    "Backend",
    "BackendTLS",
    "Captured",
    "Certificate",
    "ClaimHeader",
    "ClientValidation",
    "CredentialInjection",
    "Delta",
    "Destination",
    "Egress",
    "EgressCredential",
    "EgressDestination",
    "EgressLimits",
    "EgressPolicy",
    "EgressProtocol",
    "EgressRule",
    "EgressSource",
    "EgressWay",
    "Endpoint",
    "Endpoints",
    "ExternalAuth",
    "ExternalAuthorization",
    "Failure",
    "Filter",
    "GRPCMethodMatch",
    "Gateway",
    "Header",
    "Limits",
    "Listener",
    "ListenerState",
    "Match",
    "MeshServer",
    "PathMatch",
    "PathModifier",
    "Peer",
    "Rejection",
    "Removed",
    "RequestAuthentication",
    "RequestHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "Resource",
    "Resources",
    "ResponseHeaderModifier",
    "Retry",
    "Route",
    "RoutedEgress",
    "SecretHeader",
    "Snapshot",
    "SourceRanges",
    "Struct",
    "SubjectAltName",
    "Timeouts",
    "TokenHeader",
    "TokenRule",
    "TrustBundle",
    "URLRewrite",
    "Update",
    "ValueMatch",
    "WeightedBackend",
    "Workload",
]
