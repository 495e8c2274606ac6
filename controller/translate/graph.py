"""Incremental computation: every result remembers what it read, and only what read a change is redone.

Owns the bookkeeping of translation: stages, cells, dependencies and collections. Must not know a
kind: what a cell computes is a pure function of what it reads through :class:`Reads`.

A *stage* is a function from a key to a value; a *cell* is one key of one stage. A cell may read
objects, indexes of objects, cells of earlier stages, and collections that cells of earlier stages
filled. Stages are worked off in order, so whatever a cell reads is up to date, and a recomputed
cell whose value equals the old one stops the wave. A cell lives while it is a root or another cell
reads it. Nothing depends on the order within a stage, so an incremental run ends where a run from
scratch ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate.options import Options
from controller.translate.statuses import Status
from gateway.routing_table import model

R = TypeVar("R", bound=Resource)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CellId = tuple[int, Any]
"""Rank of the stage, and the key."""
Collection = tuple[str, Hashable]
"""A named set that cells of one stage fill and cells of later stages read."""
TableResource = model.Resource
"""Of a table; a :class:`~controller.resources.Resource` is an object of the API."""


class Published(msgspec.Struct, frozen=True):
    """What a cell gives to the outside and to later stages."""

    members: tuple[tuple[Collection, Hashable], ...] = ()
    resources: tuple[tuple[str, str, TableResource], ...] = ()
    """Table, field of :class:`~gateway.routing_table.model.Resources`, resource."""
    status: tuple[Key, Status] | None = None
    notices: tuple[tuple[Key, str], ...] = ()
    infrastructure: tuple[Key, Any] | None = None
    """By Gateway, an :class:`~controller.translate.infrastructure.Infrastructure`."""
    sidecar: tuple[Key, Any] | None = None
    """By workload, a :class:`~controller.translate.workload.SidecarPlace`."""


NOTHING = Published()
_NO_MEMBERS: Mapping[Any, int] = {}


def _publish_nothing(_key: Any, _value: Any) -> Published:
    return NOTHING


class Stage(Generic[K, V]):
    """A step of translation: ``compute`` is pure, ``publish`` says what its value contributes."""

    __slots__ = ("compute", "publish", "rank")

    def __init__(
        self,
        rank: int,
        compute: Callable[[K, Reads], V],
        publish: Callable[[K, V], Published] = _publish_nothing,
    ) -> None:
        self.rank = rank
        self.compute = compute
        self.publish = publish


class Output(Protocol):
    """Told of every change to what cells publish."""

    def replace(self, cell: CellId, old: Published, new: Published) -> None:
        """``cell`` published ``old`` before and publishes ``new`` now."""


class Reads:
    """The only way for a computation to look at anything: what it looks at is remembered."""

    __slots__ = ("_graph", "_rank", "dependencies", "options")

    def __init__(self, graph: Graph, rank: int) -> None:
        self._graph = graph
        self._rank = rank
        self.options = graph.options
        self.dependencies: set[Hashable] = set()

    def get(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object, or None; either way a later change of it counts."""
        self.dependencies.add(Key(kind.kind, namespace, name))
        return self._graph.objects.get(kind, namespace, name)

    def referring(self, index: str, key: Hashable) -> Sequence[Key]:
        """Keys of the objects that an index holds under ``key``, sorted."""
        self.dependencies.add((index, key))
        return self._graph.indexed(index, key)

    def result(self, stage: Stage[K, V], key: K) -> V:
        """The value of a cell of an earlier stage."""
        cell = (stage.rank, key)
        self.dependencies.add(cell)
        value: V = self._graph.value_of(stage, cell, self._rank)
        return value

    def members(self, name: str, key: Hashable) -> Mapping[Any, int]:
        """The members of a collection."""
        self.dependencies.add((name, key))
        return self._graph.members_of((name, key))


class _Cell:
    __slots__ = ("dependencies", "published", "value")

    def __init__(self, value: Any, dependencies: set[Hashable], published: Published) -> None:
        self.value = value
        self.dependencies = dependencies
        self.published = published


class Graph:
    """All cells, and what depends on what."""

    def __init__(
        self,
        options: Options,
        stages: Iterable[Stage[Any, Any]],
        indexed: Callable[[str, Hashable], Sequence[Key]],
        rooting: Mapping[str, Stage[Any, Any]],
        output: Output,
    ) -> None:
        """``rooting``: collections whose members are roots of a stage."""
        self.options = options
        self.objects = Snapshot()
        self.indexed = indexed
        self._stages = {stage.rank: stage for stage in stages}
        self._order = sorted(self._stages)
        self._rooting = rooting
        self._output = output
        self._cells: dict[CellId, _Cell] = {}
        self._roots: set[CellId] = set()
        self._dependents: dict[Hashable, set[CellId]] = {}
        self._collections: dict[Collection, Counter[Hashable]] = {}
        self._dirty: dict[int, set[CellId]] = {rank: set() for rank in self._order}
        self._unread: set[CellId] = set()

    def set_root(self, stage: Stage[K, Any], key: K, wanted: bool) -> None:
        """Make a cell one that is computed although nothing reads it, or no longer."""
        cell = (stage.rank, key)
        if wanted:
            if cell not in self._roots:
                self._roots.add(cell)
                self._dirty[stage.rank].add(cell)
        elif cell in self._roots:
            self._roots.discard(cell)
            self._dirty[stage.rank].add(cell)

    def update(self, objects: Snapshot, touched: Iterable[Hashable]) -> None:
        """Recompute what depends on ``touched`` (object keys and index entries), and what is newly a root."""
        self.objects = objects
        for dependency in touched:
            self._touch(dependency)
        for rank in self._order:
            dirty = self._dirty[rank]
            while dirty:
                cell = dirty.pop()
                if self._is_read(cell):
                    self._refresh(cell)
                else:
                    self._drop(cell)
        while self._unread:
            cell = self._unread.pop()
            if not self._is_read(cell):
                self._drop(cell)

    def value_of(self, stage: Stage[K, V], cell: CellId, reader: int) -> V:
        """The cell's value, computed now if nobody needed it before."""
        if stage.rank >= reader:
            raise RuntimeError(f"stage {reader} must not read stage {stage.rank}: it comes no earlier")
        known = self._cells.get(cell)
        if known is None:
            known = self._refresh(cell, demanded=True)
        value: V = known.value
        return value

    def members_of(self, collection: Collection) -> Mapping[Any, int]:
        """Members of a collection, with how many cells contribute each."""
        return self._collections.get(collection, _NO_MEMBERS)

    def _touch(self, dependency: Hashable) -> None:
        for cell in self._dependents.get(dependency, ()):
            self._dirty[cell[0]].add(cell)

    def _refresh(self, cell: CellId, *, demanded: bool = False) -> _Cell:
        rank, key = cell
        stage = self._stages[rank]
        reads = Reads(self, rank)
        value = stage.compute(key, reads)
        known = self._cells.get(cell)
        if known is None:
            known = self._cells[cell] = _Cell(value, set(), NOTHING)
        elif known.value == value:
            self._depend(cell, known, reads.dependencies)
            return known
        self._depend(cell, known, reads.dependencies)
        known.value = value
        self._publish(cell, known, stage.publish(key, value))
        if not demanded:
            self._touch(cell)
        return known

    def _depend(self, cell: CellId, known: _Cell, dependencies: set[Hashable]) -> None:
        if known.dependencies == dependencies:
            return
        for dependency in dependencies - known.dependencies:
            self._dependents.setdefault(dependency, set()).add(cell)
        for dependency in known.dependencies - dependencies:
            self._forget(dependency, cell)
        known.dependencies = dependencies

    def _forget(self, dependency: Hashable, cell: CellId) -> None:
        readers = self._dependents[dependency]
        readers.discard(cell)
        if not readers:
            del self._dependents[dependency]
            if dependency in self._cells:
                self._unread.add(dependency)

    def _publish(self, cell: CellId, known: _Cell, published: Published) -> None:
        old = known.published
        if published == old:
            return
        known.published = published
        if old.members != published.members:
            before, after = set(old.members), set(published.members)
            for collection, member in before - after:
                self._withdraw(collection, member)
            for collection, member in after - before:
                self._contribute(collection, member)
        self._output.replace(cell, old, published)

    def _contribute(self, collection: Collection, member: Hashable) -> None:
        members = self._collections.setdefault(collection, Counter())
        members[member] += 1
        if members[member] == 1:
            self._membership_changed(collection, member, present=True)

    def _withdraw(self, collection: Collection, member: Hashable) -> None:
        members = self._collections[collection]
        members[member] -= 1
        if not members[member]:
            del members[member]
            if not members:
                del self._collections[collection]
            self._membership_changed(collection, member, present=False)

    def _membership_changed(self, collection: Collection, member: Hashable, *, present: bool) -> None:
        stage = self._rooting.get(collection[0])
        if stage is not None:
            self.set_root(stage, member, present)
        self._touch(collection)

    def _is_read(self, cell: CellId) -> bool:
        return cell in self._roots or cell in self._dependents

    def _drop(self, cell: CellId) -> None:
        known = self._cells.pop(cell, None)
        if known is None:
            return
        for dependency in known.dependencies:
            self._forget(dependency, cell)
        self._publish(cell, known, NOTHING)
