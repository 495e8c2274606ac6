"""Status of listeners, of a Gateway and of a ListenerSet.

Owns ``ListenerStatus`` and ``ListenerEntryStatus`` (Gateway API: ``gateway_types.go``,
``listenerset_types.go``), which have the same conditions.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Problem,
    fails,
    first_of,
    holds,
    pending,
)
from controller.translate.gateway import ServedGateway, ServedListener
from controller.translate.graph import Reads
from controller.translate.route import ATTACHED
from controller.translate.statuses import ListenerStatus

WAITING = "the data plane has not answered yet"


def listener_statuses(
    reads: Reads, served: ServedGateway, listeners: Iterable[ServedListener], generation: int
) -> tuple[ListenerStatus, ...]:
    """One status for each name; ``generation`` is that of the object that has the listeners."""
    statuses = {
        listener.parsed.name: ListenerStatus(
            name=listener.parsed.name,
            supported_kinds=listener.parsed.kinds,
            attached_routes=len(reads.members(ATTACHED, (listener.parsed.owner, listener.parsed.name))),
            conditions=_listener_conditions(served, listener, generation),
        )
        for listener in listeners
    }
    return tuple(statuses.values())


def _listener_conditions(served: ServedGateway, listener: ServedListener, generation: int) -> tuple[Condition, ...]:
    parsed = listener.parsed
    conditions = [
        fails(ConditionType.ACCEPTED, listener.problem.reason, listener.problem.message, generation)
        if listener.problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "the listener is accepted", generation),
        _listener_programmed(served, listener, generation),
        fails(ConditionType.RESOLVED_REFS, *first_of(parsed.ref_problems), generation)
        if parsed.ref_problems
        else holds(
            ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, "all references are resolved", generation
        ),
        holds(ConditionType.CONFLICTED, parsed.conflict.reason, parsed.conflict.message, generation)
        if parsed.conflict
        else fails(ConditionType.CONFLICTED, ConditionReason.NO_CONFLICTS, "no listener is in the way", generation),
    ]
    if parsed.overlap:
        reason = ConditionReason.OVERLAPPING_HOSTNAMES
        conditions.append(holds(ConditionType.OVERLAPPING_TLS_CONFIG, reason, parsed.overlap, generation))
    return tuple(conditions)


def _listener_programmed(served: ServedGateway, listener: ServedListener, generation: int) -> Condition:
    if listener.keys:
        return pending(WAITING, generation)
    if served.problem is None and listener.problem is None and not listener.parsed.ref_problems:
        message = "hosts of Ingresses are served on its port, each with the certificate of its Ingress"
        return holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, message, generation)
    problem = listener.parsed.conflict or _invalid(served, listener)
    return fails(ConditionType.PROGRAMMED, problem.reason, problem.message, generation)


def _invalid(served: ServedGateway, listener: ServedListener) -> Problem:
    if listener.problem:
        return Problem(ConditionReason.INVALID, listener.problem.message)
    if served.problem:
        return Problem(ConditionReason.INVALID, f"the Gateway is not accepted: {served.problem.message}")
    return Problem(ConditionReason.INVALID, first_of(listener.parsed.ref_problems)[1])
