"""From a data plane's answer to conditions.

Owns the rule that ``Programmed`` is True only after the data plane acknowledged what it stands for
(Gateway API: ``GatewayConditionProgrammed``, ``ListenerConditionProgrammed``). A refused resource
names itself; what refers to it says so too, because its previous version is what keeps serving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from controller.status.routes import routes_with_refusals
from controller.store import Key
from controller.translate import GatewayStatus, ListenerSetStatus, ListenerStatus, Status
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails, holds
from controller.translate.names import gateway_of, listener_of, object_name
from gateway.routing_table.model import Applied, Listener, ListenerState, Resources

ADDRESS_REASONS = frozenset({ConditionReason.ADDRESS_NOT_ASSIGNED, ConditionReason.ADDRESS_NOT_USABLE})
"""Of ``Programmed`` False: in a cluster translation finds by itself that a Gateway has not its addresses."""
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
            answer = GatewayAnswer(key, table, applied)
            changed[key] = answer.apply(status)
            for owner in answer.listener_sets():
                set_status = statuses.get(owner)
                if isinstance(set_status, ListenerSetStatus):
                    changed[owner] = answer.apply_to_set(owner, set_status)
    changed.update(routes_with_refusals(statuses, table, applied))
    return {key: status for key, status in changed.items() if statuses.get(key) != status}


class GatewayAnswer:
    """What an answer says about one Gateway."""

    def __init__(self, key: Key, table: Resources, applied: Applied) -> None:
        self._error = applied.error
        self._version = applied.version
        self._key = key
        self._listeners: dict[Key, dict[str, list[Listener]]] = {}
        for listener in table.listeners:
            if listener.gateway == object_name(key):
                owner, name = listener_of(listener.key)
                self._listeners.setdefault(owner, {}).setdefault(name, []).append(listener)
        self._states = {state.key: state for state in applied.listeners}
        self._refused = {(item.kind, item.key): item.reason for item in applied.rejected}
        self._gateway_refusal = self._refused.get(("gateways", f"{key.namespace}/{key.name}"), "")

    def take(self, key: Key, status: GatewayStatus | ListenerSetStatus) -> GatewayStatus | ListenerSetStatus:
        """The status of the Gateway or of one of its ListenerSets with the answer taken in."""
        if isinstance(status, GatewayStatus):
            return self.apply(status)
        return self.apply_to_set(key, status)

    def apply(self, status: GatewayStatus) -> GatewayStatus:
        """The status with the answer taken in."""
        listeners = tuple(self._with_listener(self._key, listener) for listener in status.listeners)
        addresses = {listener.address for listener in self._every_listener()}
        dead = {address: error for address in sorted(addresses) if (error := self._address_error(address)) is not None}
        generation = status.conditions[0].observed_generation
        condition = self._gateway_condition(listeners, dead, generation)
        if condition is not None and condition.status == "True" and _without_address(status):
            condition = None
        return msgspec.structs.replace(
            status,
            addresses=tuple(address for address in status.addresses if address.value not in dead),
            conditions=_replaced(status.conditions, condition) if condition else status.conditions,
            listeners=listeners,
        )

    def listener_sets(self) -> list[Key]:
        """The ListenerSets with listeners in the table."""
        return [owner for owner in self._listeners if owner != self._key]

    def apply_to_set(self, owner: Key, status: ListenerSetStatus) -> ListenerSetStatus:
        """The status of a ListenerSet with the answer taken in."""
        listeners = tuple(self._with_listener(owner, listener) for listener in status.listeners)
        condition = self._summary(owner, listeners, status.conditions[0].observed_generation)
        return msgspec.structs.replace(
            status,
            conditions=_replaced(status.conditions, condition) if condition else status.conditions,
            listeners=listeners,
        )

    def _every_listener(self) -> Iterator[Listener]:
        for names in self._listeners.values():
            for group in names.values():
                yield from group

    def _with_listener(self, owner: Key, status: ListenerStatus) -> ListenerStatus:
        condition = self._listener_condition(owner, status)
        return (
            msgspec.structs.replace(status, conditions=_replaced(status.conditions, condition)) if condition else status
        )

    def _listener_condition(self, owner: Key, status: ListenerStatus) -> Condition | None:
        """The answer on a listener; None where there is none, or nothing was asked."""
        listeners = self._listeners.get(owner, {}).get(status.name, [])
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
        """What was refused first goes first: without its certificate the listener is refused too, which says less."""
        needs = [("certificates", certificate) for certificate in listener.certificates]
        if listener.client_validation is not None:
            needs += [("trust_bundles", bundle) for bundle in listener.client_validation.trust_bundles]
        for kind, key in needs:
            reason = self._refused.get((kind, key), "")
            if reason:
                what = kind.removesuffix("s").replace("_", " ")
                return f"the data plane refused the {what} {key}: {reason}; {_STAYS}"
        reason = self._gateway_refusal or self._refused.get(("listeners", listener.key), "")
        if reason:
            return f"the data plane refused it: {reason}; {_STAYS}"
        guards = [("authorization_policies", "authorization policy", key) for key in listener.authorization]
        guards += [("request_authentications", "request authentication", key) for key in listener.authentication]
        for kind, noun, key in guards:
            reason = self._refused.get((kind, key), "")
            if reason:
                return f"the data plane refused the {noun} {key}: {reason}; meanwhile all is denied"
        for key in listener.egress.policies if listener.egress else ():
            reason = self._refused.get(("egress_policies", key), "")
            if reason:
                return f"the data plane refused the egress policy {key}: {reason}; meanwhile all is denied"
        return ""

    def _address_error(self, address: str) -> str | None:
        """Why nothing of the Gateway answers at an address, or None if something does or may."""
        states: list[ListenerState] = []
        for listener in self._every_listener():
            if listener.address == address and not self._refusal(listener):
                state = self._states.get(listener.key)
                if state is None or state.bound:
                    return None
                states.append(state)
        return states[0].error if states else None

    def _address_count(self) -> int:
        return len({listener.address for listener in self._every_listener()})

    def _gateway_condition(
        self, listeners: tuple[ListenerStatus, ...], dead: Mapping[str, str], generation: int
    ) -> Condition | None:
        refused = bool(self._error or self._gateway_refusal)
        if not refused and dead and (len(dead) < self._address_count() or any(map(_blames_address, dead.values()))):
            message = "; ".join(f"nothing answers at {address}: {error}" for address, error in dead.items())
            return fails(ConditionType.PROGRAMMED, ConditionReason.ADDRESS_NOT_USABLE, message, generation)
        return self._summary(self._key, listeners, generation)

    def _summary(self, owner: Key, listeners: tuple[ListenerStatus, ...], generation: int) -> Condition | None:
        """The answer on a Gateway or ListenerSet as a whole; None where there is none yet."""
        if self._error:
            message = f"the data plane refused the table ({self._error}) and serves version {self._version or 'none'}"
            return fails(ConditionType.PROGRAMMED, ConditionReason.PENDING, message, generation)
        if self._gateway_refusal:
            message = f"the data plane refused it: {self._gateway_refusal}; {_STAYS}"
            return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)
        served = self._listeners.get(owner, {})
        answers = {listener.name: _programmed(listener) for listener in listeners if listener.name in served}
        if not answers:
            return self._by_sets_alone(generation)
        if any(answer.status == "Unknown" for answer in answers.values()):
            return None
        failed = [name for name, answer in answers.items() if answer.status == "False"]
        if len(failed) == len(answers):
            causes = "; ".join(f"{name}: {answers[name].message}" for name in failed)
            message = f"the data plane serves no listener ({causes})"
            return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)
        message = f"the data plane serves it, except listeners {', '.join(failed)}" if failed else _PROGRAMMED
        return holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, message, generation)

    def _by_sets_alone(self, generation: int) -> Condition | None:
        """The answer on a Gateway that serves listeners of its ListenerSets, and none of its own."""
        states = [self._states.get(listener.key) for listener in self._every_listener()]
        if any(state is not None and state.bound for state in states):
            message = f"{_PROGRAMMED}, by listeners of its ListenerSets alone"
            return holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, message, generation)
        if None in states:
            return None
        message = "the data plane serves no listener of its ListenerSets: see their conditions"
        return fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, message, generation)


def _blames_address(error: str) -> bool:
    """Whether an error of binding is about the address itself (EADDRNOTAVAIL, EAFNOSUPPORT) and not the port."""
    return any(words in error.lower() for words in ("assign requested address", "not an address", "address family"))


def _without_address(status: GatewayStatus) -> bool:
    """Whether clients cannot reach the Gateway, well as the data plane serves it."""
    return any(
        condition.type == ConditionType.PROGRAMMED and condition.reason in ADDRESS_REASONS
        for condition in status.conditions
    )


def _programmed(listener: ListenerStatus) -> Condition:
    return next(condition for condition in listener.conditions if condition.type == ConditionType.PROGRAMMED)


def _replaced(conditions: tuple[Condition, ...], condition: Condition) -> tuple[Condition, ...]:
    """With the data plane's word, where translation had none: a Gateway without an address stays unprogrammed."""
    return tuple(condition if one.type == condition.type and one.status == "Unknown" else one for one in conditions)
