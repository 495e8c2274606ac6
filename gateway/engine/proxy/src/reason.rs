//! Stable reason codes: why a request ended as it did.
//!
//! Mirrors `gateway/routing_table/reasons.py`; a contract test compares the two. Access log,
//! metrics and explain share the codes. Flags are Envoy's.

use serde::Serialize;

macro_rules! reasons {
    ($($variant:ident, $code:literal, $flags:literal, $summary:literal;)*) => {
        /// Why a request ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Reason { $($variant),* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            pub fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code),* }
            }

            /// Envoy's `response_flags`.
            pub fn flags(self) -> &'static str {
                match self { $(Reason::$variant => $flags),* }
            }

            /// One sentence for the client; names nothing internal.
            pub fn summary(self) -> &'static str {
                match self { $(Reason::$variant => $summary),* }
            }

            pub fn from_code(code: &str) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    ViaUpstream, "via_upstream", "-", "";
    Redirect, "redirect", "-", "";
    CorsPreflight, "cors_preflight", "-", "";
    RouteNotFound, "route_not_found", "NR", "no route matches this request";
    MisdirectedRequest, "misdirected_request", "NR", "this host is not served on this connection";
    FilterNotResolved, "filter_not_resolved", "NC", "the route has a filter that cannot be applied";
    BackendNotFound, "backend_not_found", "NC", "the route names a backend that does not exist";
    BackendNotPermitted, "backend_not_permitted", "NC", "the route may not use its backend";
    BackendKindUnsupported, "backend_kind_unsupported", "NC", "the route names a backend of an unsupported kind";
    BackendPortInvalid, "backend_port_invalid", "NC", "the route names a backend port that does not exist";
    BackendTlsInvalid, "backend_tls_invalid", "NC", "the backend's TLS policy is not valid";
    NoBackends, "no_backends", "NC", "the route has no backend to send this request to";
    NoHealthyUpstream, "no_healthy_upstream", "UH", "no ready endpoint";
    UpstreamConnectFailed, "upstream_connect_failed", "UF", "the backend could not be reached";
    UpstreamTlsFailed, "upstream_tls_failed", "UF", "TLS with the backend failed";
    UpstreamReset, "upstream_reset", "UC", "the backend closed the connection before answering";
    UpstreamProtocolError, "upstream_protocol_error", "UPE", "the backend's answer is not valid HTTP";
    UpstreamRequestTimeout, "upstream_request_timeout", "UT", "the backend did not answer in time";
    RequestTimeout, "request_timeout", "UT", "the request took too long";
    StreamIdleTimeout, "stream_idle_timeout", "SI", "nothing was sent or received for too long";
    RequestHeadTimeout, "request_head_timeout", "DPE", "the request head did not arrive in time";
    RequestMalformed, "request_malformed", "DPE", "the request is not valid HTTP";
    RequestHeadTooLarge, "request_head_too_large", "DPE", "the request head is too large";
    DownstreamDisconnected, "downstream_disconnected", "DC", "";
    UpgradeRefused, "upgrade_refused", "-", "";
    Overload, "overload", "OM", "too many connections";
    AuthorizationDenied, "authorization_denied", "-", "access is denied";
    MeshIdentityMissing, "mesh_identity_missing", "UF", "the gateway has no identity to show to this backend";
    UpstreamIdentityMismatch, "upstream_identity_mismatch", "UF", "the backend is not who it should be";
    MutualTlsRequired, "mutual_tls_required", "DPE", "mutual TLS is required";
    MutualTlsFailed, "mutual_tls_failed", "DPE", "the client could not be verified";
    OriginalDestinationRefused, "original_destination_refused", "NR", "this destination is not served here";
    AuthorizationUnavailable, "authorization_unavailable", "-", "access is denied because it cannot be decided";
    SourceDenied, "source_denied", "-", "access is denied to this address";
    ExternalAuthorizationDenied, "external_authorization_denied", "UAEX", "access is denied";
    ExternalAuthorizationFailed, "external_authorization_failed", "UAEX", "access is denied because it cannot be decided";
    TokenMalformed, "token_malformed", "-", "the token cannot be read";
    TokenIssuerUnknown, "token_issuer_unknown", "-", "the token is of an issuer that is not known here";
    TokenKeysUnavailable, "token_keys_unavailable", "-", "the keys of the token's issuer are not known";
    TokenUnverified, "token_unverified", "-", "the token is not signed by its issuer";
    TokenAudience, "token_audience", "-", "the token is meant for others";
    TokenNotYetValid, "token_not_yet_valid", "-", "the token is not valid yet";
    TokenExpired, "token_expired", "-", "the token has expired";
    AuthenticationUnavailable, "authentication_unavailable", "-", "access is denied because it cannot be told who asks";
    EgressDenied, "egress_denied", "-", "no egress policy allows this destination";
    EgressPolicyUnavailable, "egress_policy_unavailable", "-", "egress is denied because it cannot be decided";
    EgressCredentialsRequired, "egress_credentials_required", "-", "the proxy asks for credentials";
    EgressNameInvalid, "egress_name_invalid", "-", "the destination is not a name that can be trusted";
    EgressNameUnresolved, "egress_name_unresolved", "-", "the destination's name could not be resolved";
    EgressResolverUntrusted, "egress_resolver_untrusted", "-", "the server that resolves names did not prove who it is";
    EgressAddressProhibited, "egress_address_prohibited", "-", "the destination is at an address that may not be reached";
    EgressNameMismatch, "egress_name_mismatch", "-", "the connection names two destinations";
    EgressNameHidden, "egress_name_hidden", "-", "the connection hides its destination";
    EgressNotTls, "egress_not_tls", "-", "only TLS is allowed to this destination";
    EgressLimit, "egress_limit", "-", "a limit of the egress policy is reached";
    EgressRevoked, "egress_revoked", "-", "the egress policy no longer allows this destination";
}

/// JSON object of code → flags.
pub fn reasons() -> Vec<u8> {
    let map: serde_json::Map<String, serde_json::Value> =
        Reason::ALL.iter().map(|reason| (reason.code().to_owned(), reason.flags().into())).collect();
    serde_json::Value::Object(map).to_string().into_bytes()
}
