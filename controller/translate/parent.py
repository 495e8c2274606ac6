"""What routes see of a Gateway or ListenerSet that they name as a parent.

Owns the view that keeps routes from being translated anew when what they do not look at changes.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from controller.resources import ListenerSet, RouteGroupKind, RouteNamespaces
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.gateway import GATEWAY, ServedGateway
from controller.translate.graph import Reads, Stage
from controller.translate.listener_set import parent_of
from controller.translate.listeners import ParsedListener
from controller.translate.names import object_name
from controller.translate.stages import Rank


class ParentListener(msgspec.Struct, frozen=True):
    """What a route needs to know of a listener."""

    name: str
    port: int
    hostname: str
    kinds: tuple[RouteGroupKind, ...]
    namespaces: RouteNamespaces
    keys: tuple[str, ...]
    terminates_tls: bool


class Parent(msgspec.Struct, frozen=True):
    """What a route needs to know of a parent of ours: the listeners that its reference selects.

    ``client_certificate`` is presented to backends over TLS; ``variant`` sets its copies of routes
    and backends apart in a merged table.
    """

    table: str
    gateway: Key
    listeners: tuple[ParentListener, ...]
    client_certificate: Key | None = None
    variant: str = ""
    problem: Problem | None = None
    """Why nothing can attach to it."""


class ParentSelector(NamedTuple):
    """What a parent reference selects: a Gateway or ListenerSet, or its listeners of one name, or port, or both."""

    owner: Key
    section_name: str = ""
    port: int = 0

    def selects(self, listener: ParsedListener) -> bool:
        """Whether a listener is meant."""
        return self.section_name in ("", listener.name) and self.port in (0, listener.port)


def gateway_of_parent(reads: Reads, owner: Key) -> Key | None:
    """The Gateway behind a parent."""
    if owner.kind != ListenerSet.kind:
        return owner
    listener_set = reads.get(ListenerSet, owner.namespace, owner.name)
    return parent_of(owner, listener_set) if listener_set else None


def _parent(selector: ParentSelector, reads: Reads) -> Parent | None:
    gateway = gateway_of_parent(reads, selector.owner)
    served = reads.result(GATEWAY, gateway) if gateway else None
    if gateway is None or served is None:
        return None
    owned = served.owned_by(selector.owner)
    if owned is None:
        message = f"{selector.owner} does not belong to {gateway}: see its conditions"
        return Parent(served.table, gateway, (), problem=Problem(ConditionReason.NO_MATCHING_PARENT, message))
    listeners = tuple(
        ParentListener(
            name=listener.parsed.name,
            port=listener.parsed.port,
            hostname=listener.parsed.hostname,
            kinds=listener.parsed.kinds,
            namespaces=listener.parsed.namespaces,
            keys=listener.keys,
            terminates_tls=listener.parsed.terminates_tls,
        )
        for listener in owned
        if selector.selects(listener.parsed)
    )
    return _presenting(Parent(served.table, gateway, listeners), served, reads)


def _presenting(parent: Parent, served: ServedGateway, reads: Reads) -> Parent:
    client = served.parsed.client_certificate
    if client is None:
        return parent
    kind, namespace, name = client.key.split("/")
    variant = object_name(parent.gateway) if reads.options.merge else ""
    return msgspec.structs.replace(parent, client_certificate=Key(kind, namespace, name), variant=variant)


PARENT: Stage[ParentSelector, Parent | None] = Stage(Rank.PARENT, _parent)
"""None for a parent that is not ours. A route sees no more than its reference selects."""
