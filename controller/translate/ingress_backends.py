"""Backends of Ingresses: Services of the same namespace, by the number or the name of a port.

Owns what is answered where nothing can be sent: 503 for a Service or port that does not exist, as
ingress-nginx answers and as for a Service without endpoints; 500 for what is not supported.
"""

from __future__ import annotations

import msgspec

from controller.resources import BackendObjectReference, IngressBackend, IngressServiceBackend, Service
from controller.store import Key
from controller.translate.backend_view import internal_error
from controller.translate.backends import Resolved
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.rules import Rule
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason

_UNAVAILABLE = 503


def ingress_share(rule: Rule, backend: IngressBackend, weight: int, *, tls: bool) -> model.WeightedBackend:
    """A backend's share of a path's requests; ``tls``: it is to be spoken to over TLS."""
    namespace = rule.referrer.route.namespace
    if backend.service is None:
        kind, name = (backend.resource.kind, backend.resource.name) if backend.resource else ("nothing", "")
        message = f"the resource backend {kind} {name} is not supported: refer to a Service"
        return _failing(rule, weight, Problem(ConditionReason.INVALID_KIND, message), Reason.BACKEND_KIND_UNSUPPORTED)
    port = _port(rule.reads, namespace, backend.service)
    if isinstance(port, Problem):
        return _unavailable(_failing(rule, weight, port, Reason.BACKEND_PORT_INVALID))
    resolved = rule.resolve(BackendObjectReference(name=backend.service.name, port=port))
    problem, resource = resolved.view.problem, resolved.view.resource
    if problem is not None and problem.reason == ConditionReason.BACKEND_NOT_FOUND:
        return _unavailable(rule.share(weight, resolved, ()))
    if tls and problem is None and resource is not None and resource.tls is None:
        return _failing(rule, weight, _no_policy(resolved), Reason.BACKEND_TLS_INVALID)
    return rule.share(weight, resolved, ())


def _port(reads: Reads, namespace: str, backend: IngressServiceBackend) -> int | Problem:
    if backend.port.number is not None:
        return backend.port.number
    key = Key(Service.kind, namespace, backend.name)
    service = reads.get(Service, namespace, backend.name)
    if service is None:
        return Problem(ConditionReason.BACKEND_NOT_FOUND, f"{key} does not exist")
    named = next((port for port in service.spec.ports if port.name and port.name == backend.port.name), None)
    if named is not None:
        return named.port
    known = ", ".join(port.name or str(port.port) for port in service.spec.ports) or "none"
    message = f"{key} has no port named {backend.port.name!r}; its ports: {known}"
    return Problem(ConditionReason.BACKEND_NOT_FOUND, message)


def _no_policy(resolved: Resolved) -> Problem:
    message = (
        f"backend-protocol asks for TLS to {resolved.target}, and no BackendTLSPolicy targets it: nothing is sent to a"
        " server that cannot be verified"
    )
    return Problem(ConditionReason.INVALID_BACKEND_TLS, message)


def _failing(rule: Rule, weight: int, problem: Problem, code: Reason) -> model.WeightedBackend:
    rule.unresolved(problem)
    return model.WeightedBackend(weight=weight, failure=internal_error(code, problem.message))


def _unavailable(share: model.WeightedBackend) -> model.WeightedBackend:
    failure = share.failure and msgspec.structs.replace(share.failure, status=_UNAVAILABLE)
    return msgspec.structs.replace(share, failure=failure)
