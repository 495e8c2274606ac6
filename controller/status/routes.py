"""Refusals of the data plane, as routes feel them.

Owns the condition ``sekisho.dev/Programmed`` on routes: it appears, False, when the data plane
refused a rule or something the rule sends traffic to, and is absent otherwise.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import msgspec

from controller.status.ingresses import failing_listeners, ingress_with_refusal
from controller.store import Key
from controller.translate import IngressStatus, RouteParentStatus, RouteStatus, Status
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails
from controller.translate.names import gateway_of, listener_of, route_of
from gateway.routing_table.model import Applied, RequestMirror, Resources, Route

_STAYS = "what was served before stays"


def routes_with_refusals(
    statuses: Mapping[Key, Status], table: Resources, applied: Applied
) -> Iterator[tuple[Key, RouteStatus | IngressStatus]]:
    """Statuses of the routes and Ingresses that refusals touch."""
    messages = refused_routes(table, applied)
    if not messages:
        return
    parents = parents_in(table)
    for key, message in messages.items():
        status = statuses.get(key)
        if isinstance(status, RouteStatus):
            yield key, with_refusal(key, status, parents, message)
        elif isinstance(status, IngressStatus):
            yield key, ingress_with_refusal(status, message)


def refused_routes(table: Resources, applied: Applied) -> dict[Key, str]:
    """What the data plane refused of each route, and what of it an Ingress feels."""
    refusals: dict[Key, list[str]] = {}
    for key, text in _refusals(table, applied) if applied.rejected else ():
        refusals.setdefault(key, []).append(text)
    messages = {
        key: f"the data plane refused {'; '.join(dict.fromkeys(texts))}; {_STAYS}" for key, texts in refusals.items()
    }
    for key, text in dict.fromkeys(failing_listeners(table, applied)):
        messages[key] = f"{messages[key]}; {text}" if key in messages else text
    return messages


def parents_in(table: Resources) -> frozenset[Key]:
    """The Gateways and ListenerSets that a table serves."""
    gateways = {gateway_of(gateway.key) for gateway in table.gateways}
    return frozenset(gateways | {listener_of(listener.key)[0] for listener in table.listeners})


def with_refusal(key: Key, status: RouteStatus, parents: Container[Key], message: str) -> RouteStatus:
    """The status of a route with a refusal by those of its ``parents`` that accepted it."""
    return msgspec.structs.replace(
        status, parents=tuple(_parent(key, parent, parents, message) for parent in status.parents)
    )


def _refusals(table: Resources, applied: Applied) -> Iterator[tuple[Key, str]]:
    for item in applied.rejected:
        if item.kind == "routes":
            key, rule = route_of(item.key)
            yield key, f"rule {rule}: {item.reason}"
    backends = _refused_backends(table, applied)
    if not backends:
        return
    for route in table.routes:
        for backend in dict.fromkeys(_backends_of(route)):
            if backend in backends:
                yield route_of(route.key)[0], f"{backends[backend]} (used by rule {route.rule})"


def _refused_backends(table: Resources, applied: Applied) -> dict[str, str]:
    refused = {(item.kind, item.key): item.reason for item in applied.rejected}
    found: dict[str, str] = {}
    for backend in table.backends:
        needs = [("backends", backend.key), ("endpoints", backend.key)]
        if backend.tls:
            needs += [("trust_bundles", bundle) for bundle in backend.tls.trust_bundles]
            needs += [("certificates", backend.tls.client_certificate)]
        for kind, key in needs:
            if (kind, key) in refused:
                found.setdefault(backend.key, f"{kind.removesuffix('s').replace('_', ' ')} {key}: {refused[kind, key]}")
    return found


def _backends_of(route: Route) -> Iterator[str]:
    for filters in (route.filters, *(backend.filters for backend in route.backends)):
        for filter_ in filters:
            if isinstance(filter_, RequestMirror):
                yield filter_.backend
    for backend in route.backends:
        yield backend.backend


def _parent(key: Key, parent: RouteParentStatus, parents: Container[Key], message: str) -> RouteParentStatus:
    reference = parent.parent_ref
    accepted = parent.conditions[0]
    owner = Key(reference.kind, reference.namespace or key.namespace, reference.name)
    if accepted.status != "True" or owner not in parents:
        return parent
    condition: Condition = fails(
        ConditionType.DATA_PLANE, ConditionReason.REJECTED, message, accepted.observed_generation
    )
    return msgspec.structs.replace(parent, conditions=(*parent.conditions, condition))
