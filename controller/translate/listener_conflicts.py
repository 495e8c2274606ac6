"""Listeners of one Gateway against each other: conflicts, and TLS hostnames that overlap.

Owns "Distinct Listeners" and "Handling indistinct Listeners" of ``GatewaySpec.listeners``, the
precedence of ``ListenerSetSpec.listeners`` and the ``OverlappingTLSConfig`` condition. Within one object
there is no winner: every indistinct listener is conflicted. Between objects the earlier one wins.
Listeners of a protocol that is not supported take no part, as the specification asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.listeners import ROUTE_KINDS, ParsedListener
from controller.translate.ways_out import WAYS

Group = tuple[ParsedListener, ...]
"""The listeners of one Gateway or ListenerSet."""

_FAMILIES = {
    "HTTP": "HTTP",
    "HTTPS": "TLS",
    "TLS": "TLS",
    "TCP": "TCP",
    "UDP": "UDP",
    "HBONE": "HBONE",
    **{way: way for way in WAYS},
}
"""Protocols that can share a port, as something tells their connections apart."""
_WITH_HOSTNAMES = ("HTTP", "TLS")
_MAX_NAMES = 8
_Port = tuple[str, int]


def with_conflicts(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The listeners, each knowing what it conflicts and overlaps with. The groups come in order of precedence."""
    claims: dict[_Port, _Claims] = defaultdict(_Claims)
    judged: list[Group] = []
    for group in groups:
        lost = {
            index: problem
            for index, listener in enumerate(group)
            if _takes_part(listener) and (problem := claims[_port(listener)].refuse(listener))
        }
        rest = [listener for index, listener in enumerate(group) if index not in lost and _takes_part(listener)]
        judged.append(tuple(_judged(listener, lost.get(index), rest) for index, listener in enumerate(group)))
        for listener in rest:
            claims[_port(listener)].add(listener)
    overlaps = _overlaps([listener for group in judged for listener in group])
    return tuple(tuple(_overlapping(listener, overlaps) for listener in group) for group in judged)


def _overlapping(listener: ParsedListener, overlaps: Mapping[tuple[Key, str], str]) -> ParsedListener:
    overlap = overlaps.get((listener.owner, listener.name), "")
    return msgspec.structs.replace(listener, overlap=overlap) if overlap else listener


def _takes_part(listener: ParsedListener) -> bool:
    return listener.protocol in ROUTE_KINDS


def _port(listener: ParsedListener) -> _Port:
    return listener.transport, listener.port


class _Claims:
    """What the listeners of earlier objects have taken on one port."""

    def __init__(self) -> None:
        self._families: dict[str, Key] = {}
        self._hostnames: dict[str, Key] = {}

    def add(self, listener: ParsedListener) -> None:
        self._families.setdefault(_FAMILIES[listener.protocol], listener.owner)
        self._hostnames.setdefault(listener.hostname, listener.owner)

    def refuse(self, listener: ParsedListener) -> Problem | None:
        family = _FAMILIES[listener.protocol]
        other = next((owner for name, owner in self._families.items() if name != family), None)
        if other is not None:
            message = f"port {listener.port} is used with another protocol by {_owner(other)}, which goes before"
            return Problem(ConditionReason.PROTOCOL_CONFLICT, message)
        holder = self._hostnames.get(listener.hostname)
        if holder is None:
            return None
        return _same(listener, f"that of {_owner(holder)}, which goes before")


def _owner(owner: Key) -> str:
    # A set must not learn the names of other teams' sets.
    return str(owner) if owner.kind == "Gateway" else "another ListenerSet"


def _judged(listener: ParsedListener, lost: Problem | None, rest: Iterable[ParsedListener]) -> ParsedListener:
    conflict = lost or (_conflict(listener, rest) if _takes_part(listener) else None)
    return msgspec.structs.replace(listener, conflict=conflict) if conflict else listener


def _conflict(listener: ParsedListener, neighbours: Iterable[ParsedListener]) -> Problem | None:
    others = [other for other in neighbours if other.name != listener.name and _port(other) == _port(listener)]
    family = _FAMILIES[listener.protocol]
    protocols = [other.name for other in others if _FAMILIES[other.protocol] != family]
    if protocols:
        return Problem(
            ConditionReason.PROTOCOL_CONFLICT,
            f"port {listener.port} is used with another protocol by {_names(protocols)}",
        )
    same = [other.name for other in others if other.hostname == listener.hostname]
    return _same(listener, f"that of {_names(same)}") if same else None


def _same(listener: ParsedListener, whose: str) -> Problem:
    if _FAMILIES[listener.protocol] not in _WITH_HOSTNAMES:
        message = f"port {listener.port} is also {whose}, and nothing tells their traffic apart"
        return Problem(ConditionReason.PROTOCOL_CONFLICT, message)
    host = f"hostname {listener.hostname}" if listener.hostname else "no hostname"
    return Problem(ConditionReason.HOSTNAME_CONFLICT, f"port {listener.port} with {host} is also {whose}")


def _overlaps(listeners: Sequence[ParsedListener]) -> dict[tuple[Key, str], str]:
    hosts: dict[tuple[int, str], list[ParsedListener]] = defaultdict(list)
    for listener in listeners:
        if listener.protocol == "HTTPS" and listener.conflict is None:
            hosts[listener.port, listener.hostname].append(listener)
    order = {(listener.owner, listener.name): index for index, listener in enumerate(listeners)}
    found: dict[tuple[Key, str], list[ParsedListener]] = defaultdict(list)
    for (port, hostname), covered in hosts.items():
        for wildcard in _wildcards(hostname):
            for one in covered:
                for other in hosts.get((port, wildcard), ()):
                    found[one.owner, one.name].append(other)
                    found[other.owner, other.name].append(one)
    return {
        key: _overlap(key, sorted(others, key=lambda one: order[one.owner, one.name])) for key, others in found.items()
    }


def _wildcards(hostname: str) -> Iterator[str]:
    """Hostnames of listeners that cover a hostname, without itself."""
    rest = hostname.removeprefix("*.")
    while "." in rest:
        rest = rest.partition(".")[2]
        yield f"*.{rest}"
    if hostname:
        yield ""


def _overlap(key: tuple[Key, str], others: Sequence[ParsedListener]) -> str:
    own = [one.name for one in others if one.owner == key[0]]
    foreign = dict.fromkeys(f"a listener of {_owner(one.owner)}" for one in others if one.owner != key[0])
    whose = " and ".join([*([_names(own)] if own else []), *foreign])
    return f"the hostname overlaps with that of {whose} on port {others[0].port}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ("listener " if len(names) == 1 else "listeners ") + ", ".join(names[:_MAX_NAMES]) + more
