"""One table through its versions: what a gateway at some version has to be sent to hold the newest.

Owns the versions, and which keys changed between them; of old tables nothing else is kept. A change
costs one comparison with the table before, however many gateways hold it, and gateways at the same
version are sent the same bytes. It does not know the gateways.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

from controller.translate.tables import diff
from gateway.routing_table import wire
from gateway.routing_table.discovery import Digest, number_of
from gateway.routing_table.model import Delta, Removed, Resource, Resources, Snapshot
from gateway.routing_table.wire import Kind

Name = tuple[Kind, str]
"""Kind and key of a resource."""

_MOST_STEPS: Final = 256
_MOST_NAMES: Final = 50_000


class Message:
    """An update in bytes, shared by all that are being sent it, and forgotten with the last."""

    __slots__ = ("__weakref__", "data", "version", "whole")

    def __init__(self, update: Snapshot | Delta) -> None:
        self.version = update.version
        self.data = wire.encode(update)
        self.whole = isinstance(update, Snapshot)

    def __repr__(self) -> str:
        return f"Message({self.version!r}, <{len(self.data)} bytes, redacted>)"


class Lineage:
    """The versions of one table."""

    def __init__(self) -> None:
        self._table: Resources | None = None
        self._held: dict[Kind, dict[str, tuple[Resource, int]]] = {kind: {} for kind in wire.KINDS}
        self._digest = Digest()
        self._version = ""
        self._steps: deque[tuple[str, frozenset[Name]]] = deque()
        self._names = 0
        self._messages: weakref.WeakValueDictionary[tuple[str, frozenset[Name]], Message]
        self._messages = weakref.WeakValueDictionary()

    @property
    def version(self) -> str:
        """The newest version; empty while there is no table."""
        return self._version

    @property
    def table(self) -> Resources | None:
        """The newest table."""
        return self._table

    def take(self, table: Resources) -> bool:
        """Takes over a newer table; whether it is different."""
        if table is self._table:
            return False
        change = diff(self._table or Resources(), table)
        self._table = table
        touched: set[Name] = set()
        for kind in wire.KINDS:
            for resource in cast("tuple[Resource, ...]", getattr(change.upsert, kind)):
                self._put(kind, resource)
                touched.add((kind, resource.key))
            for key in cast("tuple[str, ...]", getattr(change.remove, kind)):
                self._drop(kind, key)
                touched.add((kind, key))
        before, self._version = self._version, self._digest.version
        if self._version == before:
            return False
        self._remember(before, frozenset(touched))
        self._messages.clear()
        return True

    def _put(self, kind: Kind, resource: Resource) -> None:
        self._drop(kind, resource.key)
        number = number_of(kind, resource)
        self._held[kind][resource.key] = (resource, number)
        self._digest.add(number)

    def _drop(self, kind: Kind, key: str) -> None:
        found = self._held[kind].pop(key, None)
        if found is not None:
            self._digest.remove(found[1])

    def _remember(self, version: str, touched: frozenset[Name]) -> None:
        """``touched``: what changed from ``version`` to the next."""
        self._steps.append((version, touched))
        self._names += len(touched)
        while len(self._steps) > _MOST_STEPS or self._names > _MOST_NAMES:
            self._names -= len(self._steps.popleft()[1])

    def message(self, base: str, refused: Iterable[Name] = ()) -> Message:
        """The update that brings a gateway from ``base`` to the newest version; "" is no version.

        ``refused`` is what it refused of ``base``: it is sent again, since a reference that was missing
        may be there by now.
        """
        names = frozenset(refused)
        found = self._messages.get((base, names))
        if found is None:
            found = Message(self._update(base, names))
            self._messages[base, names] = found
        return found

    def _update(self, base: str, refused: frozenset[Name]) -> Snapshot | Delta:
        touched = self._touched_since(base)
        if touched is None:
            return Snapshot(version=self._version, resources=self._table or Resources())
        upsert: dict[Kind, list[Resource]] = {}
        remove: dict[Kind, list[str]] = {}
        for kind, key in sorted(touched | refused):
            held = self._held[kind].get(key)
            if held is None:
                remove.setdefault(kind, []).append(key)
            else:
                upsert.setdefault(kind, []).append(held[0])
        removed = Removed(**{kind: tuple(keys) for kind, keys in remove.items()})
        return Delta(base=base, version=self._version, upsert=wire.resources_of(upsert), remove=removed)

    def _touched_since(self, base: str) -> set[Name] | None:
        """What changed since ``base``, or None where that is not known."""
        touched: set[Name] = set()
        if base == self._version:
            return touched
        for version, names in reversed(self._steps):
            touched |= names
            if version == base:
                return touched if base else None
        return None
