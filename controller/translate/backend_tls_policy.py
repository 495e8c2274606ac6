"""BackendTLSPolicies: which one governs a Service port, and how it is doing.

Owns precedence between policies and ``PolicyStatus`` (Gateway API: ``backendtlspolicy_types.go``,
GEP-713). A policy that names a port goes before one for the whole Service; among equals the oldest
goes first, then the first by name, valid or not, so that a mistake never falls back to less than
what its author asked for.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import msgspec

from controller.resources import (
    GATEWAY_GROUP,
    BackendTLSPolicy,
    Gateway,
    LocalPolicyTargetReferenceWithSectionName,
    ParentReference,
    Service,
)
from controller.store import Key
from controller.translate.backend_tls import TLSSettings, tls_settings
from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Problem,
    fails,
    first_of,
    holds,
)
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.indexes import POLICIES
from controller.translate.stages import Rank
from controller.translate.statuses import PolicyAncestorStatus, PolicyStatus

ANCESTORS = "ancestors"
"""Collection, by Service or XBackend: the Gateways with a route to it."""
MAX_ANCESTORS = 16

Age = tuple[datetime.datetime, str, str]


def _policy(key: Key, reads: Reads) -> TLSSettings | None:
    policy = reads.get(BackendTLSPolicy, key.namespace, key.name)
    return tls_settings(reads, key.namespace, policy.spec.validation) if policy else None


TLS_POLICY: Stage[Key, TLSSettings | None] = Stage(Rank.TLS_POLICY, _policy)
"""By BackendTLSPolicy."""


def governing_policy(reads: Reads, service: Key, port_name: str) -> Key | None:
    """The policy in force for a port of a Service."""
    for section in (port_name, None) if port_name else (None,):
        claims = sorted(_claims(reads, service, section))
        if claims:
            return claims[0][1]
    return None


def _claims(reads: Reads, service: Key, section: str | None) -> Iterator[tuple[Age, Key]]:
    for key in reads.referring(POLICIES, (service.namespace, service.name)):
        policy = reads.get(BackendTLSPolicy, key.namespace, key.name)
        if policy is None:
            continue
        for target in policy.spec.target_refs:
            if _service_of(key, target) == service and (target.section_name or None) == section:
                yield (policy.metadata.creation_timestamp, key.namespace, key.name), key


def _service_of(policy: Key, target: LocalPolicyTargetReferenceWithSectionName) -> Key | None:
    if (target.group, target.kind) != ("", Service.kind):
        return None
    return Key(Service.kind, policy.namespace, target.name)


class _Verdict(msgspec.Struct, frozen=True):
    """A policy's status, and what to say where no status can say it."""

    status: PolicyStatus | None
    notice: str = ""


def _status(key: Key, reads: Reads) -> _Verdict:
    policy = reads.get(BackendTLSPolicy, key.namespace, key.name)
    settings = reads.result(TLS_POLICY, key)
    if policy is None or settings is None:
        return _Verdict(None)
    problem = _target_problem(reads, key, policy) or settings.problem
    conditions = _conditions(settings, problem, policy.metadata.generation)
    gateways = sorted({gateway for target in policy.spec.target_refs for gateway in _ancestors(reads, key, target)})
    if not gateways:
        targets = ", ".join(f"{target.kind} {target.name}" for target in policy.spec.target_refs)
        trouble = f"; {problem.message}" if problem else ""
        return _Verdict(
            None, f"no route of a Gateway served here refers to {targets}: the policy has no effect{trouble}"
        )
    return _Verdict(
        PolicyStatus(
            ancestors=tuple(
                PolicyAncestorStatus(
                    ancestor_ref=gateway_reference(gateway),
                    controller_name=reads.options.controller_name,
                    conditions=conditions,
                )
                for gateway in gateways[:MAX_ANCESTORS]
            )
        )
    )


def gateway_reference(gateway: Key) -> ParentReference:
    """A Gateway as the ancestor of something."""
    return ParentReference(group=GATEWAY_GROUP, kind=Gateway.kind, namespace=gateway.namespace, name=gateway.name)


def _ancestors(reads: Reads, policy: Key, target: LocalPolicyTargetReferenceWithSectionName) -> list[Key]:
    service = _service_of(policy, target)
    return list(reads.members(ANCESTORS, service)) if service else []


def _target_problem(reads: Reads, key: Key, policy: BackendTLSPolicy) -> Problem | None:
    for target in policy.spec.target_refs:
        service = _service_of(key, target)
        if service is None:
            return Problem(
                ConditionReason.TARGET_NOT_FOUND,
                f"{target.kind} {target.name} cannot be targeted: only a Service can",
            )
        found = reads.get(Service, service.namespace, service.name)
        if found is None:
            return Problem(ConditionReason.TARGET_NOT_FOUND, f"{service} does not exist")
        if target.section_name and target.section_name not in [port.name for port in found.spec.ports]:
            return Problem(ConditionReason.TARGET_NOT_FOUND, f"{service} has no port named {target.section_name}")
        winner = min(_claims(reads, service, target.section_name or None))[1]
        if winner != key:
            part = f"port {target.section_name} of {service}" if target.section_name else str(service)
            return Problem(ConditionReason.CONFLICTED, f"{part} is already governed by {winner}, which goes before")
    return None


def _conditions(settings: TLSSettings, problem: Problem | None, generation: int) -> tuple[Condition, ...]:
    accepted = (
        fails(ConditionType.ACCEPTED, problem.reason, problem.message, generation)
        if problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "connections to the target use TLS", generation)
    )
    if settings.ref_problems:
        return accepted, fails(ConditionType.RESOLVED_REFS, *first_of(settings.ref_problems), generation)
    resolved = "all references are resolved"
    return accepted, holds(ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, resolved, generation)


def _publish(key: Key, verdict: _Verdict) -> Published:
    if verdict.status is not None:
        return Published(status=(key, verdict.status))
    return Published(notices=((key, verdict.notice),)) if verdict.notice else NOTHING


TLS_POLICY_STATUS: Stage[Key, _Verdict] = Stage(Rank.TLS_POLICY_STATUS, _status, _publish)
