"""References between resources: which one cannot be served without which other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gateway.routing_table.model import (
    AuthorizationPolicy,
    Backend,
    Certificate,
    EgressPolicy,
    Endpoints,
    ExternalAuth,
    Filter,
    Gateway,
    Listener,
    Rejection,
    RequestAuthentication,
    RequestMirror,
    Resources,
    Route,
    TrustBundle,
)

Target = Literal["trust_bundles", "certificates", "gateways", "backends"]
Reference = tuple[Target, str]

_NOUNS: dict[Target, str] = {
    "trust_bundles": "trust bundle",
    "certificates": "certificate",
    "gateways": "gateway",
    "backends": "backend",
}


def references(
    resource: TrustBundle
    | Certificate
    | Endpoints
    | Backend
    | Gateway
    | AuthorizationPolicy
    | RequestAuthentication
    | EgressPolicy
    | Listener
    | Route,
) -> Iterator[Reference]:
    """Kind and key of every resource that this one cannot be served without.

    A listener is served without its policies: it denies everything then.
    """
    match resource:
        case Backend():
            return _of_backend(resource)
        case Listener():
            return _of_listener(resource)
        case Route():
            return _of_route(resource)
        case TrustBundle() | Certificate() | Endpoints() | Gateway():
            return iter(())
        case AuthorizationPolicy() | RequestAuthentication() | EgressPolicy():
            return iter(())


def _of_backend(backend: Backend) -> Iterator[Reference]:
    if backend.tls is None:
        return
    for bundle in backend.tls.trust_bundles:
        yield "trust_bundles", bundle
    if backend.tls.client_certificate:
        yield "certificates", backend.tls.client_certificate


def _of_listener(listener: Listener) -> Iterator[Reference]:
    yield "gateways", listener.gateway
    for certificate in listener.certificates:
        yield "certificates", certificate
    if listener.client_validation is not None:
        for bundle in listener.client_validation.trust_bundles:
            yield "trust_bundles", bundle


def _of_route(route: Route) -> Iterator[Reference]:
    yield from _backends_of(route.filters)
    for share in route.backends:
        yield from _backends_of(share.filters)
        if share.failure is None:
            yield "backends", share.backend


def _backends_of(filters: tuple[Filter, ...]) -> Iterator[Reference]:
    for step in filters:
        if isinstance(step, RequestMirror):
            yield "backends", step.backend
        if isinstance(step, ExternalAuth):
            yield "backends", step.provider.backend


def dangling(resources: Resources) -> tuple[Rejection, ...]:
    """Resources that name what the table does not hold, in the order of use.

    What is refused is itself missing for the kinds that follow.
    """
    held: dict[Target, set[str]] = {
        "trust_bundles": {bundle.key for bundle in resources.trust_bundles},
        "certificates": {certificate.key for certificate in resources.certificates},
        "gateways": {gateway.key for gateway in resources.gateways},
        "backends": {backend.key for backend in resources.backends},
    }
    rejected: list[Rejection] = []
    for kind in ("backends", "listeners", "routes"):
        for resource in getattr(resources, kind):
            missing = next((item for item in references(resource) if item[1] not in held[item[0]]), None)
            if missing is None:
                continue
            reason = f"{_NOUNS[missing[0]]} {missing[1]!r} is not in the table; send it too"
            rejected.append(Rejection(kind=kind, key=resource.key, reason=reason))
            if kind == "backends":
                held["backends"].discard(resource.key)
    return tuple(rejected)
