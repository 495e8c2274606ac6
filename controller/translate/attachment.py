"""Which listeners of a Gateway or ListenerSet a route attaches to.

Owns the steps that the specification names, in its order: the parent reference selects listeners
(``ParentReference``), listeners allow routes by kind and namespace (``AllowedRoutes``), hostnames
must intersect. The first step that leaves no listener gives the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from controller.resources import GATEWAY_GROUP, Gateway, ListenerSet, ParentReference
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.hostnames import intersect
from controller.translate.parent import PARENT, Parent, ParentListener, ParentSelector, gateway_of_parent
from controller.translate.selectors import namespace_labels, selects

_PARENTS = (Gateway.kind, ListenerSet.kind)


class Attached(NamedTuple):
    """A listener and the hosts it shares with the route."""

    listener: ParentListener
    hostnames: tuple[str, ...]


class ParentMatch(NamedTuple):
    """One parent reference to a Gateway or ListenerSet of ours. Without a problem there is at least one listener."""

    reference: ParentReference
    owner: Key
    parent: Parent
    listeners: tuple[Attached, ...]
    problem: Problem | None


def attach(reads: Reads, route: Key, reference: ParentReference, hostnames: Sequence[str]) -> ParentMatch | str:
    """How the route stands with one parent; a sentence if the parent is none of ours."""
    if reference.group != GATEWAY_GROUP or reference.kind not in _PARENTS:
        return f"parentRef {reference.kind} {reference.name} is neither a Gateway nor a ListenerSet"
    owner = Key(reference.kind, reference.namespace or route.namespace, reference.name)
    parent = reads.result(PARENT, ParentSelector(owner, reference.section_name or "", reference.port or 0))
    if parent is None:
        missing = _missing(reads, owner)
        return f"parentRef {missing} does not exist" if missing else ""
    match = ParentMatch(reference, owner, parent, (), parent.problem)
    if match.problem is not None:
        return match
    found = _listeners(reads, route, match, hostnames)
    return match._replace(problem=found) if isinstance(found, Problem) else match._replace(listeners=found)


def _missing(reads: Reads, owner: Key) -> Key | None:
    """The parent, or the Gateway behind it, if it does not exist."""
    if owner.kind == ListenerSet.kind and reads.get(ListenerSet, owner.namespace, owner.name) is None:
        return owner
    gateway = gateway_of_parent(reads, owner)
    exists = gateway is None or reads.get(Gateway, gateway.namespace, gateway.name) is not None
    return None if exists else gateway


def _listeners(
    reads: Reads, route: Key, match: ParentMatch, hostnames: Sequence[str]
) -> tuple[Attached, ...] | Problem:
    owner = match.owner
    if not match.parent.listeners:
        return Problem(ConditionReason.NO_MATCHING_PARENT, _no_such_listener(owner, match.reference))
    listeners = [listener for listener in match.parent.listeners if _allows(reads, owner, listener, route)]
    if not listeners:
        message = f"no listener of {owner} allows {route.kind}s of namespace {route.namespace}"
        return Problem(ConditionReason.NOT_ALLOWED_BY_LISTENERS, message)
    attached = (Attached(listener, intersect(listener.hostname, hostnames)) for listener in listeners)
    agreeing = tuple(one for one in attached if one.hostnames)
    if not agreeing:
        hosts = ", ".join(dict.fromkeys(listener.hostname for listener in listeners))
        message = f"none of the route's hostnames lies within those of the listeners of {owner}: {hosts}"
        return Problem(ConditionReason.NO_MATCHING_LISTENER_HOSTNAME, message)
    return agreeing


def _no_such_listener(owner: Key, reference: ParentReference) -> str:
    wanted = [f"named {reference.section_name}"] if reference.section_name else []
    wanted += [f"on port {reference.port}"] if reference.port else []
    return f"{owner} has no listener {' '.join(wanted)}".rstrip()


def _allows(reads: Reads, owner: Key, listener: ParentListener, route: Key) -> bool:
    if all(kind.kind != route.kind for kind in listener.kinds):
        return False
    match listener.namespaces.from_:
        case "All":
            return True
        case "Same":
            return route.namespace == owner.namespace
        case "Selector":
            labels = namespace_labels(reads, route.namespace)
            selector = listener.namespaces.selector
            return labels is not None and selector is not None and selects(selector, labels)
        case _:
            return False
