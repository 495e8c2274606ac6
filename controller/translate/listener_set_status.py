"""Status of ListenerSets.

Owns ``ListenerSetStatus`` (Gateway API: ``listenerset_types.go``). A set is accepted if its Gateway
takes it in and at least one of its listeners can be served.
"""

from __future__ import annotations

from controller.resources import Gateway, ListenerSet
from controller.store import Key
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails, holds, pending
from controller.translate.gateway import GATEWAY, ServedGateway, ServedListener
from controller.translate.graph import Published, Reads, Stage
from controller.translate.listener_set import parent_of
from controller.translate.listener_status import WAITING, listener_statuses
from controller.translate.listeners import unused_options
from controller.translate.stages import Rank
from controller.translate.statuses import ListenerSetStatus


def _status(key: Key, reads: Reads) -> Published:
    listener_set = reads.get(ListenerSet, key.namespace, key.name)
    if listener_set is None:
        return Published()
    gateway = parent_of(key, listener_set)
    if gateway is None:
        parent = listener_set.spec.parent_ref
        return Published(notices=((key, f"parentRef {parent.kind} {parent.name} is not a Gateway"),))
    served = reads.result(GATEWAY, gateway)
    if served is None:
        exists = reads.get(Gateway, gateway.namespace, gateway.name) is not None
        return Published() if exists else Published(notices=((key, f"parentRef {gateway} does not exist"),))
    generation = listener_set.metadata.generation
    listeners = served.sets.get(key)
    if listeners is None:
        message = f"allowedListeners of {gateway} does not take in ListenerSets of namespace {key.namespace}"
        refused = _refused(ConditionReason.NOT_ALLOWED, ConditionReason.NOT_ALLOWED, message, generation)
        return Published(status=(key, ListenerSetStatus(conditions=refused, listeners=())))
    status = ListenerSetStatus(
        conditions=_conditions(served, listeners, generation),
        listeners=listener_statuses(reads, served, listeners, generation),
    )
    return Published(status=(key, status), notices=tuple((key, notice) for notice in _notices(listener_set)))


def _conditions(served: ServedGateway, listeners: tuple[ServedListener, ...], generation: int) -> tuple[Condition, ...]:
    if served.problem is not None:
        message = f"the Gateway is not accepted: {served.problem.message}"
        reasons = ConditionReason.PARENT_NOT_ACCEPTED, ConditionReason.PARENT_NOT_PROGRAMMED
        return _refused(*reasons, message, generation)
    invalid = ConditionReason.LISTENERS_NOT_VALID
    if not any(listener.keys for listener in listeners):
        message = "no listener can be served: see the listeners' conditions"
        return _refused(invalid, invalid, message, generation)
    refused = [listener.parsed.name for listener in listeners if not listener.keys]
    accepted = (
        holds(ConditionType.ACCEPTED, invalid, f"not served: {', '.join(refused)}", generation)
        if refused
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "all listeners are accepted", generation)
    )
    return accepted, pending(WAITING, generation)


def _refused(
    accepted: ConditionReason, programmed: ConditionReason, message: str, generation: int
) -> tuple[Condition, ...]:
    return (
        fails(ConditionType.ACCEPTED, accepted, message, generation),
        fails(ConditionType.PROGRAMMED, programmed, message, generation),
    )


def _notices(listener_set: ListenerSet) -> list[str]:
    return [
        f"listener {listener.name}: tls.options are not used by this release"
        for listener in listener_set.spec.listeners
        if unused_options(listener)
    ]


def _publish(_key: Key, published: Published) -> Published:
    return published


LISTENER_SET_STATUS: Stage[Key, Published] = Stage(Rank.LISTENER_SET_STATUS, _status, _publish)
