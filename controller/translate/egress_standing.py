"""What a Gateway's EgressPolicies need to know of it and of each other, found once for all of them.

A policy's conditions depend on this and on itself, so that a change of one among a thousand is told of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from controller.store import Key
from controller.translate.gateway import GATEWAY, ServedGateway
from controller.translate.graph import Reads, Stage
from controller.translate.stages import Rank
from controller.translate.ways_out import ROUTED, WAYS


class Denial(msgspec.Struct, frozen=True):
    """A policy that denies a name, and the namespace of the callers that it is confined to, or empty."""

    policy: str
    confined_to: str


class EgressStanding(msgspec.Struct, frozen=True):
    """What all policies of a Gateway are held against."""

    outlets: tuple[str, ...]
    """Names of the listeners by which something may go out."""
    denials: Mapping[str, tuple[Denial, ...]]
    """By name or pattern, in the order of the policies."""

    def denier(self, pattern: str, own: str) -> str | None:
        """Another policy that denies this pattern to callers of the policy ``own``; the last, if there are several."""
        namespace = own.partition("/")[0]
        found = [
            denial.policy
            for denial in self.denials.get(pattern, ())
            if denial.policy != own and denial.confined_to in ("", namespace)
        ]
        return found[-1] if found else None


def _standing(key: Key, reads: Reads) -> EgressStanding | None:
    served = reads.result(GATEWAY, key)
    return None if served is None else EgressStanding(_outlets(served), _denials(served))


def _outlets(served: ServedGateway) -> tuple[str, ...]:
    return tuple(
        listener.parsed.name
        for listener in served.every_listener()
        if listener.parsed.protocol in (*WAYS, *ROUTED) and listener.problem is None
    )


def _denials(served: ServedGateway) -> Mapping[str, tuple[Denial, ...]]:
    """Of policies that deny, and do not only report."""
    found: dict[str, list[Denial]] = {}
    for policy in (attached.policy for attached in served.parsed.outlets.policies):
        if policy.mode == "Report":
            continue
        denied = Denial(policy.key, policy.confined_to)
        names = {
            name
            for rule in policy.rules
            if rule.action == "Deny"
            for destination in rule.destinations
            for name in destination.names
        }
        for name in names:
            found.setdefault(name, []).append(denied)
    return {name: tuple(denials) for name, denials in found.items()}


EGRESS_STANDING: Stage[Key, EgressStanding | None] = Stage(Rank.EGRESS_STANDING, _standing)
"""By Gateway; None for one that is not served."""
