"""From a data plane's answer to conditions.

Owns the rule that ``Programmed`` is True only after the data plane acknowledged what it stands for
(Gateway API: ``GatewayConditionProgrammed``, ``ListenerConditionProgrammed``). A refused resource
names itself; what refers to it says so too, because its previous version is what keeps serving.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from controller.status.routes import routes_with_refusals
from controller.store import Key
from controller.translate import GatewayStatus, ListenerStatus, Status
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails, holds
from controller.translate.names import gateway_of, listener_of
from gateway.routing_table.model import Applied, Listener, ListenerState, Resources

_PROGRAMMED = "the data plane serves it"
_STAYS = "the previous version, if there was one, keeps serving"


def with_applied(statuses: Mapping[Key, Status], table: Resources, applied: Applied) -> dict[Key, Status]:
    """All ``statuses``, those of ``table`` with the answer to it taken in."""
    return {**statuses, **answered(statuses, table, applied)}


def answered(statuses: Mapping[Key, Status], table: Resources, applied: Applied) -> dict[Key, Status]:
    """Only the statuses that the answer changes.

    ``applied`` is the answer to ``table`` as it is now: with the rejections that still stand, and
    the state of every listener.
    """
    changed: dict[Key, Status] = {}
    for gateway in table.gateways:
        key = gateway_of(gateway.key)
        status = statuses.get(key)
        if isinstance(status, GatewayStatus):
            changed[key] = _GatewayAnswer(key, table, applied).apply(status)
    changed.update(routes_with_refusals(statuses, table, applied))
    return {key: status for key, status in changed.items() if statuses.get(key) != status}


class _GatewayAnswer:
    """What an answer says about one Gateway."""

    def __init__(self, key: Key, table: Resources, applied: Applied) -> None:
        self._error = applied.error
        self._version = applied.version
        self._listeners: dict[str, list[Listener]] = {}
        for listener in table.listeners:
            gateway, name = listener_of(listener.key)
            if gateway == key:
                self._listeners.setdefault(name, []).append(listener)
        self._states = {state.key: state for state in applied.listeners}
        self._refused = {(item.kind, item.key): item.reason for item in applied.rejected}
        self._gateway_refusal = self._refused.get(("gateways", f"{key.namespace}/{key.name}"), "")

    def apply(self, status: GatewayStatus) -> GatewayStatus:
        """The status with the answer taken in."""
        listeners = tuple(self._with_listener(listener) for listener in status.listeners)
        addresses = {listener.address for group in self._listeners.values() for listener in group}
        dead = {address: error for address in sorted(addresses) if (error := self._address_error(address)) is not None}
        generation = status.conditions[0].observed_generation
        condition = self._gateway_condition(listeners, dead, generation)
        return msgspec.structs.replace(
            status,
            addresses=tuple(address for address in status.addresses if address.value not in dead),
            conditions=_replaced(status.conditions, condition) if condition else status.conditions,
            listeners=listeners,
        )

    def _with_listener(self, status: ListenerStatus) -> ListenerStatus:
        condition = self._listener_condition(status)
        return (
            msgspec.structs.replace(status, conditions=_replaced(status.conditions, condition)) if condition else status
        )

    def _listener_condition(self, status: ListenerStatus) -> Condition | None:
        """The answer on a listener; None where there is none, or nothing was asked."""
        listeners = self._listeners.get(status.name, [])
        if not listeners or self._error:
            return None
        generation = status.conditions[0].observed_generation
        refusal = next((text for text in map(self._refusal, listeners) if text), "")
        if refusal:
            return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, refusal, generation)
        states = [self._states[listener.key] for listener in listeners if listener.key in self._states]
        if any(state.bound for state in states):
            return holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, _PROGRAMMED, generation)
        if len(states) < len(listeners):
            return None
        message = "; ".join(dict.fromkeys(state.error or f"listener {state.key} is not bound" for state in states))
        return fails(ConditionType.PROGRAMMED, ConditionReason.PORT_UNAVAILABLE, message, generation)

    def _refusal(self, listener: Listener) -> str:
        reason = self._gateway_refusal or self._refused.get(("listeners", listener.key), "")
        if reason:
            return f"the data plane refused it: {reason}; {_STAYS}"
        for certificate in listener.certificates:
            reason = self._refused.get(("certificates", certificate), "")
            if reason:
                return f"the data plane refused the certificate {certificate}: {reason}; {_STAYS}"
        return ""

    def _address_error(self, address: str) -> str | None:
        """Why nothing of the Gateway answers at an address, or None if something does or may."""
        states: list[ListenerState] = []
        for group in self._listeners.values():
            for listener in group:
                if listener.address == address and not self._refusal(listener):
                    state = self._states.get(listener.key)
                    if state is None or state.bound:
                        return None
                    states.append(state)
        return states[0].error if states else None

    def _address_count(self) -> int:
        return len({listener.address for group in self._listeners.values() for listener in group})

    def _gateway_condition(
        self, listeners: tuple[ListenerStatus, ...], dead: Mapping[str, str], generation: int
    ) -> Condition | None:
        if self._error:
            message = f"the data plane refused the table ({self._error}) and serves version {self._version or 'none'}"
            return fails(ConditionType.PROGRAMMED, ConditionReason.PENDING, message, generation)
        if self._gateway_refusal:
            message = f"the data plane refused it: {self._gateway_refusal}; {_STAYS}"
            return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)
        if dead and (len(dead) < self._address_count() or any(map(_blames_address, dead.values()))):
            message = "; ".join(f"nothing answers at {address}: {error}" for address, error in dead.items())
            return fails(ConditionType.PROGRAMMED, ConditionReason.ADDRESS_NOT_USABLE, message, generation)
        answers = {listener.name: _programmed(listener) for listener in listeners if listener.name in self._listeners}
        if any(answer.status == "Unknown" for answer in answers.values()):
            return None
        failed = [name for name, answer in answers.items() if answer.status == "False"]
        if len(failed) == len(answers):
            causes = "; ".join(f"{name}: {answers[name].message}" for name in failed)
            message = f"the data plane serves no listener ({causes})"
            return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)
        message = f"the data plane serves it, except listeners {', '.join(failed)}" if failed else _PROGRAMMED
        return holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, message, generation)


def _blames_address(error: str) -> bool:
    """Whether an error of binding is about the address itself (EADDRNOTAVAIL, EAFNOSUPPORT) and not the port."""
    return any(words in error.lower() for words in ("assign requested address", "not an address", "address family"))


def _programmed(listener: ListenerStatus) -> Condition:
    return next(condition for condition in listener.conditions if condition.type == ConditionType.PROGRAMMED)


def _replaced(conditions: tuple[Condition, ...], condition: Condition) -> tuple[Condition, ...]:
    return tuple(condition if one.type == condition.type else one for one in conditions)
