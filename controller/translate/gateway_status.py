"""Status of Gateways and their listeners.

Owns ``GatewayStatus`` and ``ListenerStatus`` (Gateway API: ``gateway_types.go``). ``Programmed`` is
Unknown for what a table holds, until the data plane answers: see ``controller/status``.
"""

from __future__ import annotations

from controller.resources import Gateway
from controller.store import Key
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
from controller.translate.gateway import GATEWAY, ServedGateway, ServedListener
from controller.translate.gateway_class import GATEWAY_CLASS
from controller.translate.graph import Published, Reads, Stage
from controller.translate.route import ATTACHED
from controller.translate.stages import Rank
from controller.translate.statuses import GatewayStatus, GatewayStatusAddress, ListenerStatus

WAITING = "the data plane has not answered yet"


def _status(key: Key, reads: Reads) -> Published:
    gateway = reads.get(Gateway, key.namespace, key.name)
    if gateway is None:
        return Published()
    served = reads.result(GATEWAY, key)
    if served is None:
        gateway_class = gateway.spec.gateway_class_name
        if reads.result(GATEWAY_CLASS, gateway_class).exists:
            return Published()
        return Published(notices=((key, f"GatewayClass {gateway_class} does not exist, so nothing serves it"),))
    generation = gateway.metadata.generation
    listeners = {
        listener.parsed.name: ListenerStatus(
            name=listener.parsed.name,
            supported_kinds=listener.parsed.kinds,
            attached_routes=len(reads.members(ATTACHED, (key, listener.parsed.name))),
            conditions=_listener_conditions(served, listener, generation),
        )
        for listener in served.listeners
    }
    status = GatewayStatus(
        addresses=tuple(
            GatewayStatusAddress(type="IPAddress", value=address)
            for address in served.parsed.addresses
            if served.problem is None
        ),
        conditions=_gateway_conditions(served, generation),
        listeners=tuple(listeners.values()),
    )
    return Published(status=(key, status), notices=tuple((key, notice) for notice in _notices(gateway)))


def _gateway_conditions(served: ServedGateway, generation: int) -> tuple[Condition, ...]:
    return _accepted(served, generation), _programmed(served, generation), _resolved(served, generation)


def _accepted(served: ServedGateway, generation: int) -> Condition:
    if served.problem is not None:
        return fails(ConditionType.ACCEPTED, served.problem.reason, served.problem.message, generation)
    refused = [listener.parsed.name for listener in served.listeners if listener.problem]
    if refused:
        accepted = [listener.parsed.name for listener in served.listeners if not listener.problem]
        message = f"not accepted: {', '.join(refused)}; accepted: {', '.join(accepted)}"
        return holds(ConditionType.ACCEPTED, ConditionReason.LISTENERS_NOT_VALID, message, generation)
    return holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "all listeners are accepted", generation)


def _programmed(served: ServedGateway, generation: int) -> Condition:
    if any(listener.keys for listener in served.listeners):
        return pending(WAITING, generation)
    message = served.problem.message if served.problem else "no listener can be served: see the listeners' conditions"
    return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)


def _resolved(served: ServedGateway, generation: int) -> Condition:
    problem = served.parsed.client_problem
    if problem is not None:
        return fails(ConditionType.RESOLVED_REFS, problem.reason, problem.message, generation)
    unresolved = [listener.parsed.name for listener in served.listeners if listener.parsed.ref_problems]
    if unresolved:
        message = f"references of these listeners are not resolved: {', '.join(unresolved)}"
        return fails(ConditionType.RESOLVED_REFS, ConditionReason.LISTENERS_NOT_RESOLVED, message, generation)
    resolved = "all references are resolved"
    return holds(ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, resolved, generation)


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
    problem = listener.parsed.conflict or _invalid(served, listener)
    return fails(ConditionType.PROGRAMMED, problem.reason, problem.message, generation)


def _invalid(served: ServedGateway, listener: ServedListener) -> Problem:
    if listener.problem:
        return Problem(ConditionReason.INVALID, listener.problem.message)
    if served.problem:
        return Problem(ConditionReason.INVALID, f"the Gateway is not accepted: {served.problem.message}")
    return Problem(ConditionReason.INVALID, first_of(listener.parsed.ref_problems)[1])


def _notices(gateway: Gateway) -> list[str]:
    notices = [
        f"listener {listener.name}: tls.options are not used by this release"
        for listener in gateway.spec.listeners
        if listener.tls and listener.tls.options
    ]
    if gateway.spec.allowed_listeners and gateway.spec.allowed_listeners.namespaces.from_ != "None":
        notices.append("allowedListeners: ListenerSets are not supported in this release")
    if gateway.spec.default_scope not in (None, "", "None"):
        notices.append("defaultScope is not supported in this release: routes attach by parentRefs alone")
    return notices


def _publish(_key: Key, published: Published) -> Published:
    return published


GATEWAY_STATUS: Stage[Key, Published] = Stage(Rank.GATEWAY_STATUS, _status, _publish)
