"""How EgressPolicies stand: with each Gateway that they target, and with each other.

Owns the conditions of the kind: ``Accepted``, ``sekisho.dev/Enforced`` with the listeners that it is enforced by,
``Conflicted`` where a Deny rule of another policy takes away what this one allows, and ``sekisho.dev/AllowsEveryName``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from controller.resources import GATEWAY_GROUP, EgressPolicy, EgressTargetReference, Gateway
from controller.resources.egress_policy import UNREADABLE_TARGET
from controller.store import Key
from controller.translate.backend_tls_policy import MAX_ANCESTORS, gateway_reference
from controller.translate.conditions import Condition, ConditionReason, ConditionType, Problem, fails, holds
from controller.translate.egress_policy import (
    EGRESS_POLICY,
    ParsedEgress,
    grant_problem,
    names_gateway,
    target_gateway,
)
from controller.translate.egress_standing import EGRESS_OUTLETS, Denial, denials_around
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.stages import Rank
from controller.translate.statuses import PolicyAncestorStatus, PolicyStatus
from controller.translate.ways_out import ROUTED, WAYS

_MAX_NAMED = 4


class _Verdict(msgspec.Struct, frozen=True):
    status: PolicyStatus | None
    notices: tuple[str, ...] = ()


def _status(key: Key, reads: Reads) -> _Verdict:
    resource = reads.get(EgressPolicy, key.namespace, key.name)
    parsed = reads.result(EGRESS_POLICY, key)
    if resource is None or parsed is None:
        return _Verdict(None)
    notices: list[str] = []
    ancestors: dict[Key, PolicyAncestorStatus] = {}
    for target in parsed.targets:
        gateway = target_gateway(key, target)
        outlets = reads.result(EGRESS_OUTLETS, gateway)
        if outlets is None:
            notices.append(_unserved(parsed, target))
        elif gateway not in ancestors:
            conditions = _conditions(reads, key, parsed, gateway, outlets, resource.metadata.generation)
            ancestors[gateway] = PolicyAncestorStatus(
                ancestor_ref=gateway_reference(gateway),
                controller_name=reads.options.controller_name,
                conditions=tuple(conditions),
            )
    status = PolicyStatus(ancestors=tuple(ancestors.values())[:MAX_ANCESTORS]) if ancestors else None
    return _Verdict(status, tuple(notices))


def _unserved(parsed: ParsedEgress, target: EgressTargetReference) -> str:
    if target.name == UNREADABLE_TARGET:
        return f"it is not understood, so all is denied by the Gateways of its namespace: {parsed.problem}"
    trouble = f"; {parsed.problem}" if parsed.problem else ""
    return f"the target {target.kind} {target.name} is not served here, so the policy has no effect on it{trouble}"


def _conditions(
    reads: Reads, key: Key, parsed: ParsedEgress, gateway: Key, outlets: tuple[str, ...], generation: int
) -> Iterator[Condition]:
    problem = _problem(reads, key, parsed, gateway, outlets)
    if problem is not None:
        yield fails(ConditionType.ACCEPTED, problem.reason, problem.message, generation)
        return
    yield holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "the policy is accepted", generation)
    sections = {target.section_name for target in parsed.targets if names_gateway(key, target, gateway)}
    listeners = [name for name in outlets if None in sections or name in sections]
    by = f"listener{'s' if len(listeners) > 1 else ''} {', '.join(listeners)}"
    if parsed.policy.mode == "Report":
        message = f"it is in mode Report on {by}: for the sources it names, nothing is denied, and all is recorded"
        yield holds(ConditionType.REPORT_ONLY, ConditionReason.REPORT_ONLY, message, generation)
    else:
        message = f"it decides on {by}"
        yield holds(ConditionType.ENFORCED, ConditionReason.ENFORCED, message, generation)
    yield _conflict(parsed, _deniers(reads, parsed, gateway), generation)
    if parsed.allows_every_name:
        message = "a rule allows every name, which was acknowledged: only the guard on addresses is left"
        yield holds(ConditionType.ALLOWS_EVERY_NAME, ConditionReason.ACKNOWLEDGED, message, generation)


def _problem(reads: Reads, key: Key, parsed: ParsedEgress, gateway: Key, outlets: tuple[str, ...]) -> Problem | None:
    denied = grant_problem(reads, key, gateway)
    if denied is not None:
        return denied
    if parsed.problem:
        message = f"it cannot be enforced as it is written, so all that it could speak of is denied: {parsed.problem}"
        return Problem(ConditionReason.INVALID, message)
    for target in parsed.targets:
        if not names_gateway(key, target, gateway):
            continue
        if (target.group, target.kind) != (GATEWAY_GROUP, Gateway.kind):
            return Problem(
                ConditionReason.TARGET_NOT_FOUND, f"{target.kind} {target.name} cannot be targeted: only a Gateway can"
            )
        if target.section_name and target.section_name not in outlets:
            message = f"{gateway} has no listener {target.section_name} by which anything goes out: {_remedy()}"
            return Problem(ConditionReason.TARGET_NOT_FOUND, message)
    if not outlets:
        message = f"{gateway} has no listener by which anything goes out: {_remedy()}"
        return Problem(ConditionReason.TARGET_NOT_FOUND, message)
    return None


def _remedy() -> str:
    routed = f"{', '.join(ROUTED[:-1])} or {ROUTED[-1]}"
    return f"give one a protocol of {', '.join(WAYS)}, or of {routed} for routes that lead outside"


def _deniers(reads: Reads, parsed: ParsedEgress, gateway: Key) -> Mapping[str, str]:
    """By pattern, another policy that denies it to callers of this one; the last, if there are several."""
    own = parsed.policy.key
    allowed = (rule.destinations for rule in parsed.policy.rules if rule.action == "Allow")
    names = frozenset(name for destinations in allowed for destination in destinations for name in destination.names)
    callers = ("", own.partition("/")[0])

    def others(denials: Iterable[Denial]) -> list[str]:
        return [one.policy for one in denials if one.policy != own and one.confined_to in callers]

    around = denials_around(reads, gateway, names)
    return {pattern: max(found) for pattern, denials in around.items() if (found := others(denials))}


def _conflict(parsed: ParsedEgress, deniers: Mapping[str, str], generation: int) -> Condition:
    """A name that this policy allows and another one denies, whoever asks."""
    found = [
        f"{name}: rule {rule.name} allows it, and {denier} denies {covering}"
        for rule in parsed.policy.rules
        if rule.action == "Allow"
        for destination in rule.destinations
        for name in (destination.names if deniers else ())
        for covering in _covering(name)
        if (denier := deniers.get(covering)) is not None
    ]
    if not found:
        message = "no other policy of the Gateway denies what it allows"
        return fails(ConditionType.CONFLICTED, ConditionReason.NO_CONFLICTS, message, generation)
    more = f" (and {len(found) - _MAX_NAMED} more)" if len(found) > _MAX_NAMED else ""
    message = f"{'; '.join(found[:_MAX_NAMED])}{more}: where both speak of the same caller and port, it is denied"
    return holds(ConditionType.CONFLICTED, ConditionReason.CONFLICTED, message, generation)


def _covering(name: str) -> Iterator[str]:
    """Patterns that cover a name or pattern."""
    yield name
    yield "*"
    rest = name.removeprefix("**.").removeprefix("*.")
    own = rest != name
    suffix = rest if own else rest.partition(".")[2]
    if suffix and not own:
        yield f"*.{suffix}"
    while suffix:
        yield f"**.{suffix}"
        suffix = suffix.partition(".")[2]


def _publish(key: Key, verdict: _Verdict) -> Published:
    if verdict.status is None and not verdict.notices:
        return NOTHING
    return Published(
        status=(key, verdict.status) if verdict.status else None,
        notices=tuple((key, text) for text in verdict.notices),
    )


EGRESS_POLICY_STATUS: Stage[Key, _Verdict] = Stage(Rank.EGRESS_POLICY_STATUS, _status, _publish)
"""By EgressPolicy."""
