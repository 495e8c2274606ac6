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

from typing import Literal, dataclass_transform

import msgspec

FORMAT = 1
"""Version of the wire format. A reader refuses a table whose format it does not know."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of every resource: immutable, and strict about unknown fields.

    An unknown field may be a match or a guard that this reader does not understand, so the
    resource that holds it is rejected rather than served without it.
    """


# --- gateways and listeners -------------------------------------------------------------------


class Limits(Struct):
    """Bounds at the edge. The defaults follow Envoy's guide for edge proxies.

    Zero means "no bound" for the timeouts, and is refused for every count and size.
    """

    max_connections: int = 50_000
    max_connections_per_listener: int = 10_000
    max_request_head_bytes: int = 60 * 1024
    max_request_headers: int = 100
    max_concurrent_streams: int = 100
    initial_stream_window_bytes: int = 64 * 1024
    initial_connection_window_bytes: int = 1024 * 1024
    max_resets_per_connection: int = 100
    """HTTP/2 streams a client may reset before their answer, in one rolling window of 30 s."""
    tls_handshake_timeout_ms: int = 15_000
    request_head_timeout_ms: int = 60_000
    stream_idle_timeout_ms: int = 300_000
    connection_idle_timeout_ms: int = 3_600_000
    connect_timeout_ms: int = 5_000
    drain_timeout_ms: int = 30_000
    replay_buffer_bytes: int = 64 * 1024
    """Most of a request body kept so that a retry can send it again; a longer body is not retried."""
    mirror_buffer_bytes: int = 1024 * 1024
    """Most of a body queued for one slow mirror before that mirror alone is abandoned."""


class Workload(Struct):
    """Who a data plane that stands beside an application is, as telemetry names it."""

    name: str
    namespace: str
    canonical_service: str = ""
    canonical_revision: str = ""
    cluster: str = ""


class Gateway(Struct):
    """Settings shared by the listeners of one Gateway. ``key``: ``namespace/name``."""

    key: str
    workload: Workload | None = None
    """Set where the data plane serves one workload, as a sidecar does."""
    trusted_hops: int = 0
    """Trusted proxies in front. 0: nobody's ``X-Forwarded-*`` or ``Forwarded`` is believed."""
    access_log: bool = True
    limits: Limits = Limits()


class ClientValidation(Struct):
    """Which client certificates a listener that terminates TLS takes."""

    trust_bundles: tuple[str, ...]
    """Keys of trust bundles; a client's chain ends in any of them. Never empty."""
    allow_insecure_fallback: bool = False
    """Serve clients with a missing or invalid certificate as well."""


EgressWay = Literal["Proxy", "TLS", "HTTP"]


class Egress(Struct):
    """What makes a listener a way out: its clients name their destination, and no route is looked at.

    ``Proxy`` is for HTTP and HTTPS listeners and takes CONNECT and absolute-form requests. ``HTTP`` (of HTTP listeners)
    and ``TLS`` (of TLS listeners that pass through) take traffic that was redirected: Host or the server name is the
    destination, at the listener's ``port``.
    """

    way: EgressWay
    policies: tuple[str, ...] = ()
    """Keys of the egress policies that decide. None of them: everything is denied, as it is while one of them is not
    in the table."""
    nameservers: tuple[str, ...] = ()
    """``address:port`` of the servers that resolve names, in order; none means the system's resolver."""


class RoutedEgress(Struct):
    """What requests of routes need the leave of where their backend has an endpoint that is a DNS name.

    The policies decide about the name, the endpoint's port, and method and path as they are sent; the name is resolved
    once and vetted, and ``Host`` names it. For HTTP and HTTPS listeners that are no way out themselves.
    """

    policies: tuple[str, ...] = ()
    """As :attr:`Egress.policies`."""
    nameservers: tuple[str, ...] = ()
    """As :attr:`Egress.nameservers`."""


class Captured(Struct):
    """The listener takes connections that were redirected to its socket, by the destination they had before.

    Of the listeners of one socket the most specific takes a connection: address and port, then address with any
    port, then port with any address, then every destination. The original destination is what the kernel kept of the
    redirect; a connection that was not redirected was meant for the socket itself.
    """

    addresses: tuple[str, ...] = ()
    """IP addresses; none means every one."""
    any_port: bool = False
    """Otherwise the original port must be the listener's ``port``."""


class MeshServer(Struct):
    """The listener stands before a workload of the mesh, and ends mutual TLS with the gateway's own identity.

    The first bytes of a connection tell. ``STRICT``: mutual TLS, or the connection is closed. ``PERMISSIVE``: TLS that
    offers one of the mesh's protocols by ALPN (``istio``, ``istio-h2``, ``istio-http/1.1``) is mutual TLS; plaintext is
    served; other TLS is carried to the workload as it is where the listener's protocol is TCP, and refused elsewhere.
    ``DISABLE``: plaintext is served, TLS is carried or refused in the same way. What came through a tunnel (``HBONE``)
    of a verified peer counts as mutual TLS in every mode.

    Traffic of such a listener is reported by its destination; others are reported by their source.
    """

    mode: Literal["STRICT", "PERMISSIVE", "DISABLE"] = "PERMISSIVE"


class Listener(Struct):
    """One listener of a Gateway. ``key``: ``namespace/gateway/listener``.

    ``HTTPS`` and ``TLS`` listeners with different hostnames may share one port: the server name that the
    client asks for chooses. A UDP listener has its ports to itself, beside those of TCP. Captured listeners share a
    socket by original destination, whatever their protocols, and only with each other.

    ``HBONE`` takes mutual TLS with the gateway's own identity, and in it HTTP/2 with CONNECT requests alone. The
    authority of each is the original destination of the connection that it carries.
    """

    key: str
    gateway: str
    address: str
    """IP address to bind, without brackets."""
    port: int
    """Port that clients dial: what redirects and port matches use."""
    bind_port: int
    """Port the process binds; differs from ``port`` only behind a port mapping."""
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP", "HBONE"]
    hostname: str = ""
    """Lower case; empty means every host; ``*.example.com`` matches one or more labels. None for TCP and UDP."""
    certificates: tuple[str, ...] = ()
    """Keys of certificates, in order of preference. Never empty where the listener terminates TLS."""
    tls_mode: Literal["Terminate", "Passthrough"] = "Terminate"
    """``Passthrough`` is for ``TLS`` alone: the backend terminates, and the gateway only reads the server name."""
    client_validation: ClientValidation | None = None
    """Only where the listener terminates TLS."""
    authorization: tuple[str, ...] = ()
    """Keys of the authorization policies that decide about its requests and connections. One that is not in the
    table, because it was refused, is no reason to refuse the listener: everything is denied until it is there.
    None for HBONE: the captured listeners behind it decide."""
    authentication: tuple[str, ...] = ()
    """Keys of the request authentications that look at its requests, in the same way: one that is not in the table
    refuses everything. What carries connections does not look at them."""
    captured: Captured | None = None
    """Only for HTTP, HTTPS, TLS and TCP."""
    mesh: MeshServer | None = None
    """Only for HTTP and TCP."""
    inner: str = ""
    """Only for HBONE, and always there: ``address:bind_port`` of the socket whose captured listeners take what the
    tunnels carry (an IPv6 address in brackets)."""
    egress: Egress | None = None
    routed_egress: RoutedEgress | None = None
    """None: requests of routes go to whatever their backends are."""


# --- authentication of requests ---------------------------------------------------------------------


class TokenHeader(Struct):
    """A header that may carry a token, behind ``prefix`` (with its space, if there is one). ``name`` in lower case."""

    name: str
    prefix: str = ""


class ClaimHeader(Struct):
    """``claim`` of a verified token as ``header``; ``a.b`` is claim ``b`` within ``a``."""

    header: str
    claim: str


class TokenRule(Struct):
    """Tokens (JWT, RFC 7519) of one issuer: where they are, and what proves them.

    Signed with RS, PS, ES (256, 384, 512 as far as they exist) or EdDSA by a key of ``keys``; times are taken with 60
    seconds of leeway. Without any place named, a token is in ``Authorization: Bearer`` or the parameter
    ``access_token``.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    """One of them must be among the token's; none means every token of the issuer."""
    keys: str = ""
    """A JSON Web Key Set (RFC 7517) as text. Without a usable key in it, tokens of the issuer are refused."""
    from_headers: tuple[TokenHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    """The payload in base64url goes to the backend in this header. Like the headers of claims, it is taken off
    every request first, whoever sent it."""
    output_claim_to_headers: tuple[ClaimHeader, ...] = ()
    forward_original_token: bool = False
    """Otherwise the token does not reach the backend."""


class RequestAuthentication(Struct):
    """Whose tokens count. ``key``: ``namespace/name``. A request without a token passes, and has no principal; with
    one that no rule accepts it is refused. All rules of a listener count as one list."""

    key: str
    rules: tuple[TokenRule, ...] = ()
    refusal: str = ""
    """Why it cannot be enforced as it was written. It fails closed: every request is refused."""


# --- authorization --------------------------------------------------------------------------------


class AuthorizationSource(Struct):
    """Who calls: every field that is given must hold, by one of its values; ``not_`` fields by none of theirs.

    Texts match exactly, by prefix (``abc*``), by suffix (``*abc``), or where there is any value (``*``).
    """

    principals: tuple[str, ...] = ()
    """``trust-domain/ns/namespace/sa/service-account``, from a verified client certificate."""
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    """``issuer/subject`` of a verified token."""
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    """``namespace/name``, as it is: without wildcards."""
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    """Addresses or CIDR blocks; of the peer that the connection comes from."""
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    """Of the client, as far as the hops before the gateway are trusted."""
    not_remote_ip_blocks: tuple[str, ...] = ()


class AuthorizationOperation(Struct):
    """What is asked for, in the same way. All but ``ports`` are of requests alone.

    A host pattern without port matches whatever the port. Paths are compared after they were normalised, without
    query; they may be templates of ``{*}`` (one segment) and, last, ``{**}`` (any rest).
    """

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    """The ports that clients dial."""
    not_ports: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class AuthorizationCondition(Struct):
    """One attribute; ``key`` is spelt as in Istio, for example ``request.headers[x-user]``."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class AuthorizationRule(Struct):
    """Matches by one source, one operation and every condition; an empty list asks for nothing."""

    sources: tuple[AuthorizationSource, ...] = ()
    operations: tuple[AuthorizationOperation, ...] = ()
    conditions: tuple[AuthorizationCondition, ...] = ()


AuthorizationAction = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]


class ExternalAuthorization(Struct):
    """A service that is asked over HTTP about a request, before the request goes on.

    It gets the request's method, host, path with query, and ``authorization``, other headers as listed, and no content.
    2xx lets the request go on. 5xx and no answer in time are failures. Everything else denies: the client gets that
    status and content.

    Names of headers are in lower case and match exactly, by prefix (``x-auth-*``), by suffix (``*-id``), or all
    (``*``).
    """

    backend: str
    """Key of a backend. For a policy it may be missing in the table: then it cannot be asked."""
    path_prefix: str = ""
    """Goes before the request's path; empty, or starts with ``/`` and does not end with one."""
    timeout_ms: int = 5_000
    """For the connection and the whole answer; never 0."""
    request_headers: tuple[str, ...] = ()
    """Of the request, to show to the service."""
    additional_headers: tuple[Header, ...] = ()
    """Set in what the service gets, over headers of the request."""
    upstream_headers: tuple[str, ...] = ()
    """Of an answer that allows, to set in the request. What the client sent under such a name is taken out, whether
    the answer has it or not; ``*`` alone, ``authorization`` and ``cookie`` only replace."""
    downstream_headers_on_allow: tuple[str, ...] = ()
    """Of an answer that allows, to set in the response."""
    downstream_headers_on_deny: tuple[str, ...] = ()
    """Of an answer that denies, to give to the client."""
    status_on_error: int = 403
    """What a client is answered with when the service fails."""
    fail_open: bool = False
    """Requests go on when the service fails."""


class AuthorizationPolicy(Struct):
    """Who may do what. ``key``: ``namespace/name``. Istio's semantics: the providers of all CUSTOM policies that match
    are asked, then any DENY policy that matches denies, then one ALLOW policy must match if there are any; AUDIT is
    only told. A CUSTOM policy that matches denies what has no requests, and everything where it has no provider.

    On connections that carry no requests, a rule of an ALLOW policy with a field of requests never matches, and in the
    others such a field counts as met.
    """

    key: str
    action: AuthorizationAction = "ALLOW"
    rules: tuple[AuthorizationRule, ...] = ()
    """No rule matches nothing; a rule without anything matches everything."""
    dry_run: bool = False
    """Decided, logged and counted, and never enforced."""
    refusal: str = ""
    """Why it cannot be enforced as it was written. It fails closed: ALLOW permits nothing, DENY and CUSTOM deny
    everything; the rules are not looked at."""
    provider: ExternalAuthorization | None = None
    """Only for CUSTOM."""


# --- egress ---------------------------------------------------------------------------------------


class EgressCredential(Struct):
    """A user of the forward proxy, and the SHA-256 digest of the password (64 hexadecimal digits)."""

    user: str
    sha256: str

    def __repr__(self) -> str:
        return f"EgressCredential(user={self.user!r}, sha256=<redacted>)"


class EgressSource(Struct):
    """Who asks: every field that is given must hold, by one of its values. Nothing is a wildcard."""

    principals: tuple[str, ...] = ()
    """``trust-domain/ns/namespace/sa/service-account``, from a verified client certificate."""
    namespaces: tuple[str, ...] = ()
    """Of the principal, as service accounts are."""
    service_accounts: tuple[str, ...] = ()
    """``namespace/name``."""
    subject_alt_names: tuple[str, ...] = ()
    """DNS names (lower case) or URIs of a verified client certificate."""
    credentials: tuple[EgressCredential, ...] = ()
    """What a client of the forward proxy shows in ``Proxy-Authorization`` (Basic)."""
    ip_blocks: tuple[str, ...] = ()
    """Addresses or CIDR blocks of the connection's peer."""


EgressProtocol = Literal["TLS", "HTTP", "TCP"]


class EgressDestination(Struct):
    """Where to. One of ``names`` or ``ip_blocks`` must hold, and every other field that is given."""

    names: tuple[str, ...] = ()
    """Lower case. ``*.name`` stands for one label more, ``**.name`` for one or more, ``*`` for every name."""
    ip_blocks: tuple[str, ...] = ()
    """Addresses that a client may name by themselves; in a Deny rule, addresses that names resolve to as well."""
    ports: tuple[int, ...] = ()
    """None given: 443, and 80 for HTTP."""
    protocols: tuple[EgressProtocol, ...] = ()
    """What may be spoken; none given: TLS whose server name agrees, and HTTP. ``TCP`` is a tunnel nobody looks into."""
    methods: tuple[str, ...] = ()
    """Where requests are seen (HTTP); where they are not, an Allow rule that asks for it does not match, and a Deny
    rule takes it for met."""
    path_prefixes: tuple[str, ...] = ()
    """As ``methods``; ``/a`` covers ``/a`` and ``/a/b``, not ``/ab``."""


class EgressLimits(Struct):
    """0 means none. ``connections``: open at once, by this rule; the others are of each connection or request."""

    connections: int = 0
    bytes: int = 0
    """Both ways together."""
    duration_ms: int = 0


class EgressRule(Struct, kw_only=True):
    """Matches by one source (none: everybody) and one destination."""

    name: str
    action: Literal["Allow", "Deny"] = "Allow"
    sources: tuple[EgressSource, ...] = ()
    destinations: tuple[EgressDestination, ...]
    address_blocks: tuple[str, ...] = ()
    """Blocks of addresses, private ones for example, that a name of this rule may resolve to although they are not
    public. Addresses of metadata services and of the gateway itself count only where they stand here alone."""
    encrypted_client_hello: bool = False
    """Take a ClientHello whose true server name may be hidden."""
    limits: EgressLimits = EgressLimits()


class EgressPolicy(Struct):
    """Who may reach what. ``key``: ``namespace/name``.

    Of several policies, a Deny rule that matches denies; else an Allow rule must match. In mode ``Report`` a policy
    denies nothing: what it would deny is let through and recorded, for the sources that its rules name. It does not
    undo the denial of another policy, nor what is said of addresses.
    """

    key: str
    mode: Literal["Enforce", "Report"] = "Enforce"
    rules: tuple[EgressRule, ...] = ()
    confined_to: str = ""
    """A namespace: the policy speaks of principals of that namespace alone."""
    contact: str = ""
    """Whom a client that is denied should ask."""
    refusal: str = ""
    """Why it cannot be enforced as it was written: all that it could speak of is denied."""


# --- routes -------------------------------------------------------------------------------------


class PathMatch(Struct):
    """``value`` starts with ``/`` except for a regular expression, which must match the whole path."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: str


class ValueMatch(Struct):
    """A header (``name`` in lower case) or query-parameter (``name`` as is) match."""

    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] = "Exact"


class GRPCMethodMatch(Struct):
    """An empty ``service`` or ``method`` matches every one. At least one is set."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: str = ""
    method: str = ""


class Match(Struct):
    """Predicates that must all hold. ``path`` and ``query`` are for HTTP rules, ``grpc`` for gRPC."""

    path: PathMatch | None = None
    method: str = ""
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    grpc: GRPCMethodMatch | None = None


class Header(Struct):
    """A header to set or add; ``name`` in lower case."""

    name: str
    value: str


class PathModifier(Struct):
    """What ``RequestRedirect`` and ``URLRewrite`` do to a path."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    value: str


class RequestHeaderModifier(Struct, tag="RequestHeaderModifier"):
    """Applied in the order set, add, remove."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class ResponseHeaderModifier(Struct, tag="ResponseHeaderModifier"):
    """Applied in the order set, add, remove."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class RequestRedirect(Struct, tag="RequestRedirect"):
    """Answers with a redirect; empty fields keep the request's value."""

    scheme: Literal["", "http", "https"] = ""
    hostname: str = ""
    path: PathModifier | None = None
    port: int | None = None
    status: Literal[301, 302, 303, 307, 308] = 302


class URLRewrite(Struct, tag="URLRewrite"):
    """Changes the authority, the path, or both before the request goes upstream."""

    hostname: str = ""
    path: PathModifier | None = None


class RequestMirror(Struct, tag="RequestMirror"):
    """Sends a copy to ``backend`` for ``numerator`` of every ``denominator`` requests; answers are dropped."""

    backend: str
    numerator: int = 1
    denominator: int = 1


class CORS(Struct, tag="CORS"):
    """Cross-origin resource sharing (Fetch standard, section 3.2).

    ``allow_origins`` holds ``*``, exact origins, or origins with a wildcard host.
    """

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int = 5


class ExternalAuth(Struct, tag="ExternalAuth"):
    """Asks before the other filters run, whatever its place, but for a preflight that ``CORS`` answers. Of a rule, not
    of a share."""

    provider: ExternalAuthorization


class SecretHeader(Struct):
    """A header whose value is for the backend alone. ``name`` in lower case."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"SecretHeader(name={self.name!r}, value=<redacted>)"


class CredentialInjection(Struct, tag="CredentialInjection"):
    """Sets headers on what goes to a backend, after all other filters and not in copies for mirrors."""

    headers: tuple[SecretHeader, ...]
    source: str = ""
    """For people: ``namespace/name`` of the object that says so."""


Filter = (
    RequestHeaderModifier
    | ResponseHeaderModifier
    | RequestRedirect
    | URLRewrite
    | RequestMirror
    | CORS
    | ExternalAuth
    | CredentialInjection
)


class Failure(Struct):
    """What is answered in place of a rule or a backend that cannot be served."""

    status: int
    code: str
    """Stable reason code, one of :mod:`gateway.routing_table.reasons`."""
    message: str = ""
    """For people: the object and what is wrong with it."""


class WeightedBackend(Struct):
    """A share of a rule's traffic. With ``failure`` its share is answered with that status."""

    backend: str = ""
    weight: int = 1
    filters: tuple[Filter, ...] = ()
    failure: Failure | None = None


class Timeouts(Struct):
    """0 means none. ``request_ms`` bounds the whole exchange, ``backend_request_ms`` each attempt."""

    request_ms: int = 0
    backend_request_ms: int = 0


class Retry(Struct):
    """GEP-1731. ``attempts`` counts retries after the first try; never sooner than ``backoff_ms``."""

    codes: tuple[int, ...] = ()
    attempts: int = 1
    backoff_ms: int = 25


class Attachment(Struct):
    """A listener a route attaches to, with the hostnames both agree on.

    ``hostnames`` is never empty; ``*`` stands for every host. For a TLSRoute they are server names (SNI);
    TCPRoutes and UDPRoutes have ``*`` alone.
    """

    listener: str
    hostnames: tuple[str, ...]


class Route(Struct, kw_only=True):
    """One rule of a route object. ``key``: ``Kind/namespace/name/index``.

    ``rank`` 0 goes before 1 and so on, whatever else they match, where hostname and path (or gRPC method) are
    equally specific: for routes that must give way to others.

    ``created`` (seconds since the epoch), ``object`` (``namespace/name``) and ``rule`` break ties
    between equally specific matches, in that order.

    Rules of TLSRoutes, TCPRoutes and UDPRoutes carry connections (for UDP, sessions) rather than requests:
    they have backends with weights and nothing else, ``matches`` is empty, and a share that fails is closed.
    """

    key: str
    kind: Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]
    object: str
    rule: int
    rank: int = 0
    created: int = 0
    name: str = ""
    attachments: tuple[Attachment, ...]
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    failure: Failure | None = None
    """Set when the whole rule must fail, for example on a filter that cannot be resolved."""


# --- backends -----------------------------------------------------------------------------------


class SubjectAltName(Struct):
    """A name that the backend's certificate must carry (at least one of the list)."""

    type: Literal["Hostname", "URI"]
    value: str


class BackendTLS(Struct):
    """TLS towards a backend. ``trust_bundles`` empty means the system's certificate authorities."""

    server_name: str
    trust_bundles: tuple[str, ...] = ()
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    """When given, these authenticate the peer and ``server_name`` is sent as SNI only."""
    client_certificate: str = ""
    """Key of a certificate to present, or empty."""


class Destination(Struct):
    """Names that telemetry reports for a backend."""

    service: str = ""
    service_name: str = ""
    service_namespace: str = ""


class Backend(Struct):
    """One port of a Service, or one external host. ``key``: ``Kind/namespace/name/port``."""

    key: str
    protocol: Literal["HTTP", "H2C", "WS"] = "HTTP"
    """``HTTP``: HTTP/1.1, and HTTP/2 for gRPC requests; ``H2C``: HTTP/2 always; ``WS``: HTTP/1.1."""
    tls: BackendTLS | None = None
    destination: Destination = Destination()
    failure: Failure | None = None
    mesh_server_name: str = ""
    """SNI towards endpoints of the mesh that are reached without tunnel, as in
    ``outbound_.80_._.cart.shop.svc.cluster.local``. Empty: none is sent."""
    original_destination: bool = False
    """Traffic goes on to where its connection was going before it was captured; endpoints are not looked at, and there
    is no TLS of the gateway's own. Through a listener that is not captured such a backend cannot be reached (503)."""
    dscp: int = 0
    """The code point (RFC 2474) in the packets of connections to it, 0 to 63, by which rules of the machine tell them
    from others of this process. It does not count for tunnels and UDP."""


class Peer(Struct):
    """An endpoint that is in the mesh: reached by mutual TLS with the gateway's own identity.

    It is verified by the gateway's trust bundle, and its certificate must hold exactly one URI,
    ``spiffe://`` and ``identity``. TLS of the backend itself goes before it.
    """

    identity: str
    """``trust-domain/ns/namespace/sa/service-account``."""
    tunnel: Literal["", "HBONE"] = ""
    """Empty: TLS on the endpoint's own port, as Istio's sidecars take it. ``HBONE``: a CONNECT tunnel."""
    tunnel_address: str = ""
    """``address:port`` that takes the tunnel (an IPv6 address in brackets); empty: port 15008 of the endpoint's
    address."""
    workload: str = ""
    """``namespace/name`` for telemetry, or empty."""


class Endpoint(Struct):
    """``address`` is an IP address, or a DNS name that the gateway resolves; behind a tunnel, an IP address."""

    address: str
    port: int
    peer: Peer | None = None


class Endpoints(Struct):
    """The ready endpoints of one backend. ``key`` equals the backend's. May be empty (503)."""

    key: str
    endpoints: tuple[Endpoint, ...] = ()


# --- secrets ------------------------------------------------------------------------------------


class Certificate(Struct):
    """A certificate chain and its private key, PEM. ``key``: ``Secret/namespace/name``."""

    key: str
    chain: str
    private_key: str

    def __repr__(self) -> str:
        return f"Certificate(key={self.key!r}, chain=…, private_key=<redacted>)"


class TrustBundle(Struct):
    """Certificate authorities, PEM. ``key``: ``Kind/namespace/name``."""

    key: str
    certificates: str


# --- whole tables -------------------------------------------------------------------------------


class Resources(Struct):
    """Resources by kind. Kinds are applied in this order and removed in the reverse one."""

    trust_bundles: tuple[TrustBundle, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    backends: tuple[Backend, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    authorization_policies: tuple[AuthorizationPolicy, ...] = ()
    request_authentications: tuple[RequestAuthentication, ...] = ()
    egress_policies: tuple[EgressPolicy, ...] = ()
    listeners: tuple[Listener, ...] = ()
    routes: tuple[Route, ...] = ()


class Snapshot(Struct, tag="snapshot", kw_only=True, omit_defaults=False):
    """Everything a gateway should hold; what is not named is removed."""

    format: int = msgspec.field(default=FORMAT)
    version: str
    resources: Resources


class Removed(Struct):
    """Keys removed, by kind."""

    trust_bundles: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    authorization_policies: tuple[str, ...] = ()
    request_authentications: tuple[str, ...] = ()
    egress_policies: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


class Delta(Struct, tag="delta", kw_only=True, omit_defaults=False):
    """A change from version ``base`` to ``version``. A reader not at ``base`` asks for a snapshot."""

    format: int = msgspec.field(default=FORMAT)
    version: str
    base: str
    upsert: Resources = Resources()
    remove: Removed = Removed()


Update = Snapshot | Delta


class Rejection(Struct):
    """A resource that was refused: its previous good version, if any, keeps serving.

    Except for a policy of authorization, authentication or egress: its previous version goes too, and what it applies
    to is denied.
    """

    kind: str
    """Field name in :class:`Resources`, for example ``routes``."""
    key: str
    reason: str


class ListenerState(Struct):
    """Whether the data plane serves a listener, and why not."""

    key: str
    bound: bool
    error: str = ""


class Applied(Struct):
    """The data plane's answer to an :data:`Update`: an ACK where ``rejected`` is empty."""

    version: str
    rejected: tuple[Rejection, ...] = ()
    listeners: tuple[ListenerState, ...] = ()
    error: str = ""
    """Set when the whole update was refused (unknown format, wrong base); ``version`` is then the one still served."""
