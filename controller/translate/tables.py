"""Routing tables put together from what cells publish, and the difference between two of them.

Owns the assembly: several cells may publish the same resource (a certificate that two Gateways
use), and it is in the table while one of them does. Must not know where a resource comes from.
Work is in proportion to what changed, except for copying one tuple of references for each kind
that did.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from controller.translate.graph import CellId, Published, TableResource
from gateway.routing_table.model import Removed, Resources

KINDS: tuple[str, ...] = Resources.__struct_fields__


class Change(msgspec.Struct, frozen=True):
    """The two parts of a delta."""

    upsert: Resources = Resources()
    remove: Removed = Removed()

    def __bool__(self) -> bool:
        return self.upsert != Resources() or self.remove != Removed()


class _Shelf:
    """The resources of one kind in one table, ordered by key."""

    __slots__ = ("_listed", "_order", "_publishers", "_values")

    def __init__(self) -> None:
        self._order: list[str] = []
        self._values: list[TableResource] = []
        self._publishers: dict[str, dict[CellId, TableResource]] = {}
        self._listed: tuple[TableResource, ...] = ()

    def publish(self, cell: CellId, resource: TableResource) -> None:
        self._publishers.setdefault(resource.key, {})[cell] = resource

    def withdraw(self, cell: CellId, key: str) -> None:
        del self._publishers[key][cell]

    def settle(self, keys: Iterable[str]) -> tuple[list[TableResource], list[str]]:
        """Bring the listed resources in line with what is published; returns what is new and what is gone."""
        upserts: list[TableResource] = []
        removed: list[str] = []
        for key in sorted(keys):
            publishers = self._publishers.get(key)
            position = bisect.bisect_left(self._order, key)
            present = position < len(self._order) and self._order[position] == key
            if not publishers:
                self._publishers.pop(key, None)
                if present:
                    del self._order[position], self._values[position]
                    removed.append(key)
                continue
            value = next(iter(publishers.values()))
            if not present:
                self._order.insert(position, key)
                self._values.insert(position, value)
            elif self._values[position] == value:
                continue
            else:
                self._values[position] = value
            upserts.append(value)
        if upserts or removed:
            self._listed = tuple(self._values)
        return upserts, removed

    def listed(self) -> tuple[TableResource, ...]:
        return self._listed


class Tables:
    """All tables."""

    def __init__(self) -> None:
        self._shelves: dict[str, dict[str, _Shelf]] = {}
        self._touched: dict[tuple[str, str], set[str]] = {}
        self._resources: dict[str, Resources] = {}

    def set_names(self, names: Iterable[str]) -> None:
        """The tables there are: an empty one is listed too, and one that is not named goes."""
        wanted = set(names)
        for name in wanted - self._resources.keys():
            self._resources[name] = Resources()
        for name in self._resources.keys() - wanted:
            del self._resources[name]
            self._shelves.pop(name, None)

    def replace(self, cell: CellId, old: Published, new: Published) -> None:
        """A cell publishes other resources than before."""
        if old.resources == new.resources:
            return
        before = {(table, kind, resource.key): resource for table, kind, resource in old.resources}
        after = {(table, kind, resource.key): resource for table, kind, resource in new.resources}
        for (table, kind, key), resource in after.items():
            if before.get((table, kind, key)) != resource:
                self._shelf(table, kind).publish(cell, resource)
                self._touched.setdefault((table, kind), set()).add(key)
        for table, kind, key in before.keys() - after.keys():
            self._shelf(table, kind).withdraw(cell, key)
            self._touched.setdefault((table, kind), set()).add(key)

    def settle(self) -> dict[str, Change]:
        """The tables after all cells have published: what changed in each."""
        upserts: dict[str, dict[str, tuple[TableResource, ...]]] = {}
        removals: dict[str, dict[str, tuple[str, ...]]] = {}
        changed: dict[str, dict[str, tuple[TableResource, ...]]] = {}
        for (table, kind), keys in self._touched.items():
            shelf = self._shelf(table, kind)
            added, gone = shelf.settle(keys)
            if added or gone:
                upserts.setdefault(table, {})[kind] = tuple(added)
                removals.setdefault(table, {})[kind] = tuple(gone)
                changed.setdefault(table, {})[kind] = shelf.listed()
        self._touched.clear()
        for table, kinds in changed.items():
            self._resources[table] = msgspec.structs.replace(self._resources.get(table, Resources()), **kinds)
        return {table: Change(Resources(**upserts[table]), Removed(**removals[table])) for table in changed}  # type: ignore[arg-type]

    def resources(self) -> Mapping[str, Resources]:
        """Every table as it is now."""
        return dict(self._resources)

    def _shelf(self, table: str, kind: str) -> _Shelf:
        shelves = self._shelves.setdefault(table, {})
        if kind not in shelves:
            shelves[kind] = _Shelf()
        return shelves[kind]


def diff(old: Resources, new: Resources) -> Change:
    """What turns ``old`` into ``new``.

    Resources that are the same object in both are passed over without a look inside, so tables of one
    translator cost little more than what differs between them.
    """
    upserts: dict[str, tuple[TableResource, ...]] = {}
    removals: dict[str, tuple[str, ...]] = {}
    for kind in KINDS:
        before = cast(tuple[TableResource, ...], getattr(old, kind))
        after = cast(tuple[TableResource, ...], getattr(new, kind))
        if before is after:
            continue
        before, after = _between_the_same(before, after)
        shared = set(map(id, before)) & set(map(id, after))
        left = {resource.key: resource for resource in before if id(resource) not in shared}
        arrived = {resource.key: resource for resource in after if id(resource) not in shared}
        upserts[kind] = tuple(resource for key, resource in arrived.items() if left.get(key) != resource)
        removals[kind] = tuple(key for key in left if key not in arrived)
    return Change(Resources(**upserts), Removed(**removals))  # type: ignore[arg-type]


def _between_the_same(
    before: tuple[TableResource, ...], after: tuple[TableResource, ...]
) -> tuple[tuple[TableResource, ...], tuple[TableResource, ...]]:
    """Both without the objects that they begin and end with alike."""
    shorter = min(len(before), len(after))
    start = bytes(map(operator.is_, before, after)).find(0)
    if start < 0:
        return before[shorter:], after[shorter:]
    end = bytes(map(operator.is_, before[:start:-1], after[:start:-1])).find(0)
    if end < 0:
        end = shorter - start - 1
    return before[start : len(before) - end], after[start : len(after) - end]
