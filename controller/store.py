"""Cluster state: every object there is, and immutable snapshots of it.

Owns identity (:class:`Key`), the suppression of changes that change nothing, and the metadata that an
API server would have given: generation, creation time and uid. It must not know where objects come
from nor what is made of them, and it never looks inside a spec.

A snapshot shares everything that a change did not touch: one change among thousands of objects copies
the index of one kind.
"""

from __future__ import annotations

import bisect
import datetime
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar, cast

import msgspec

from controller.resources import NO_TIME, STORED, Resource

R = TypeVar("R", bound=Resource)
Clock = Callable[[], datetime.datetime]

_FEW = 16
_UID_SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "objects.sekisho.dev")


class Key(NamedTuple):
    """Names one object. ``namespace`` is empty for kinds that belong to none."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, resource: Resource) -> Key:
        """The key of an object."""
        return cls(type(resource).kind, resource.metadata.namespace, resource.metadata.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class _Index:
    """The objects of one kind, by namespace and name, in order. Never changed once made."""

    __slots__ = ("_listed", "names", "objects")

    def __init__(self, objects: Mapping[tuple[str, str], Resource], names: list[tuple[str, str]]) -> None:
        self.objects = objects
        self.names = names
        self._listed: tuple[Resource, ...] | None = None

    def listed(self) -> tuple[Resource, ...]:
        if self._listed is None:
            self._listed = tuple(map(self.objects.__getitem__, self.names))
        return self._listed

    def changed(self, edits: Mapping[tuple[str, str], Resource | None]) -> _Index:
        """A new index with ``edits`` made; None removes."""
        objects = dict(self.objects)
        names = self.names.copy()
        added: list[tuple[str, str]] = []
        for name, resource in edits.items():
            if resource is None:
                del objects[name]
                del names[bisect.bisect_left(names, name)]
                continue
            if name not in objects:
                added.append(name)
            objects[name] = resource
        if len(added) <= _FEW:
            for name in added:
                bisect.insort(names, name)
        else:
            names = sorted([*names, *added])
        return _Index(objects, names)


_EMPTY = _Index({}, [])


class Snapshot:
    """Every object at one moment. Immutable, and cheap to keep."""

    __slots__ = ("_kinds",)

    def __init__(
        self, resources: Iterable[Resource] = (), *, indexes: Mapping[type[Resource], _Index] | None = None
    ) -> None:
        """Hold ``resources`` as they are, or ready ``indexes``. A later resource replaces an earlier one of its key."""
        if indexes is not None:
            self._kinds = dict(indexes)
            return
        edits: dict[type[Resource], dict[tuple[str, str], Resource | None]] = {}
        for resource in resources:
            names = (resource.metadata.namespace, resource.metadata.name)
            edits.setdefault(type(resource), {})[names] = resource
        self._kinds = {type_: _EMPTY.changed(changes) for type_, changes in edits.items()}

    def get(self, type_: type[R], namespace: str, name: str) -> R | None:
        """The object of that kind and name; ``namespace`` is empty for kinds that belong to none."""
        found = self._kinds.get(type_, _EMPTY).objects.get((namespace, name))
        return found if isinstance(found, type_) else None

    def all(self, type_: type[R]) -> tuple[R, ...]:
        """The objects of one kind, ordered by namespace and name."""
        return cast("tuple[R, ...]", self._kinds.get(type_, _EMPTY).listed())

    def find(self, key: Key) -> Resource | None:
        """The object of that key."""
        type_ = STORED.get(key.kind)
        return None if type_ is None else self.get(type_, key.namespace, key.name)

    def keys(self) -> Iterator[Key]:
        """Every key, kind by kind."""
        for type_, index in self._kinds.items():
            for namespace, name in index.names:
                yield Key(type_.kind, namespace, name)

    def resources(self) -> Iterator[Resource]:
        """Every object, kind by kind."""
        for index in self._kinds.values():
            yield from index.listed()

    def __len__(self) -> int:
        return sum(len(index.names) for index in self._kinds.values())

    def __contains__(self, key: Key) -> bool:
        return self.find(key) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return set(self.keys()) == set(other.keys()) and all(other.find(key) == self.find(key) for key in self.keys())

    __hash__ = None  # type: ignore[assignment]  # compared by value, and too large to hash

    def changed(self, edits: Mapping[Key, Resource | None]) -> Snapshot:
        """A new snapshot with ``edits`` made; None removes, and must name an object that is there."""
        by_type: dict[type[Resource], dict[tuple[str, str], Resource | None]] = {}
        for key, resource in edits.items():
            by_type.setdefault(STORED[key.kind], {})[key.namespace, key.name] = resource
        indexes = dict(self._kinds)
        for type_, changes in by_type.items():
            indexes[type_] = indexes.get(type_, _EMPTY).changed(changes)
        return Snapshot(indexes=indexes)


class Store:
    """The current state. Not safe for use from several threads at once; its snapshots are."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start empty. ``clock`` dates objects that carry no creation time."""
        self._clock = clock or _now
        self._snapshot = Snapshot()

    def snapshot(self) -> Snapshot:
        """The state now."""
        return self._snapshot

    def apply(self, upserts: Iterable[Resource] = (), deletes: Iterable[Key] = ()) -> frozenset[Key]:
        """Remove ``deletes``, then put ``upserts``; returns the keys whose object is now another.

        A key that is deleted and put in one call is a replacement: it keeps its age and its uid.
        """
        now = self._clock().replace(microsecond=0)
        edits: dict[Key, Resource | None] = {key: None for key in deletes if key in self._snapshot}
        for resource in upserts:
            key = Key.of(resource)
            previous = self._snapshot.find(key)
            completed = _completed(resource, previous, now)
            if completed == previous:
                edits.pop(key, None)
            else:
                edits[key] = completed
        if edits:
            self._snapshot = self._snapshot.changed(edits)
        return frozenset(edits)


def _completed(resource: Resource, previous: Resource | None, now: datetime.datetime) -> Resource:
    """Give the metadata that an API server would have given, where it is missing."""
    given = resource.metadata
    uid, created, generation = given.uid, given.creation_timestamp, given.generation
    if uid and created != NO_TIME and generation:
        return resource
    if not uid:
        uid = previous.metadata.uid if previous else str(uuid.uuid5(_UID_SPACE, "/".join(Key.of(resource))))
    if created == NO_TIME:
        created = previous.metadata.creation_timestamp if previous else now
    if not generation:
        generation = 1
        if previous is not None:
            same = msgspec.structs.replace(resource, metadata=previous.metadata) == previous
            generation = previous.metadata.generation + (0 if same else 1)
    metadata = msgspec.structs.replace(given, uid=uid, creation_timestamp=created, generation=generation)
    return msgspec.structs.replace(resource, metadata=metadata)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
