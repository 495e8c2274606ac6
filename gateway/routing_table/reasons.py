"""Stable reason codes: why a request ended as it did.

The access log (``response_code_details``), the metrics (``response_flags``) and ``explain`` share
them. Codes are never renamed or reused. The engine holds the same list, and a contract test
compares the two. Flags are Envoy's, so that existing dashboards read them.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a request ended as it did."""

    VIA_UPSTREAM = "via_upstream"
    REDIRECT = "redirect"
    CORS_PREFLIGHT = "cors_preflight"
    ROUTE_NOT_FOUND = "route_not_found"
    MISDIRECTED_REQUEST = "misdirected_request"
    FILTER_NOT_RESOLVED = "filter_not_resolved"
    BACKEND_NOT_FOUND = "backend_not_found"
    BACKEND_NOT_PERMITTED = "backend_not_permitted"
    BACKEND_KIND_UNSUPPORTED = "backend_kind_unsupported"
    BACKEND_PORT_INVALID = "backend_port_invalid"
    BACKEND_TLS_INVALID = "backend_tls_invalid"
    NO_BACKENDS = "no_backends"
    NO_HEALTHY_UPSTREAM = "no_healthy_upstream"
    UPSTREAM_CONNECT_FAILED = "upstream_connect_failed"
    UPSTREAM_TLS_FAILED = "upstream_tls_failed"
    UPSTREAM_RESET = "upstream_reset"
    UPSTREAM_PROTOCOL_ERROR = "upstream_protocol_error"
    UPSTREAM_REQUEST_TIMEOUT = "upstream_request_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    STREAM_IDLE_TIMEOUT = "stream_idle_timeout"
    REQUEST_HEAD_TIMEOUT = "request_head_timeout"
    REQUEST_MALFORMED = "request_malformed"
    REQUEST_HEAD_TOO_LARGE = "request_head_too_large"
    DOWNSTREAM_DISCONNECTED = "downstream_disconnected"
    UPGRADE_REFUSED = "upgrade_refused"
    OVERLOAD = "overload"
    MESH_IDENTITY_MISSING = "mesh_identity_missing"
    UPSTREAM_IDENTITY_MISMATCH = "upstream_identity_mismatch"
    MUTUAL_TLS_REQUIRED = "mutual_tls_required"
    MUTUAL_TLS_FAILED = "mutual_tls_failed"
    ORIGINAL_DESTINATION_REFUSED = "original_destination_refused"
    AUTHORIZATION_DENIED = "authorization_denied"
    AUTHORIZATION_UNAVAILABLE = "authorization_unavailable"
    SOURCE_DENIED = "source_denied"
    EXTERNAL_AUTHORIZATION_DENIED = "external_authorization_denied"
    EXTERNAL_AUTHORIZATION_FAILED = "external_authorization_failed"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_ISSUER_UNKNOWN = "token_issuer_unknown"
    TOKEN_KEYS_UNAVAILABLE = "token_keys_unavailable"
    TOKEN_UNVERIFIED = "token_unverified"
    TOKEN_AUDIENCE = "token_audience"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_EXPIRED = "token_expired"
    AUTHENTICATION_UNAVAILABLE = "authentication_unavailable"
    EGRESS_DENIED = "egress_denied"
    EGRESS_POLICY_UNAVAILABLE = "egress_policy_unavailable"
    EGRESS_CREDENTIALS_REQUIRED = "egress_credentials_required"
    EGRESS_NAME_INVALID = "egress_name_invalid"
    EGRESS_NAME_UNRESOLVED = "egress_name_unresolved"
    EGRESS_RESOLVER_UNTRUSTED = "egress_resolver_untrusted"
    EGRESS_ADDRESS_PROHIBITED = "egress_address_prohibited"
    EGRESS_NAME_MISMATCH = "egress_name_mismatch"
    EGRESS_NAME_HIDDEN = "egress_name_hidden"
    EGRESS_NOT_TLS = "egress_not_tls"
    EGRESS_LIMIT = "egress_limit"
    EGRESS_REVOKED = "egress_revoked"


FLAGS: dict[Reason, str] = {
    Reason.VIA_UPSTREAM: "-",
    Reason.REDIRECT: "-",
    Reason.CORS_PREFLIGHT: "-",
    Reason.ROUTE_NOT_FOUND: "NR",
    Reason.MISDIRECTED_REQUEST: "NR",
    Reason.FILTER_NOT_RESOLVED: "NC",
    Reason.BACKEND_NOT_FOUND: "NC",
    Reason.BACKEND_NOT_PERMITTED: "NC",
    Reason.BACKEND_KIND_UNSUPPORTED: "NC",
    Reason.BACKEND_PORT_INVALID: "NC",
    Reason.BACKEND_TLS_INVALID: "NC",
    Reason.NO_BACKENDS: "NC",
    Reason.NO_HEALTHY_UPSTREAM: "UH",
    Reason.UPSTREAM_CONNECT_FAILED: "UF",
    Reason.UPSTREAM_TLS_FAILED: "UF",
    Reason.UPSTREAM_RESET: "UC",
    Reason.UPSTREAM_PROTOCOL_ERROR: "UPE",
    Reason.UPSTREAM_REQUEST_TIMEOUT: "UT",
    Reason.REQUEST_TIMEOUT: "UT",
    Reason.STREAM_IDLE_TIMEOUT: "SI",
    Reason.REQUEST_HEAD_TIMEOUT: "DPE",
    Reason.REQUEST_MALFORMED: "DPE",
    Reason.REQUEST_HEAD_TOO_LARGE: "DPE",
    Reason.DOWNSTREAM_DISCONNECTED: "DC",
    Reason.UPGRADE_REFUSED: "-",
    Reason.OVERLOAD: "OM",
    Reason.MESH_IDENTITY_MISSING: "UF",
    Reason.UPSTREAM_IDENTITY_MISMATCH: "UF",
    Reason.MUTUAL_TLS_REQUIRED: "DPE",
    Reason.MUTUAL_TLS_FAILED: "DPE",
    Reason.ORIGINAL_DESTINATION_REFUSED: "NR",
    Reason.AUTHORIZATION_DENIED: "-",
    Reason.AUTHORIZATION_UNAVAILABLE: "-",
    Reason.SOURCE_DENIED: "-",
    Reason.EXTERNAL_AUTHORIZATION_DENIED: "UAEX",
    Reason.EXTERNAL_AUTHORIZATION_FAILED: "UAEX",
    Reason.TOKEN_MALFORMED: "-",
    Reason.TOKEN_ISSUER_UNKNOWN: "-",
    Reason.TOKEN_KEYS_UNAVAILABLE: "-",
    Reason.TOKEN_UNVERIFIED: "-",
    Reason.TOKEN_AUDIENCE: "-",
    Reason.TOKEN_NOT_YET_VALID: "-",
    Reason.TOKEN_EXPIRED: "-",
    Reason.AUTHENTICATION_UNAVAILABLE: "-",
    Reason.EGRESS_DENIED: "-",
    Reason.EGRESS_POLICY_UNAVAILABLE: "-",
    Reason.EGRESS_CREDENTIALS_REQUIRED: "-",
    Reason.EGRESS_NAME_INVALID: "-",
    Reason.EGRESS_NAME_UNRESOLVED: "-",
    Reason.EGRESS_RESOLVER_UNTRUSTED: "-",
    Reason.EGRESS_ADDRESS_PROHIBITED: "-",
    Reason.EGRESS_NAME_MISMATCH: "-",
    Reason.EGRESS_NAME_HIDDEN: "-",
    Reason.EGRESS_NOT_TLS: "-",
    Reason.EGRESS_LIMIT: "-",
    Reason.EGRESS_REVOKED: "-",
}
"""Envoy's ``response_flags`` for each reason; ``-`` where Envoy sets none."""
