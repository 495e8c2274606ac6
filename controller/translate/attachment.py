"""Which listeners of a Gateway a route attaches to.

Owns the steps that the specification names, in its order: the parent reference selects listeners
(``ParentReference``), listeners allow routes by kind and namespace (``AllowedRoutes``), hostnames
must intersect. The first step that leaves no listener gives the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from controller.resources import GATEWAY_GROUP, Gateway, ParentReference
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.gateway import PARENT, Parent, ParentListener, ParentSelector
from controller.translate.graph import Reads
from controller.translate.hostnames import intersect
from controller.translate.selectors import namespace_labels, selects


class Attached(NamedTuple):
    """A listener and the hosts it shares with the route."""

    listener: ParentListener
    hostnames: tuple[str, ...]


class ParentMatch(NamedTuple):
    """One parent reference to a Gateway of ours. Without a problem there is at least one listener."""

    reference: ParentReference
    gateway: Key
    parent: Parent
    listeners: tuple[Attached, ...]
    problem: Problem | None


def attach(reads: Reads, route: Key, reference: ParentReference, hostnames: Sequence[str]) -> ParentMatch | str:
    """How the route stands with one parent; a sentence if the parent is none of ours."""
    gateway = Key(Gateway.kind, reference.namespace or route.namespace, reference.name)
    if (reference.group, reference.kind) != (GATEWAY_GROUP, Gateway.kind):
        return f"parentRef {reference.kind} {reference.name} is not a Gateway, and nothing else is supported"
    parent = reads.result(PARENT, ParentSelector(gateway, reference.section_name or "", reference.port or 0))
    if parent is None:
        exists = reads.get(Gateway, gateway.namespace, gateway.name) is not None
        return "" if exists else f"parentRef {gateway} does not exist"
    match = ParentMatch(reference, gateway, parent, (), None)
    found = _listeners(reads, route, match, hostnames)
    return match._replace(problem=found) if isinstance(found, Problem) else match._replace(listeners=found)


def _listeners(
    reads: Reads, route: Key, match: ParentMatch, hostnames: Sequence[str]
) -> tuple[Attached, ...] | Problem:
    gateway = match.gateway
    if not match.parent.listeners:
        return Problem(ConditionReason.NO_MATCHING_PARENT, _no_such_listener(gateway, match.reference))
    listeners = [listener for listener in match.parent.listeners if _allows(reads, gateway, listener, route)]
    if not listeners:
        message = f"no listener of {gateway} allows {route.kind}s of namespace {route.namespace}"
        return Problem(ConditionReason.NOT_ALLOWED_BY_LISTENERS, message)
    attached = (Attached(listener, intersect(listener.hostname, hostnames)) for listener in listeners)
    agreeing = tuple(one for one in attached if one.hostnames)
    if not agreeing:
        hosts = ", ".join(dict.fromkeys(listener.hostname for listener in listeners))
        message = f"none of the route's hostnames lies within those of the listeners of {gateway}: {hosts}"
        return Problem(ConditionReason.NO_MATCHING_LISTENER_HOSTNAME, message)
    return agreeing


def _no_such_listener(gateway: Key, reference: ParentReference) -> str:
    wanted = [f"named {reference.section_name}"] if reference.section_name else []
    wanted += [f"on port {reference.port}"] if reference.port else []
    return f"{gateway} has no listener {' '.join(wanted)}".rstrip()


def _allows(reads: Reads, gateway: Key, listener: ParentListener, route: Key) -> bool:
    if all(kind.kind != route.kind for kind in listener.kinds):
        return False
    match listener.namespaces.from_:
        case "All":
            return True
        case "Same":
            return route.namespace == gateway.namespace
        case "Selector":
            labels = namespace_labels(reads, route.namespace)
            selector = listener.namespaces.selector
            return labels is not None and selector is not None and selects(selector, labels)
        case _:
            return False
