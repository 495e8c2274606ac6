"""Rules on one resource of each kind; those on routes are next door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from gateway.routing_table.model import (
    AuthorizationPolicy,
    Backend,
    BackendTLS,
    Certificate,
    ClientValidation,
    EgressPolicy,
    Endpoint,
    Endpoints,
    Gateway,
    Limits,
    Listener,
    RequestAuthentication,
    Resource,
    Route,
    SubjectAltName,
    TrustBundle,
)
from gateway.routing_table.validate.authentication import request_authentication
from gateway.routing_table.validate.authorization import authorization_policy
from gateway.routing_table.validate.egress import egress_listener, egress_policy, routed_egress
from gateway.routing_table.validate.mesh import mesh_listener, peer, workload
from gateway.routing_table.validate.names import (
    Problems,
    at,
    bounded,
    count,
    duration,
    each,
    hostname,
    is_ip_address,
    key,
    pattern_hostname,
    port,
    text_bounded,
    within,
)
from gateway.routing_table.validate.routes import failure, route

_MAX_PEM_BYTES: Final = 4 << 20
_MAX_ENDPOINTS: Final = 65_536
_MAX_REFERENCES: Final = 256
_LAST_DSCP: Final = 63
_MAX_TRUSTED_HOPS: Final = 64
_MAX_WINDOW_BYTES: Final = 2**31 - 1
"""RFC 9113, 6.5.2: a larger window is a flow-control error."""


def problem(resource: Resource) -> str | None:
    """What is wrong with the resource on its own, or None: the field, the fault and the remedy."""
    return next(_problems(resource), None)


def _problems(resource: Resource) -> Iterator[str]:
    yield from at("key", key(resource.key))
    match resource:
        case TrustBundle():
            yield from at("certificates", text_bounded(resource.certificates, _MAX_PEM_BYTES))
        case Certificate():
            yield from at("chain", text_bounded(resource.chain, _MAX_PEM_BYTES))
            yield from at("private_key", text_bounded(resource.private_key, _MAX_PEM_BYTES))
        case Endpoints():
            yield from at("endpoints", bounded(len(resource.endpoints), _MAX_ENDPOINTS, "endpoints"))
            yield from each("endpoints", resource.endpoints, _endpoint)
        case Backend():
            yield from _backend(resource)
        case Gateway():
            yield from _gateway(resource)
        case AuthorizationPolicy() | RequestAuthentication() | EgressPolicy():
            yield from _policy(resource)
        case Listener():
            yield from _listener(resource)
        case Route():
            yield from route(resource)
        case _:
            assert_never(resource)


def _policy(policy: AuthorizationPolicy | RequestAuthentication | EgressPolicy) -> Problems:
    match policy:
        case AuthorizationPolicy():
            yield from authorization_policy(policy)
        case RequestAuthentication():
            yield from request_authentication(policy)
        case EgressPolicy():
            yield from egress_policy(policy)


def _gateway(gateway: Gateway) -> Problems:
    yield from at("trusted_hops", bounded(gateway.trusted_hops, _MAX_TRUSTED_HOPS, "hops"))
    yield from at("limits", _limits(gateway.limits))
    if gateway.workload is not None:
        yield from at("workload", workload(gateway.workload))


def _endpoint(endpoint: Endpoint) -> Problems:
    yield from at("port", port(endpoint.port))
    if not is_ip_address(endpoint.address):
        yield from at("address", hostname(endpoint.address))
    if endpoint.peer is not None:
        yield from at("peer", peer(endpoint.peer, endpoint.address))


def _backend(backend: Backend) -> Problems:
    if backend.failure is not None:
        yield from at("failure", failure(backend.failure))
    if backend.tls is not None:
        yield from at("tls", _backend_tls(backend.tls))
    if backend.mesh_server_name:
        yield from at("mesh_server_name", hostname(backend.mesh_server_name))
    if backend.original_destination and backend.tls is not None:
        yield "tls: what goes on to its original destination goes as it came; leave it out"
    if not 0 <= backend.dscp <= _LAST_DSCP:
        yield f"dscp: {backend.dscp} is no code point; write 0 to {_LAST_DSCP}"


def _backend_tls(tls: BackendTLS) -> Problems:
    yield from at("server_name", hostname(tls.server_name))
    yield from at("trust_bundles", bounded(len(tls.trust_bundles), _MAX_REFERENCES, "trust bundles"))
    yield from at("subject_alt_names", bounded(len(tls.subject_alt_names), _MAX_REFERENCES, "names"))
    yield from each("subject_alt_names", tls.subject_alt_names, _subject_alt_name)


def _subject_alt_name(name: SubjectAltName) -> Problems:
    match name.type:
        case "Hostname":
            yield from at("value", pattern_hostname(name.value))
        case "URI":
            if ":" not in name.value or not name.value.isascii():
                yield f"value: {name.value!r} is not a URI; write one such as 'spiffe://domain/path'"


def _limits(limits: Limits) -> Problems:
    # Zero is "no bound" for a time, and nonsense for a count or a size.
    for field in Limits.__struct_fields__:
        value: int = getattr(limits, field)
        if field.endswith("_timeout_ms"):
            yield from at(field, duration(value))
        elif field.startswith("initial_"):
            yield from at(field, within(value, 1, _MAX_WINDOW_BYTES))
        else:
            yield from at(field, count(value))


def _listener(listener: Listener) -> Problems:
    if not is_ip_address(listener.address):
        yield f"address: {listener.address!r} is not an IP address"
    yield from at("port", port(listener.port))
    yield from at("bind_port", port(listener.bind_port))
    if listener.hostname:
        yield from at("hostname", pattern_hostname(listener.hostname))
    yield from at("certificates", bounded(len(listener.certificates), _MAX_REFERENCES, "certificates"))
    if listener.hostname and listener.protocol in ("TCP", "UDP", "HBONE"):
        yield f"hostname: a {listener.protocol} listener sees no hostname; leave it empty"
    if listener.tls_mode == "Passthrough" and listener.protocol != "TLS":
        yield "tls_mode: only a TLS listener passes through; make the protocol TLS or the mode Terminate"
    terminates = listener.protocol == "HTTPS" or (listener.protocol == "TLS" and listener.tls_mode == "Terminate")
    if terminates and not listener.certificates:
        yield "certificates: a listener that terminates TLS needs at least one certificate; name one"
    if not terminates and listener.certificates:
        yield "certificates: a listener that does not terminate TLS would not use them; name none"
    yield from at("authorization", bounded(len(listener.authorization), _MAX_REFERENCES, "policies"))
    yield from at("authentication", bounded(len(listener.authentication), _MAX_REFERENCES, "policies"))
    if listener.egress is not None:
        yield from at("egress", egress_listener(listener.egress, listener))
    if listener.routed_egress is not None:
        yield from at("routed_egress", routed_egress(listener.routed_egress, listener))
    if listener.client_validation is not None:
        yield from at("client_validation", _client_validation(listener.client_validation, terminates))
    yield from mesh_listener(listener)


def _client_validation(validation: ClientValidation, terminates: bool) -> Problems:
    if not terminates:
        yield "a listener that does not terminate TLS sees no client certificate; leave it out"
    if not validation.trust_bundles:
        yield "trust_bundles: the list is empty; name at least one trust bundle"
    yield from at("trust_bundles", bounded(len(validation.trust_bundles), _MAX_REFERENCES, "trust bundles"))
