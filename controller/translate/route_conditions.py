"""Conditions of a route with one parent.

Owns ``RouteParentStatus.conditions`` (Gateway API: ``shared_types.go``), the same for every kind of
parent.
"""

from __future__ import annotations

from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Problem,
    fails,
    first_of,
    holds,
)
from controller.translate.route_rules import Rules, dropped_rules

ATTACHED_MESSAGE = "the route is attached"


def route_conditions(
    problem: Problem | None, rules: Rules, generation: int, message: str = ATTACHED_MESSAGE
) -> tuple[Condition, ...]:
    """``problem``: why it is not attached; ``message``: what is said where it is."""
    accepted = (
        fails(ConditionType.ACCEPTED, problem.reason, problem.message, generation)
        if problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, message, generation)
    )
    unresolved = tuple(one for rule in rules for one in rule.unresolved)
    resolved = (
        fails(ConditionType.RESOLVED_REFS, *first_of(unresolved), generation)
        if unresolved
        else holds(
            ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, "all references are resolved", generation
        )
    )
    if problem or not any(rule.dropped for rule in rules):
        return accepted, resolved
    dropped = f"Dropped Rule: {dropped_rules(rules)}"
    partly = holds(ConditionType.PARTIALLY_INVALID, ConditionReason.UNSUPPORTED_VALUE, dropped, generation)
    return accepted, resolved, partly
