"""Whom CUSTOM AuthorizationPolicies ask: from the provider's object to the routing table's settings.

Owns finding a provider by its name, and its defaults, which are Istio's (``envoyExtAuthzHttp``) but for the timeout. A
policy whose provider cannot be asked keeps none, so all that its rules match is denied.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.resources import ExternalAuthorizationProvider, ExternalAuthorizationProviderSpec, Service, duration_ms
from controller.store import Key
from controller.translate.backend_view import BackendId
from controller.translate.graph import Reads
from controller.translate.names import backend_key
from gateway.routing_table import model


class FoundProvider(NamedTuple):
    """Whom to ask, and the backend that a table needs for it; or why nobody can be asked."""

    settings: model.ExternalAuthorization | None = None
    backend: BackendId | None = None
    problem: str = ""


def find_provider(reads: Reads, namespace: str, name: str) -> FoundProvider:
    """The provider that a policy of ``namespace`` means: its own namespace's, then the root namespace's."""
    if not name:
        return FoundProvider(problem="the policy names no provider: set provider.name")
    root = reads.options.root_namespace
    for place in dict.fromkeys((namespace, root)):
        provider = reads.get(ExternalAuthorizationProvider, place, name)
        if provider is not None:
            return _provider(provider.spec, place, name, root)
    places = " nor ".join(dict.fromkeys((namespace, root)))
    kind = ExternalAuthorizationProvider.kind
    return FoundProvider(problem=f"there is no {kind} {name} in namespace {places}: make one")


def _provider(spec: ExternalAuthorizationProviderSpec, namespace: str, name: str, root: str) -> FoundProvider:
    service = Key(Service.kind, spec.service.namespace or namespace, spec.service.name)
    if namespace not in (service.namespace, root):
        message = (
            f"{ExternalAuthorizationProvider.kind} {namespace}/{name} names {service}: only one of the namespace {root}"
            " may name a Service of another namespace"
        )
        return FoundProvider(problem=message)
    backend = BackendId(service, spec.service.port)
    defaults = model.ExternalAuthorization(backend=backend_key(service, backend.port, backend.variant))
    settings = model.ExternalAuthorization(
        backend=defaults.backend,
        path_prefix=(spec.path_prefix or "").rstrip("/"),
        timeout_ms=duration_ms(spec.timeout) if spec.timeout else defaults.timeout_ms,
        request_headers=lowered(spec.include_request_headers_in_check),
        additional_headers=tuple(
            model.Header(name=name.lower(), value=value)
            for name, value in sorted(spec.include_additional_headers_in_check.items())
        ),
        upstream_headers=lowered(spec.headers_to_upstream_on_allow),
        downstream_headers_on_allow=lowered(spec.headers_to_downstream_on_allow),
        downstream_headers_on_deny=lowered(spec.headers_to_downstream_on_deny) or ("*",),
        status_on_error=spec.status_on_error or defaults.status_on_error,
        fail_open=spec.fail_open,
    )
    return FoundProvider(settings, backend)


def lowered(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of headers as the table spells them, each once."""
    return tuple(dict.fromkeys(name.lower() for name in names))
