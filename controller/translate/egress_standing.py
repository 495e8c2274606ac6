"""What a Gateway's EgressPolicies need to know of it and of each other, found once for all of them.

A policy's conditions depend on itself and on the part of this that its names look at, so that a change of one among a
thousand is told of one, and a name that one denies is looked at by those that name others of that domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from controller.store import Key
from controller.translate.gateway import GATEWAY, ServedGateway
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.stages import Rank
from controller.translate.ways_out import ROUTED, WAYS

DENIALS = "egress-denials"
"""Collection, by Gateway and domain: each :class:`Denial` of names in it; at the empty one, of wider patterns."""


class Denial(NamedTuple):
    """A policy that denies a name or pattern, and the namespace of the callers that it is confined to, or empty."""

    pattern: str
    policy: str
    confined_to: str


class EgressStanding(msgspec.Struct, frozen=True):
    """What all policies of a Gateway are held against."""

    outlets: tuple[str, ...]
    """Names of the listeners by which something may go out."""
    denials: tuple[Denial, ...] = ()
    """Published by domain: who reads this reads all."""


def domain_of(pattern: str) -> str:
    """The last two labels of a name or pattern; empty where it has fewer, so that it covers names of several."""
    labels = pattern.removeprefix("**.").removeprefix("*.").rsplit(".", 2)[-2:]
    return ".".join(labels) if len(labels) == 2 else ""


def denials_around(reads: Reads, gateway: Key, names: frozenset[str]) -> dict[str, list[Denial]]:
    """Those that could cover one of the names, by pattern."""
    found: dict[str, list[Denial]] = {}
    for domain in {"", *map(domain_of, names)}:
        for denial in reads.members(DENIALS, (gateway, domain)):
            found.setdefault(denial.pattern, []).append(denial)
    return found


def _standing(key: Key, reads: Reads) -> EgressStanding | None:
    served = reads.result(GATEWAY, key)
    return None if served is None else EgressStanding(_outlets(served), tuple(sorted(set(_denials(served)))))


def _outlets(served: ServedGateway) -> tuple[str, ...]:
    return tuple(
        listener.parsed.name
        for listener in served.every_listener()
        if listener.parsed.protocol in (*WAYS, *ROUTED) and listener.problem is None
    )


def _denials(served: ServedGateway) -> Iterator[Denial]:
    """Of policies that deny, and do not only report."""
    for policy in (attached.policy for attached in served.parsed.outlets.policies):
        if policy.mode == "Report":
            continue
        for rule in policy.rules:
            if rule.action == "Deny":
                for destination in rule.destinations:
                    yield from (Denial(name, policy.key, policy.confined_to) for name in destination.names)


def _publish(key: Key, standing: EgressStanding | None) -> Published:
    if standing is None or not standing.denials:
        return NOTHING
    members = (((DENIALS, (key, domain_of(denial.pattern))), denial) for denial in standing.denials)
    return Published(members=tuple(members))


EGRESS_STANDING: Stage[Key, EgressStanding | None] = Stage(Rank.EGRESS_STANDING, _standing, _publish)
"""By Gateway; None for one that is not served. What it denies is read as :data:`DENIALS`."""


def _outlet_names(key: Key, reads: Reads) -> tuple[str, ...] | None:
    standing = reads.result(EGRESS_STANDING, key)
    return None if standing is None else standing.outlets


EGRESS_OUTLETS: Stage[Key, tuple[str, ...] | None] = Stage(Rank.EGRESS_OUTLETS, _outlet_names)
"""By Gateway: names of the listeners by which something may go out; None for one that is not served."""
