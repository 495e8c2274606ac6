//! Serde mirror of `gateway/routing_table/model.py`; the documentation of each field lives there.
//!
//! Every struct refuses unknown fields: an unknown field may be a match or a guard that this
//! reader does not understand. `tests/contract` holds cases that both sides decode. What few resources have is boxed,
//! where a table holds thousands without it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Version of the wire format; equals `FORMAT` in Python.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub max_connections: u32,
    pub max_connections_per_listener: u32,
    pub max_request_head_bytes: u32,
    pub max_request_headers: u32,
    pub max_concurrent_streams: u32,
    pub initial_stream_window_bytes: u32,
    pub initial_connection_window_bytes: u32,
    pub max_resets_per_connection: u32,
    pub tls_handshake_timeout_ms: u64,
    pub request_head_timeout_ms: u64,
    pub stream_idle_timeout_ms: u64,
    pub connection_idle_timeout_ms: u64,
    pub connect_timeout_ms: u64,
    pub drain_timeout_ms: u64,
    pub replay_buffer_bytes: u32,
    pub mirror_buffer_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            max_connections_per_listener: 10_000,
            max_request_head_bytes: 60 * 1024,
            max_request_headers: 100,
            max_concurrent_streams: 100,
            initial_stream_window_bytes: 64 * 1024,
            initial_connection_window_bytes: 1024 * 1024,
            max_resets_per_connection: 100,
            tls_handshake_timeout_ms: 15_000,
            request_head_timeout_ms: 60_000,
            stream_idle_timeout_ms: 300_000,
            connection_idle_timeout_ms: 3_600_000,
            connect_timeout_ms: 5_000,
            drain_timeout_ms: 30_000,
            replay_buffer_bytes: 64 * 1024,
            mirror_buffer_bytes: 1024 * 1024,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    pub namespace: String,
    #[serde(default)]
    pub canonical_service: String,
    #[serde(default)]
    pub canonical_revision: String,
    #[serde(default)]
    pub cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub key: String,
    #[serde(default)]
    pub workload: Option<Workload>,
    #[serde(default)]
    pub trusted_hops: u32,
    #[serde(default = "yes")]
    pub access_log: bool,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ListenerProtocol {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "HBONE")]
    Hbone,
}

impl ListenerProtocol {
    /// Requests rather than connections.
    pub fn takes_requests(self) -> bool {
        match self {
            Self::Http | Self::Https => true,
            Self::Tls | Self::Tcp | Self::Udp | Self::Hbone => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Hbone => "HBONE",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum TlsMode {
    #[default]
    Terminate,
    Passthrough,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientValidation {
    pub trust_bundles: Vec<String>,
    #[serde(default)]
    pub allow_insecure_fallback: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub key: String,
    pub gateway: String,
    pub address: IpAddr,
    pub port: u16,
    pub bind_port: u16,
    pub protocol: ListenerProtocol,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub certificates: Vec<String>,
    #[serde(default)]
    pub tls_mode: TlsMode,
    #[serde(default)]
    pub client_validation: Option<ClientValidation>,
    #[serde(default)]
    pub authorization: Vec<String>,
    #[serde(default)]
    pub authentication: Vec<String>,
    #[serde(default)]
    pub egress: Option<Egress>,
    #[serde(default)]
    pub routed_egress: Option<RoutedEgress>,
    #[serde(default)]
    pub captured: Option<Captured>,
    #[serde(default)]
    pub mesh: Option<MeshServer>,
    #[serde(default)]
    pub inner: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Captured {
    pub addresses: Vec<IpAddr>,
    pub any_port: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MeshMode {
    Strict,
    #[default]
    Permissive,
    Disable,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeshServer {
    pub mode: MeshMode,
}

impl Listener {
    /// The gateway ends the client's TLS here, with a certificate of its own.
    pub fn terminates_tls(&self) -> bool {
        match self.protocol {
            ListenerProtocol::Https => true,
            ListenerProtocol::Tls => self.tls_mode == TlsMode::Terminate,
            ListenerProtocol::Http | ListenerProtocol::Tcp | ListenerProtocol::Udp | ListenerProtocol::Hbone => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenHeader {
    pub name: String,
    #[serde(default)]
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeader {
    pub header: String,
    pub claim: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenRule {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub keys: String,
    pub from_headers: Vec<TokenHeader>,
    pub from_params: Vec<String>,
    pub from_cookies: Vec<String>,
    pub output_payload_to_header: String,
    pub output_claim_to_headers: Vec<ClaimHeader>,
    pub forward_original_token: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RequestAuthentication {
    pub key: String,
    #[serde(default)]
    pub rules: Vec<TokenRule>,
    #[serde(default)]
    pub refusal: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressWay {
    Proxy,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "HTTP")]
    Http,
}

impl EgressWay {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    pub way: EgressWay,
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub nameservers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoutedEgress {
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub nameservers: Vec<String>,
}

/// No `Debug` derive: the digest must not reach a log by accident.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressCredential {
    pub user: String,
    pub sha256: String,
}

impl std::fmt::Debug for EgressCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressCredential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSource {
    pub principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub service_accounts: Vec<String>,
    pub subject_alt_names: Vec<String>,
    pub credentials: Vec<EgressCredential>,
    pub ip_blocks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum EgressProtocol {
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "TCP")]
    Tcp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressDestination {
    pub names: Vec<String>,
    pub ip_blocks: Vec<String>,
    pub ports: Vec<u16>,
    pub protocols: Vec<EgressProtocol>,
    pub methods: Vec<String>,
    pub path_prefixes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressLimits {
    pub connections: u32,
    pub bytes: u64,
    pub duration_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressAction {
    #[default]
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    pub name: String,
    #[serde(default)]
    pub action: EgressAction,
    #[serde(default)]
    pub sources: Vec<EgressSource>,
    pub destinations: Vec<EgressDestination>,
    #[serde(default)]
    pub address_blocks: Vec<String>,
    #[serde(default)]
    pub encrypted_client_hello: bool,
    #[serde(default)]
    pub limits: EgressLimits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressMode {
    #[default]
    Enforce,
    Report,
}

impl EgressMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Report => "Report",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPolicy {
    pub key: String,
    #[serde(default)]
    pub mode: EgressMode,
    #[serde(default)]
    pub rules: Vec<EgressRule>,
    #[serde(default)]
    pub confined_to: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default)]
    pub refusal: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthorizationAction {
    #[default]
    Allow,
    Deny,
    Audit,
    Custom,
}

impl AuthorizationAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationSource {
    pub principals: Vec<String>,
    pub not_principals: Vec<String>,
    pub request_principals: Vec<String>,
    pub not_request_principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub not_namespaces: Vec<String>,
    pub service_accounts: Vec<String>,
    pub not_service_accounts: Vec<String>,
    pub ip_blocks: Vec<String>,
    pub not_ip_blocks: Vec<String>,
    pub remote_ip_blocks: Vec<String>,
    pub not_remote_ip_blocks: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationOperation {
    pub hosts: Vec<String>,
    pub not_hosts: Vec<String>,
    pub ports: Vec<u16>,
    pub not_ports: Vec<u16>,
    pub methods: Vec<String>,
    pub not_methods: Vec<String>,
    pub paths: Vec<String>,
    pub not_paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationCondition {
    pub key: String,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default)]
    pub not_values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationRule {
    pub sources: Vec<AuthorizationSource>,
    pub operations: Vec<AuthorizationOperation>,
    pub conditions: Vec<AuthorizationCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuthorization {
    pub backend: String,
    #[serde(default)]
    pub path_prefix: String,
    #[serde(default = "five_seconds")]
    pub timeout_ms: u64,
    #[serde(default)]
    pub request_headers: Vec<String>,
    #[serde(default)]
    pub additional_headers: Vec<Header>,
    #[serde(default)]
    pub upstream_headers: Vec<String>,
    #[serde(default)]
    pub downstream_headers_on_allow: Vec<String>,
    #[serde(default)]
    pub downstream_headers_on_deny: Vec<String>,
    #[serde(default = "forbidden")]
    pub status_on_error: u16,
    #[serde(default)]
    pub fail_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationPolicy {
    pub key: String,
    #[serde(default)]
    pub action: AuthorizationAction,
    #[serde(default)]
    pub rules: Vec<AuthorizationRule>,
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default)]
    pub refusal: String,
    #[serde(default)]
    pub provider: Option<ExternalAuthorization>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum PathMatchType {
    Exact,
    PathPrefix,
    RegularExpression,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PathMatch {
    #[serde(rename = "type")]
    pub kind: PathMatchType,
    pub value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ValueMatchType {
    #[default]
    Exact,
    RegularExpression,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMatch {
    pub name: String,
    pub value: String,
    #[serde(rename = "type", default)]
    pub kind: ValueMatchType,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcMethodMatch {
    #[serde(rename = "type", default)]
    pub kind: ValueMatchType,
    #[serde(default)]
    pub service: String,
    #[serde(default)]
    pub method: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub path: Option<PathMatch>,
    pub method: String,
    pub headers: Vec<ValueMatch>,
    pub query: Vec<ValueMatch>,
    pub grpc: Option<Box<GrpcMethodMatch>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum PathModifierType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PathModifier {
    #[serde(rename = "type")]
    pub kind: PathModifierType,
    pub value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderModifier {
    pub set: Vec<Header>,
    pub add: Vec<Header>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRedirect {
    #[serde(default)]
    pub scheme: String,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub path: Option<PathModifier>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "found")]
    pub status: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UrlRewrite {
    pub hostname: String,
    pub path: Option<PathModifier>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RequestMirror {
    pub backend: String,
    #[serde(default = "one")]
    pub numerator: u32,
    #[serde(default = "one")]
    pub denominator: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    #[serde(default)]
    pub allow_origins: Vec<String>,
    #[serde(default)]
    pub allow_credentials: bool,
    #[serde(default)]
    pub allow_methods: Vec<String>,
    #[serde(default)]
    pub allow_headers: Vec<String>,
    #[serde(default)]
    pub expose_headers: Vec<String>,
    #[serde(default = "five")]
    pub max_age_seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuth {
    pub provider: ExternalAuthorization,
}

/// No `Debug` derive: the value must not reach a log by accident.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretHeader {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialInjection {
    pub headers: Vec<SecretHeader>,
    #[serde(default)]
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type")]
pub enum Filter {
    RequestHeaderModifier(HeaderModifier),
    ResponseHeaderModifier(HeaderModifier),
    RequestRedirect(Box<RequestRedirect>),
    #[serde(rename = "URLRewrite")]
    UrlRewrite(UrlRewrite),
    RequestMirror(RequestMirror),
    #[serde(rename = "CORS")]
    Cors(Box<Cors>),
    ExternalAuth(Box<ExternalAuth>),
    CredentialInjection(CredentialInjection),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub status: u16,
    pub code: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedBackend {
    #[serde(default)]
    pub backend: String,
    #[serde(default = "one")]
    pub weight: u32,
    #[serde(default)]
    pub filters: Vec<Filter>,
    #[serde(default)]
    pub failure: Option<Box<Failure>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    pub request_ms: u64,
    pub backend_request_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    #[serde(default)]
    pub codes: Vec<u16>,
    #[serde(default = "one")]
    pub attempts: u32,
    #[serde(default = "retry_backoff")]
    pub backoff_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    pub listener: String,
    pub hostnames: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum RouteKind {
    #[serde(rename = "HTTPRoute")]
    Http,
    #[serde(rename = "GRPCRoute")]
    Grpc,
    #[serde(rename = "TLSRoute")]
    Tls,
    #[serde(rename = "TCPRoute")]
    Tcp,
    #[serde(rename = "UDPRoute")]
    Udp,
}

impl RouteKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::Udp => "UDPRoute",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub key: String,
    pub kind: RouteKind,
    pub object: String,
    pub rule: u32,
    #[serde(default)]
    pub rank: u8,
    #[serde(default)]
    pub created: i64,
    #[serde(default)]
    pub name: String,
    pub attachments: Vec<Attachment>,
    pub matches: Vec<Match>,
    #[serde(default)]
    pub filters: Vec<Filter>,
    #[serde(default)]
    pub backends: Vec<WeightedBackend>,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default)]
    pub retry: Option<Box<Retry>>,
    #[serde(default)]
    pub failure: Option<Box<Failure>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum BackendProtocol {
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    H2C,
    #[serde(rename = "WS")]
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SubjectAltNameType {
    Hostname,
    #[serde(rename = "URI")]
    Uri,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectAltName {
    #[serde(rename = "type")]
    pub kind: SubjectAltNameType,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTls {
    pub server_name: String,
    #[serde(default)]
    pub trust_bundles: Vec<String>,
    #[serde(default)]
    pub subject_alt_names: Vec<SubjectAltName>,
    #[serde(default)]
    pub client_certificate: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Destination {
    pub service: String,
    pub service_name: String,
    pub service_namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    pub key: String,
    #[serde(default)]
    pub protocol: BackendProtocol,
    #[serde(default)]
    pub tls: Option<Box<BackendTls>>,
    #[serde(default)]
    pub destination: Destination,
    #[serde(default)]
    pub failure: Option<Box<Failure>>,
    #[serde(default)]
    pub mesh_server_name: String,
    #[serde(default)]
    pub original_destination: bool,
    /// The code point (RFC 2474) in the packets of connections to it.
    #[serde(default)]
    pub dscp: u8,
}

impl Backend {
    /// One of which nothing but this is configured.
    pub fn new(key: impl Into<String>, protocol: BackendProtocol, tls: Option<BackendTls>) -> Self {
        Self {
            key: key.into(),
            protocol,
            tls: tls.map(Box::new),
            destination: Destination::default(),
            failure: None,
            mesh_server_name: String::new(),
            original_destination: false,
            dscp: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub enum PeerTunnel {
    #[default]
    #[serde(rename = "")]
    None,
    #[serde(rename = "HBONE")]
    Hbone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub identity: String,
    #[serde(default)]
    pub tunnel: PeerTunnel,
    #[serde(default)]
    pub tunnel_address: String,
    #[serde(default)]
    pub workload: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub address: String,
    pub port: u16,
    #[serde(default)]
    pub peer: Option<Box<Peer>>,
}

impl Endpoint {
    /// One outside the mesh.
    pub fn new(address: impl Into<String>, port: u16) -> Self {
        Self { address: address.into(), port, peer: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    pub key: String,
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// No `Debug` derive: the private key must not reach a log by accident.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub key: String,
    pub chain: String,
    pub private_key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    pub key: String,
    pub certificates: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rejection {
    pub kind: String,
    pub key: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ListenerState {
    pub key: String,
    pub bound: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Applied {
    pub version: String,
    #[serde(default)]
    pub rejected: Vec<Rejection>,
    #[serde(default)]
    pub listeners: Vec<ListenerState>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

fn yes() -> bool {
    true
}

fn five_seconds() -> u64 {
    5_000
}

fn forbidden() -> u16 {
    403
}

fn found() -> u16 {
    302
}

fn one() -> u32 {
    1
}

fn five() -> u32 {
    5
}

fn retry_backoff() -> u64 {
    25
}
