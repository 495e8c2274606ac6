"""Statuses with the answers of several gateways taken in, table by table.

Owns what a status says while an answer is awaited: what was said before stays, under the generation it was
said of, so that an edit does not send ``Programmed`` to Unknown and back. Only a table that nobody has
answered for long is Unknown again, and so is one that nobody ever answered. Must not decide when that is,
nor write anything. Only for tables of one Gateway each, named ``namespace/name``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from controller.status.applied import ADDRESS_REASONS, GatewayAnswer
from controller.status.ingresses import ingress_with_refusal
from controller.status.routes import parents_in, refused_routes, with_refusal
from controller.store import Key
from controller.translate import GatewayStatus, IngressStatus, ListenerSetStatus, RouteStatus, Status
from controller.translate.conditions import Condition, ConditionReason, ConditionType
from controller.translate.names import gateway_of, object_name
from gateway.routing_table.model import Applied, Resources

WithListeners = GatewayStatus | ListenerSetStatus

Programmed = Mapping[str, Condition]
"""``Programmed`` of a Gateway or ListenerSet under the empty name, and of its listeners under theirs."""
_NO_ANSWER = Applied(version="")
_NOT_OF_GATEWAYS = ADDRESS_REASONS | {ConditionReason.PROVISIONING_FAILED}
"""Found anew by each process that looks."""


class _Table:
    """One table, and the last answer to it."""

    def __init__(self) -> None:
        self.current = False
        """Whether the answer is to the table as it is wanted now."""
        self.resources = Resources()
        self.applied = _NO_ANSWER
        self.gateway: GatewayAnswer | None = None
        self.parents: frozenset[Key] = frozenset()
        self.refused: dict[Key, str] = {}
        self.generations: dict[Key, int] = {}
        """Of refused routes, the generation that was refused."""
        self.awaited: set[Key] = set()
        """Whose status was asked for while the answer was awaited."""


class Answers:
    """What the data plane says of each object."""

    def __init__(self, standing: Callable[[Key], Programmed]) -> None:
        """``standing`` reads what an object's status said before this process: after a restart it holds on."""
        self._standing = standing
        self._tables: dict[str, _Table] = {}
        self._sets: dict[Key, str] = {}
        """The tables of ListenerSets."""
        self._refusing: dict[Key, set[str]] = {}
        """The tables that refuse a route."""
        self._said: dict[Key, Programmed] = {}

    def status(self, key: Key, translated: Status) -> Status:
        """The status of an object as it should be written now."""
        match translated:
            case GatewayStatus():
                return self._programmed(key, translated, self._tables.get(object_name(key)))
            case ListenerSetStatus():
                return self._programmed(key, translated, self._tables.get(self._sets.get(key, "")))
            case RouteStatus():
                return self._route(key, translated)
            case IngressStatus():
                return self._ingress(key, translated)
            case _:
                return translated

    def expect(self, name: str) -> None:
        """The table is another now: the answer to it is awaited."""
        self._table(name).current = False

    def answer(self, name: str, resources: Resources, applied: Applied) -> set[Key]:
        """The answer to the table as it is; returns whose status it may change."""
        table = self._table(name)
        awaited, table.awaited, table.current = table.awaited, set(), True
        if table.gateway is not None and _says_the_same(table, resources, applied):
            return awaited | table.refused.keys()
        touched = awaited | table.refused.keys()
        touched |= self._take(name, table, resources, applied)
        return touched

    def lapse(self, name: str) -> set[Key]:
        """Nobody has answered for long: what was said before holds no more."""
        table = self._tables.get(name)
        if table is None:
            return set()
        owners = table.parents | table.awaited
        self._forget_refusals(name, table)
        self._tables[name] = _Table()
        for owner in owners:
            self._said[owner] = {}
        return set(owners) | table.refused.keys()

    def read_again(self) -> None:
        """Others wrote statuses until now: without a current answer, what they wrote is what was said."""
        for key in [key for key in self._said if not self._is_current(key)]:
            del self._said[key]

    def _is_current(self, key: Key) -> bool:
        table = self._tables.get(self._sets.get(key) or object_name(key))
        return table is not None and table.current

    def remove(self, name: str) -> set[Key]:
        """The table is no longer wanted; returns whose status that may change."""
        table = self._tables.pop(name, None)
        if table is None:
            return set()
        self._forget_refusals(name, table)
        self._forget_sets(name)
        return set(table.parents) | table.refused.keys()

    def forget(self, key: Key) -> None:
        """The object is gone, or another one of its name stands there."""
        self._said.pop(key, None)

    # --- one answer -----------------------------------------------------------------------------

    def _table(self, name: str) -> _Table:
        return self._tables.setdefault(name, _Table())

    def _take(self, name: str, table: _Table, resources: Resources, applied: Applied) -> set[Key]:
        gateway = gateway_of(name)
        self._forget_refusals(name, table)
        table.resources, table.applied = resources, applied
        table.gateway = GatewayAnswer(gateway, resources, applied)
        before, table.parents = table.parents, parents_in(resources) | {gateway}
        table.refused, table.generations = refused_routes(resources, applied), {}
        self._forget_sets(name)
        for owner in table.gateway.listener_sets():
            self._sets[owner] = name
        for route in table.refused:
            self._refusing.setdefault(route, set()).add(name)
        return set(before | table.parents) | table.refused.keys()

    def _forget_sets(self, name: str) -> None:
        for owner in [owner for owner, of_table in self._sets.items() if of_table == name]:
            del self._sets[owner]

    def _forget_refusals(self, name: str, table: _Table) -> None:
        for route in table.refused:
            tables = self._refusing.get(route, set())
            tables.discard(name)
            if not tables:
                self._refusing.pop(route, None)

    # --- one status -----------------------------------------------------------------------------

    def _programmed(self, key: Key, translated: WithListeners, table: _Table | None) -> WithListeners:
        if table is not None and table.current and table.gateway is not None:
            answered = table.gateway.take(key, translated)
            self._said[key] = _programmed_of(answered)
            return answered
        if table is not None:
            table.awaited.add(key)
        # Another replica may write statuses meanwhile: what stands is read each time.
        said = self._said[key] if key in self._said else self._standing(key)
        return _held(translated, said) if said else translated

    def _route(self, key: Key, translated: RouteStatus) -> RouteStatus:
        for name in sorted(self._refusing.get(key, ())):
            table = self._tables[name]
            generation = max((parent.conditions[0].observed_generation for parent in translated.parents), default=0)
            if table.current:
                table.generations[key] = generation
            elif table.generations.get(key, generation) != generation:
                # Another generation was not refused yet.
                table.awaited.add(key)
                continue
            translated = with_refusal(key, translated, table.parents, table.refused[key])
        return translated

    def _ingress(self, key: Key, translated: IngressStatus) -> IngressStatus:
        for name in sorted(self._refusing.get(key, ())):
            translated = ingress_with_refusal(translated, self._tables[name].refused[key])
        return translated


def _says_the_same(table: _Table, resources: Resources, applied: Applied) -> bool:
    """Whether nothing that an answer speaks of is different; its version is not."""
    known = table.resources
    if known.listeners is not resources.listeners or known.gateways is not resources.gateways:
        return False
    if known is not resources and (applied.rejected or not all(state.bound for state in applied.listeners)):
        return False
    return (applied.rejected, applied.listeners, applied.error) == (
        table.applied.rejected,
        table.applied.listeners,
        table.applied.error,
    )


def _programmed_of(status: WithListeners) -> Programmed:
    found = {"": _condition(status.conditions)}
    found |= {listener.name: _condition(listener.conditions) for listener in status.listeners}
    return {name: condition for name, condition in found.items() if condition and condition.status != "Unknown"}


def _condition(conditions: tuple[Condition, ...]) -> Condition | None:
    return next((condition for condition in conditions if condition.type == ConditionType.PROGRAMMED), None)


def _held(status: WithListeners, said: Programmed) -> WithListeners:
    listeners = tuple(
        msgspec.structs.replace(listener, conditions=_kept(listener.conditions, said.get(listener.name)))
        for listener in status.listeners
    )
    conditions = _kept(status.conditions, said.get(""))
    return msgspec.structs.replace(status, conditions=conditions, listeners=listeners)


def _kept(conditions: tuple[Condition, ...], said: Condition | None) -> tuple[Condition, ...]:
    """``said`` in the place of a ``Programmed`` that is not known yet; of what is no gateway's word, nothing holds."""
    if said is None or said.reason in _NOT_OF_GATEWAYS:
        return conditions
    return tuple(
        said if condition.type == ConditionType.PROGRAMMED and condition.status == "Unknown" else condition
        for condition in conditions
    )
