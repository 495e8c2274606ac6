"""Listeners of one Gateway against each other: conflicts, and TLS hostnames that overlap.

Owns "Distinct Listeners" and "Handling indistinct Listeners" of ``GatewaySpec.listeners`` and the
``OverlappingTLSConfig`` condition. There is no winner: every indistinct listener is conflicted.
Listeners of a protocol that is not supported take no part, as the specification asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from controller.translate.conditions import ConditionReason, Problem
from controller.translate.hostnames import overlap
from controller.translate.listeners import ROUTE_KINDS, ParsedListener


def with_conflicts(listeners: Sequence[ParsedListener]) -> tuple[ParsedListener, ...]:
    """The listeners, each knowing what it conflicts and overlaps with."""
    by_port: dict[int, list[ParsedListener]] = defaultdict(list)
    for listener in listeners:
        if listener.protocol in ROUTE_KINDS:
            by_port[listener.port].append(listener)
    judged = {
        listener.name: msgspec.structs.replace(listener, conflict=_conflict(listener, by_port[listener.port]))
        for listener in listeners
    }
    for listener in judged.values():
        if listener.protocol == "HTTPS" and listener.conflict is None:
            others = [judged[other.name] for other in by_port[listener.port]]
            judged[listener.name] = msgspec.structs.replace(listener, overlap=_overlap(listener, others))
    return tuple(judged.values())


def _conflict(listener: ParsedListener, neighbours: Iterable[ParsedListener]) -> Problem | None:
    if listener.protocol not in ROUTE_KINDS:
        return None
    others = [other for other in neighbours if other.name != listener.name]
    protocols = [other.name for other in others if other.protocol != listener.protocol]
    if protocols:
        return Problem(
            ConditionReason.PROTOCOL_CONFLICT,
            f"port {listener.port} is used with another protocol by {_names(protocols)}",
        )
    hostnames = [other.name for other in others if other.hostname == listener.hostname]
    if hostnames:
        host = f"hostname {listener.hostname}" if listener.hostname else "no hostname"
        return Problem(
            ConditionReason.HOSTNAME_CONFLICT, f"port {listener.port} with {host} is also that of {_names(hostnames)}"
        )
    return None


def _overlap(listener: ParsedListener, neighbours: Iterable[ParsedListener]) -> str:
    others = [
        other.name
        for other in neighbours
        if other.name != listener.name and other.conflict is None and overlap(listener.hostname, other.hostname)
    ]
    return f"the hostname overlaps with that of {_names(others)} on port {listener.port}" if others else ""


def _names(names: Sequence[str]) -> str:
    return ("listener " if len(names) == 1 else "listeners ") + ", ".join(names)
