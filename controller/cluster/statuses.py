"""From what is known of an object to the status that is wanted of it, and to what is said in its Events.

Owns joining translation's half and the data plane's half of a status. ``Accepted`` and ``ResolvedRefs`` are
handed on with the change that they follow from and wait for no gateway: they speak of the object, and an answer
that comes later changes ``Programmed`` alone, as does what keeps a Gateway's Deployment and the rest from standing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from controller.kube.cache import Seen
from controller.kube.status_writer import Wanted
from controller.kube.wanted import wanted_statuses
from controller.pipeline import Taken
from controller.status import Answers, Programmed
from controller.status.provisioning import with_provisioning
from controller.store import Key, Snapshot
from controller.translate import Condition, ConditionType, GatewayStatus, Status, Translation
from gateway.routing_table.model import Applied, Resources

_WITH_LISTENERS: Final = frozenset({"Gateway", "ListenerSet"})
_FIELDS: Final = ("type", "status", "reason", "message", "observedGeneration")

Want = Callable[[Mapping[Key, Wanted | None]], None]


class Statuses:
    """Every status as it should be written now."""

    def __init__(
        self,
        seen: Callable[[Key], Seen | None],
        want: Want,
        touched: Callable[[Iterable[Key]], None],
        unprovisioned: Callable[[Key], Sequence[str]] = lambda _gateway: (),
    ) -> None:
        """``touched`` hears of every object whose status may be another.

        ``unprovisioned``: why what a Gateway needs does not stand; :meth:`provisioning` when it is another.
        """
        self._answers = Answers(lambda key: standing(seen(key)))
        self._want = want
        self._touched = touched
        self._unprovisioned = unprovisioned
        self._translation = Translation({}, {}, {})
        self._snapshot = Snapshot()
        self._uids: dict[Key, str] = {}

    def take(self, taken: Taken, changed: Iterable[str], gone: Iterable[str]) -> None:
        """Objects changed; ``changed`` and ``gone`` are names of tables."""
        self._translation, self._snapshot = taken.translation, taken.snapshot
        keys = set(taken.changed_statuses | taken.changed)
        for key in taken.changed:
            if key.kind in _WITH_LISTENERS:
                self._remember(key)
        for name in gone:
            keys |= self._answers.remove(name)
        for name in changed:
            self._answers.expect(name)
        self._bring(keys)

    def answer(self, name: str, resources: Resources, applied: Applied) -> None:
        """The gateways of a table have answered to it as it is."""
        self._bring(self._answers.answer(name, resources, applied))

    def lapse(self, name: str) -> None:
        """Nobody has answered for a table for long."""
        self._bring(self._answers.lapse(name))

    def provisioning(self, gateway: Key) -> None:
        """What keeps the Gateway's objects from standing is another than before."""
        self._bring((gateway,))

    def begin(self) -> None:
        """This replica writes from now on, where another did: it goes on from what stands."""
        self._answers.read_again()
        self._bring(key for key in self._translation.statuses if key.kind in _WITH_LISTENERS)

    def status(self, key: Key) -> Status | None:
        """What an object's status should be."""
        translated = self._translation.statuses.get(key)
        return None if translated is None else self._joined(key, translated)

    def every(self) -> dict[Key, Status]:
        """All of them."""
        return {key: self._joined(key, status) for key, status in self._translation.statuses.items()}

    def _joined(self, key: Key, translated: Status) -> Status:
        status = self._answers.status(key, translated)
        return with_provisioning(status, self._unprovisioned(key)) if isinstance(status, GatewayStatus) else status

    def _bring(self, keys: Iterable[Key]) -> None:
        keys = list(keys)
        statuses = {key: status for key in keys if (status := self.status(key)) is not None}
        self._want(wanted_statuses(statuses, self._snapshot, keys))
        self._touched(keys)

    def _remember(self, key: Key) -> None:
        """What was said of another object of this name does not hold for the one there is now."""
        resource = self._snapshot.find(key)
        uid = resource.metadata.uid if resource is not None else ""
        if self._uids.get(key, uid) != uid:
            self._answers.forget(key)
        if uid:
            self._uids[key] = uid
        else:
            self._uids.pop(key, None)


def standing(seen: Seen | None) -> Programmed:
    """``Programmed`` as it stands in the status of a Gateway or ListenerSet."""
    try:
        status = msgspec.json.decode(seen.status) if seen is not None and seen.status else {}
    except msgspec.DecodeError:
        return {}
    if not isinstance(status, dict):
        return {}
    found = {"": _programmed(status)}
    for listener in status.get("listeners") or ():
        if isinstance(listener, dict):
            found[str(listener.get("name"))] = _programmed(listener)
    return {name: condition for name, condition in found.items() if condition is not None}


def _programmed(owner: Mapping[str, Any]) -> Condition | None:
    for item in owner.get("conditions") or ():
        if isinstance(item, dict) and item.get("type") == ConditionType.PROGRAMMED and item.get("status") != "Unknown":
            try:
                return msgspec.convert(
                    {"observedGeneration": 0, **{name: item.get(name) for name in _FIELDS if name in item}}, Condition
                )
            except msgspec.ValidationError:
                return None
    return None
