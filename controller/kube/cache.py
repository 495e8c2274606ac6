"""The objects of one kind as the API server last told them.

Owns what an event or a list means against what was known: changed objects, vanished ones, and objects that
cannot be used. It does no input or output. An edit that cannot be used keeps the last version that could,
and is a problem.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from controller.resources import (
    EXPERIMENTAL_GROUP,
    GATEWAY_GROUP,
    SEKISHO_GROUP,
    ParseResult,
    Problem,
    Resource,
    parse,
)
from controller.store import Key

_OUR_GROUPS = frozenset({GATEWAY_GROUP, EXPERIMENTAL_GROUP, SEKISHO_GROUP})

logger = logging.getLogger(__name__)


class Seen(msgspec.Struct, frozen=True):
    """What a writer of statuses needs of an object. ``status`` is JSON, empty where there is none."""

    served: str
    """The version of the API that it was read in, for example ``v1``."""
    version: str
    """The object's resource version."""
    uid: str
    status: bytes


class Delta(msgspec.Struct, frozen=True):
    """What is different now. ``touched`` names every object of the delta, also those whose status alone changed."""

    upserts: tuple[Resource, ...] = ()
    deletes: tuple[Key, ...] = ()
    problems: bool = False
    """Whether the problems are others than before."""
    touched: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.upserts or self.deletes or self.problems)


class ObjectCache:
    """Objects of one kind, of one namespace or of all."""

    def __init__(self, type_: type[Resource]) -> None:
        self._type = type_
        self._keeps_status = type_.group in _OUR_GROUPS
        self._reports_warnings = type_.group in _OUR_GROUPS
        self._uids: dict[Key, str] = {}
        self._objects: dict[Key, Resource] = {}
        self._seen: dict[Key, Seen] = {}
        self._problems: dict[Key, tuple[Problem, ...]] = {}

    def __len__(self) -> int:
        return len(self._uids)

    @property
    def objects(self) -> Mapping[Key, Resource]:
        """Every usable object."""
        return self._objects

    @property
    def problems(self) -> Mapping[Key, tuple[Problem, ...]]:
        """What is wrong, by object."""
        return self._problems

    def seen(self, key: Key) -> Seen | None:
        """The object as the API server last told it, for kinds whose status is ours to write."""
        return self._seen.get(key)

    def replace(self, documents: Iterable[dict[str, Any]], api_version: str) -> Delta:
        """These are all objects there are."""
        before = dict(self._uids)
        deltas = [self.upsert(document, api_version) for document in documents]
        present = {key for delta in deltas for key in delta.touched}
        deltas += [self._remove(key) for key in before if key not in present]
        return merged(deltas)

    def upsert(self, document: dict[str, Any], api_version: str) -> Delta:
        """An object was made or changed."""
        # Items of a list of a built-in kind do not say what they are.
        document = {"apiVersion": api_version, "kind": self._type.kind, **document}
        key, metadata = self._key(document), _mapping(document.get("metadata"))
        uid = str(metadata.get("uid") or "")
        recreated = self._uids.get(key, uid) != uid
        before = None if recreated else self._objects.get(key)
        self._uids[key] = uid
        if self._keeps_status:
            self._seen[key] = seen_in(document)
        result = _parsed(document, key)
        changed = self._set_problems(key, result.problems)
        if result.resource is None:
            deleted = (key,) if recreated and self._objects.pop(key, None) is not None else ()
            return Delta(deletes=deleted, problems=changed, touched=(key,))
        self._objects[key] = result.resource
        if result.resource == before:
            return Delta(problems=changed, touched=(key,))
        return Delta(upserts=(result.resource,), problems=changed, touched=(key,))

    def delete(self, document: dict[str, Any]) -> Delta:
        """An object is gone."""
        key = self._key(document)
        return self._remove(key) if key in self._uids else Delta()

    def clear(self) -> Delta:
        """Every object is gone."""
        return merged([self._remove(key) for key in list(self._uids)])

    def _key(self, document: dict[str, Any]) -> Key:
        metadata = _mapping(document.get("metadata"))
        namespace = str(metadata.get("namespace") or "") if self._type.namespaced else ""
        return Key(self._type.kind, namespace, str(metadata.get("name") or ""))

    def _remove(self, key: Key) -> Delta:
        self._uids.pop(key, None)
        self._seen.pop(key, None)
        existed = self._objects.pop(key, None) is not None
        had_problems = self._problems.pop(key, None) is not None
        return Delta(deletes=(key,) if existed else (), problems=had_problems, touched=(key,))

    def _set_problems(self, key: Key, problems: tuple[Problem, ...]) -> bool:
        kept = tuple(item for item in problems if self._reports_warnings or item.severity == "error")
        if kept == self._problems.get(key, ()):
            return False
        if kept:
            self._problems[key] = kept
        else:
            del self._problems[key]
        return True


def merged(deltas: Iterable[Delta]) -> Delta:
    """Several deltas, one after the other, as one."""
    upserts: dict[Key, Resource] = {}
    deletes: dict[Key, None] = {}
    touched: dict[Key, None] = {}
    problems = False
    for delta in deltas:
        for key in delta.deletes:
            upserts.pop(key, None)
            deletes[key] = None
        for resource in delta.upserts:
            upserts[Key.of(resource)] = resource
        touched.update(dict.fromkeys(delta.touched))
        problems = problems or delta.problems
    return Delta(tuple(upserts.values()), tuple(deletes), problems, tuple(touched))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def seen_in(document: dict[str, Any]) -> Seen:
    """What a writer of statuses needs of a document."""
    metadata, status = _mapping(document.get("metadata")), document.get("status")
    return Seen(
        served=str(document.get("apiVersion") or "").rpartition("/")[2],
        version=str(metadata.get("resourceVersion") or ""),
        uid=str(metadata.get("uid") or ""),
        status=msgspec.json.encode(status) if status else b"",
    )


def _parsed(document: dict[str, Any], key: Key) -> ParseResult:
    try:
        return parse(document)
    except Exception:
        # One object must not keep all others of its kind from being read.
        logger.exception("%s could not be read", key)
        problem = Problem(
            severity="error",
            message="it could not be read, by a fault of this program",
            remedy="report it with the object",
            object=str(key),
        )
        return ParseResult(resource=None, problems=(problem,))
