"""Status of Gateways.

Owns ``GatewayStatus`` (Gateway API: ``gateway_types.go``). ``Programmed`` is
Unknown for what a table holds, until the data plane answers: see ``controller/status``.
"""

from __future__ import annotations

from controller.resources import Gateway
from controller.store import Key
from controller.translate.addresses import IP_ADDRESS, Assigned, assigned_addresses
from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    fails,
    holds,
    pending,
)
from controller.translate.frontend_tls import falls_back, validates
from controller.translate.gateway import GATEWAY, ServedGateway
from controller.translate.gateway_class import GATEWAY_CLASS
from controller.translate.graph import Published, Reads, Stage
from controller.translate.infrastructure_names import reserved
from controller.translate.listener_status import WAITING, listener_statuses
from controller.translate.listeners import unused_options
from controller.translate.stages import Rank
from controller.translate.statuses import GatewayStatus, GatewayStatusAddress


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
    assigned = _assigned(key, reads, gateway, served)
    status = GatewayStatus(
        addresses=assigned.addresses,
        conditions=_gateway_conditions(gateway, served, assigned, generation),
        listeners=listener_statuses(reads, served, served.listeners, generation),
        attached_listener_sets=_attached_sets(gateway, served),
    )
    return Published(status=(key, status), notices=tuple((key, notice) for notice in _notices(gateway)))


def _assigned(key: Key, reads: Reads, gateway: Gateway, served: ServedGateway) -> Assigned:
    if served.problem is not None:
        return Assigned()
    if reads.options.provision:
        return assigned_addresses(reads, key, gateway.spec.gateway_class_name, gateway.spec.addresses)
    return Assigned(tuple(GatewayStatusAddress(type=IP_ADDRESS, value=value) for value in served.parsed.addresses))


def _attached_sets(gateway: Gateway, served: ServedGateway) -> int | None:
    if gateway.spec.allowed_listeners is None:
        return None
    return sum(any(listener.keys for listener in listeners) for listeners in served.sets.values())


def _gateway_conditions(
    gateway: Gateway, served: ServedGateway, assigned: Assigned, generation: int
) -> tuple[Condition, ...]:
    programmed = _programmed(served, assigned, generation)
    conditions = _accepted(served, generation), programmed, _resolved(served, generation)
    if not falls_back(gateway):
        return conditions
    message = "spec.tls.frontend lets clients in although they present no valid certificate (AllowInsecureFallback)"
    reason = ConditionReason.CONFIGURATION_CHANGED
    return *conditions, holds(ConditionType.INSECURE_FRONTEND_VALIDATION, reason, message, generation)


def _accepted(served: ServedGateway, generation: int) -> Condition:
    if served.problem is not None:
        return fails(ConditionType.ACCEPTED, served.problem.reason, served.problem.message, generation)
    refused = [listener.parsed.name for listener in served.listeners if listener.problem]
    if refused:
        accepted = [listener.parsed.name for listener in served.listeners if not listener.problem]
        message = f"not accepted: {', '.join(refused)}; accepted: {', '.join(accepted)}"
        return holds(ConditionType.ACCEPTED, ConditionReason.LISTENERS_NOT_VALID, message, generation)
    return holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "all listeners are accepted", generation)


def _programmed(served: ServedGateway, assigned: Assigned, generation: int) -> Condition:
    if any(listener.keys for listener in served.every_listener()):
        if assigned.problem is not None:
            return fails(ConditionType.PROGRAMMED, assigned.problem.reason, assigned.problem.message, generation)
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


def _notices(gateway: Gateway) -> list[str]:
    notices = [
        f"listener {listener.name}: tls.options are not used by this release"
        for listener in gateway.spec.listeners
        if unused_options(listener)
    ]
    if validates(gateway):
        notices += [
            f"listener {listener.name}: spec.tls.frontend is for HTTPS listeners, so clients of this one are not asked"
            " for a certificate"
            for listener in gateway.spec.listeners
            if listener.protocol == "TLS" and listener.tls and listener.tls.mode == "Terminate"
        ]
    if gateway.spec.infrastructure:
        labels = reserved(gateway.spec.infrastructure.labels)
        notices += [f"spec.infrastructure.labels: {label} is Sekisho's own and stays as it is" for label in labels]
    if gateway.spec.default_scope not in (None, "", "None"):
        notices.append("defaultScope is not supported in this release: routes attach by parentRefs alone")
    return notices


def _publish(_key: Key, published: Published) -> Published:
    return published


GATEWAY_STATUS: Stage[Key, Published] = Stage(Rank.GATEWAY_STATUS, _status, _publish)
