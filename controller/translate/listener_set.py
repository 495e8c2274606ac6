"""ListenerSets: which belong to a Gateway, and in which order.

Owns ``AllowedListeners`` and the precedence between ListenerSets (Gateway API: ``gateway_types.go``,
``listenerset_types.go``). Whether a listener of a set is served is decided with the Gateway's own.
"""

from __future__ import annotations

import datetime

import msgspec

from controller.resources import GATEWAY_GROUP, Gateway, ListenerSet
from controller.store import Key
from controller.translate.graph import Reads, Stage
from controller.translate.indexes import SETS
from controller.translate.listeners import ParsedListener, parse_listeners
from controller.translate.names import object_name
from controller.translate.selectors import namespace_labels, selects
from controller.translate.stages import Rank


class ParsedSet(msgspec.Struct, frozen=True):
    """A ListenerSet by itself."""

    age: tuple[datetime.datetime, str]
    gateway: Key
    listeners: tuple[ParsedListener, ...]


def _parse(key: Key, reads: Reads) -> ParsedSet | None:
    resource = reads.get(ListenerSet, key.namespace, key.name)
    gateway = parent_of(key, resource) if resource else None
    if resource is None or gateway is None:
        return None
    return ParsedSet(
        age=(resource.metadata.creation_timestamp, object_name(key)),
        gateway=gateway,
        listeners=parse_listeners(reads, key, resource.spec.listeners),
    )


LISTENER_SET: Stage[Key, ParsedSet | None] = Stage(Rank.LISTENER_SET, _parse)
"""None for a set whose parent is no Gateway."""


def parent_of(key: Key, listener_set: ListenerSet) -> Key | None:
    """The Gateway a set wants to belong to."""
    reference = listener_set.spec.parent_ref
    if (reference.group, reference.kind) != (GATEWAY_GROUP, Gateway.kind):
        return None
    return Key(Gateway.kind, reference.namespace or key.namespace, reference.name)


def allowed_sets(reads: Reads, key: Key, gateway: Gateway) -> tuple[tuple[Key, ParsedSet], ...]:
    """The sets that a Gateway takes in, the one that goes before the others first."""
    sets = []
    for candidate in reads.referring(SETS, (key.namespace, key.name)):
        if not _allows(reads, key, gateway, candidate.namespace):
            continue
        parsed = reads.result(LISTENER_SET, candidate)
        if parsed is not None and parsed.gateway == key:
            sets.append((candidate, parsed))
    return tuple(sorted(sets, key=lambda pair: pair[1].age))


def _allows(reads: Reads, key: Key, gateway: Gateway, namespace: str) -> bool:
    if gateway.spec.allowed_listeners is None:
        return False
    allowed = gateway.spec.allowed_listeners.namespaces
    match allowed.from_:
        case "All":
            return True
        case "Same":
            return namespace == key.namespace
        case "Selector":
            labels = namespace_labels(reads, namespace)
            return labels is not None and allowed.selector is not None and selects(allowed.selector, labels)
        case _:
            return False
