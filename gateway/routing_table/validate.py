"""Rules that the types of the routing table cannot say.

``problem`` looks at one resource, ``dangling`` at the references between resources. The engine
applies the same rules and has the last word; they are mirrored here so that a controller finds a
mistake before it publishes, and so that both sides agree on the contract cases.

Regular expressions are not compiled here: their dialect is the engine's, see
``gateway._engine.regex_problem``.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from gateway.routing_table.model import (
    Backend,
    BackendTLS,
    Certificate,
    Endpoints,
    Failure,
    Filter,
    Gateway,
    Header,
    Limits,
    Listener,
    Match,
    PathModifier,
    Rejection,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    Resources,
    ResponseHeaderModifier,
    Route,
    TrustBundle,
    URLRewrite,
    WeightedBackend,
)

_MAX_PORT = 65_535
_MAX_UNSIGNED_32 = 2**32 - 1
_MAX_UNSIGNED_64 = 2**64 - 1
_ONLY_HTTP = ("path", "query", "method")


def problem(
    resource: TrustBundle | Certificate | Endpoints | Backend | Gateway | Listener | Route,
) -> str | None:
    """What is wrong with the resource on its own, or None."""
    return next(_problems(resource), None)


def _problems(
    resource: TrustBundle | Certificate | Endpoints | Backend | Gateway | Listener | Route,
) -> Iterator[str]:
    if not resource.key:
        yield "the key is empty"
    match resource:
        case TrustBundle() | Certificate():
            return
        case Endpoints():
            yield from _endpoints_problems(resource)
        case Backend():
            yield from _backend_problems(resource)
        case Gateway():
            yield from _gateway_problems(resource)
        case Listener():
            yield from _listener_problems(resource)
        case Route():
            yield from _route_problems(resource)


def _endpoints_problems(endpoints: Endpoints) -> Iterator[str]:
    for endpoint in endpoints.endpoints:
        if not endpoint.address:
            yield "an endpoint's address is empty"
        yield from _port_problems("an endpoint's port", endpoint.port)


def _backend_problems(backend: Backend) -> Iterator[str]:
    if backend.tls is not None and not backend.tls.server_name:
        yield "tls.server_name is empty"
    yield from _failure_problems(backend.failure)


def _gateway_problems(gateway: Gateway) -> Iterator[str]:
    yield from _range_problems("trusted_hops", gateway.trusted_hops, 0, _MAX_UNSIGNED_32)
    for name in Limits.__struct_fields__:
        value: int = getattr(gateway.limits, name)
        if name.endswith("_timeout_ms"):
            yield from _range_problems(f"limits.{name}", value, 0, _MAX_UNSIGNED_64)
        else:
            yield from _range_problems(f"limits.{name}", value, 1, _MAX_UNSIGNED_32)


def _listener_problems(listener: Listener) -> Iterator[str]:
    try:
        ip_address(listener.address)
    except ValueError:
        yield f"address {listener.address!r} is not an IP address"
    yield from _port_problems("port", listener.port)
    yield from _port_problems("bind_port", listener.bind_port)
    if listener.protocol == "HTTPS" and not listener.certificates:
        yield "an HTTPS listener needs at least one certificate"
    if listener.hostname:
        yield from _hostname_problems("hostname", listener.hostname)


def _route_problems(route: Route) -> Iterator[str]:
    yield from _range_problems("rule", route.rule, 0, _MAX_UNSIGNED_32)
    for attachment in route.attachments:
        if not attachment.hostnames:
            yield f"the attachment to {attachment.listener} names no hostname"
        for hostname in attachment.hostnames:
            if hostname != "*":
                yield from _hostname_problems("hostname", hostname)
    for match in route.matches:
        yield from _match_problems(route, match)
    yield from _filters_problems(route.filters)
    for backend in route.backends:
        yield from _weighted_backend_problems(backend)
    yield from _range_problems("timeouts.request_ms", route.timeouts.request_ms, 0, _MAX_UNSIGNED_64)
    yield from _range_problems("timeouts.backend_request_ms", route.timeouts.backend_request_ms, 0, _MAX_UNSIGNED_64)
    if route.retry is not None:
        yield from _range_problems("retry.attempts", route.retry.attempts, 0, _MAX_UNSIGNED_32)
        yield from _range_problems("retry.backoff_ms", route.retry.backoff_ms, 0, _MAX_UNSIGNED_64)
        for code in route.retry.codes:
            yield from _range_problems("a retry code", code, 100, 599)
    yield from _failure_problems(route.failure)


def _match_problems(route: Route, match: Match) -> Iterator[str]:
    if match.path is not None and match.path.type != "RegularExpression" and not match.path.value.startswith("/"):
        yield f"path {match.path.value!r} does not start with /"
    for header in match.headers:
        if header.name != header.name.lower():
            yield f"header name {header.name!r} is not lower case"
    if route.kind == "HTTPRoute" and match.grpc is not None:
        yield "a gRPC match on an HTTPRoute"
    if route.kind == "GRPCRoute" and any(getattr(match, name) for name in _ONLY_HTTP):
        yield "an HTTP match on a GRPCRoute"
    if match.grpc is not None and not match.grpc.service and not match.grpc.method:
        yield "a gRPC match names neither a service nor a method"


def _weighted_backend_problems(backend: WeightedBackend) -> Iterator[str]:
    yield from _range_problems("weight", backend.weight, 0, _MAX_UNSIGNED_32)
    if not backend.backend and backend.failure is None:
        yield "a backend reference names neither a backend nor a failure"
    yield from _filters_problems(backend.filters)
    yield from _failure_problems(backend.failure)


def _filters_problems(filters: tuple[Filter, ...]) -> Iterator[str]:
    for filter_ in filters:
        match filter_:
            case RequestHeaderModifier() | ResponseHeaderModifier():
                yield from _header_problems((*filter_.set, *filter_.add), filter_.remove)
            case RequestRedirect():
                if filter_.port is not None:
                    yield from _port_problems("the redirect's port", filter_.port)
                yield from _path_modifier_problems(filter_.path)
            case URLRewrite():
                yield from _path_modifier_problems(filter_.path)
            case RequestMirror():
                yield from _range_problems("the mirror's denominator", filter_.denominator, 1, _MAX_UNSIGNED_32)
                yield from _range_problems("the mirror's numerator", filter_.numerator, 0, filter_.denominator)
            case _:
                yield from _range_problems("max_age_seconds", filter_.max_age_seconds, 0, _MAX_UNSIGNED_32)


def _header_problems(headers: tuple[Header, ...], removed: tuple[str, ...]) -> Iterator[str]:
    for name in (*(header.name for header in headers), *removed):
        if not name or name != name.lower():
            yield f"header name {name!r} is not lower case"


def _path_modifier_problems(modifier: PathModifier | None) -> Iterator[str]:
    if modifier is not None and modifier.type == "ReplaceFullPath" and modifier.value[:1] not in ("", "/"):
        yield f"replacement path {modifier.value!r} does not start with /"


def _failure_problems(failure: Failure | None) -> Iterator[str]:
    if failure is not None:
        yield from _range_problems("failure.status", failure.status, 100, 599)


def _hostname_problems(name: str, hostname: str) -> Iterator[str]:
    bare = hostname.removeprefix("*.")
    if not bare or "*" in bare or hostname != hostname.lower():
        yield f"{name} {hostname!r} is neither a lower-case name nor a wildcard such as *.example.com"


def _port_problems(name: str, port: int) -> Iterator[str]:
    yield from _range_problems(name, port, 1, _MAX_PORT)


def _range_problems(name: str, value: int, lowest: int, highest: int) -> Iterator[str]:
    if not lowest <= value <= highest:
        yield f"{name} is {value}, outside {lowest} to {highest}"


# --- references -----------------------------------------------------------------------------------


def dangling(resources: Resources) -> tuple[Rejection, ...]:
    """Resources that name a key which the same table does not hold."""
    return tuple(
        Rejection(kind=kind, key=key, reason=f"names {target_kind} {target!r}, which the table does not hold")
        for kind, key, target_kind, target in _references(resources)
        if target not in _keys(resources, target_kind)
    )


def _keys(resources: Resources, kind: str) -> frozenset[str]:
    return frozenset(resource.key for resource in getattr(resources, kind))


def _references(resources: Resources) -> Iterator[tuple[str, str, str, str]]:
    """(kind, key, kind of the target, key of the target) of each reference."""
    for backend in resources.backends:
        for target_kind, target in _tls_references(backend.tls):
            yield "backends", backend.key, target_kind, target
    for listener in resources.listeners:
        yield "listeners", listener.key, "gateways", listener.gateway
        for certificate in listener.certificates:
            yield "listeners", listener.key, "certificates", certificate
    for route in resources.routes:
        for target_kind, target in _route_references(route):
            yield "routes", route.key, target_kind, target


def _tls_references(tls: BackendTLS | None) -> Iterator[tuple[str, str]]:
    if tls is None:
        return
    for bundle in tls.trust_bundles:
        yield "trust_bundles", bundle
    if tls.client_certificate:
        yield "certificates", tls.client_certificate


def _route_references(route: Route) -> Iterator[tuple[str, str]]:
    for attachment in route.attachments:
        yield "listeners", attachment.listener
    filters = list(route.filters)
    for backend in route.backends:
        filters.extend(backend.filters)
        if backend.failure is None:
            yield "backends", backend.backend
    for filter_ in filters:
        if isinstance(filter_, RequestMirror):
            yield "backends", filter_.backend
