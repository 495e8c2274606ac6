"""Keeps one gateway at the table it should hold.

Owns the versions and the difference between what a gateway was sent and what it should hold. It
does not decide what is in a table, and a gateway's answer is the answer: what it refused is sent
again with the next change (a reference that was missing may be there by then), never in a loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from controller.publish.held_table import NOTHING, HeldTable
from controller.translate.tables import KINDS, diff
from gateway.routing_table.model import Applied, Delta, Rejection, Removed, Resources, Snapshot, Update


class Gateway(Protocol):
    """A gateway as the publisher knows it: in this process, or behind a stream."""

    async def apply(self, update: Update) -> Applied:
        """Applies one update and answers."""
        ...


class Published(msgspec.Struct, frozen=True):
    """What one publication came to. ``changed`` counts the resources that were sent or removed."""

    version: str
    changed: int
    error: str = ""
    """Set when the gateway refused the update as a whole, twice."""


class Publisher:
    """One gateway's subscription."""

    def __init__(self, gateway: Gateway, last_version: int = 0, holds: Resources = NOTHING) -> None:
        """``last_version``: the highest version this gateway may already hold. ``holds``: its table now."""
        self._gateway = gateway
        self._number = last_version
        self._held = HeldTable(holds)
        self._sent: Resources | None = None
        self._rejected: tuple[Rejection, ...] = ()

    @property
    def version(self) -> str:
        """The version sent last."""
        return str(self._number)

    @property
    def rejected(self) -> tuple[Rejection, ...]:
        """What the gateway refuses of the table it was sent."""
        return self._rejected

    @property
    def held(self) -> Resources:
        """The table in force at the gateway: what it was sent, and of what it refused the version before."""
        return self._held.resources

    async def publish(self, table: Resources) -> Published | None:
        """Brings the gateway to ``table``; None where it already is there."""
        if self._sent is None:
            return await self._publish_all(table)
        change = diff(self._sent, table)
        if not change:
            return None
        upsert = _with_refused(change.upsert, table, self._rejected)
        remove = _with_refused_removals(change.remove, table, self._rejected)
        base, version = str(self._number), str(self._number + 1)
        delta = Delta(base=base, version=version, upsert=upsert, remove=remove)
        applied = await self._gateway.apply(delta)
        if applied.error:
            # It holds something else than was sent, for example after a restart of its own.
            return await self._publish_all(table)
        self._number += 1
        self._sent = table
        self._held.apply(delta, applied.rejected)
        named = _named(upsert, remove)
        untouched = tuple(item for item in self._rejected if (item.kind, item.key) not in named)
        self._rejected = (*untouched, *applied.rejected)
        return Published(version, len(named))

    async def _publish_all(self, table: Resources) -> Published:
        self._number += 1
        snapshot = Snapshot(version=str(self._number), resources=table)
        applied = await self._gateway.apply(snapshot)
        if applied.error:
            self._sent = None
            return Published(str(self._number), 0, applied.error)
        self._sent = table
        self._held.apply(snapshot, applied.rejected)
        self._rejected = applied.rejected
        return Published(str(self._number), sum(len(getattr(table, kind)) for kind in KINDS))


def _named(upsert: Resources, remove: Removed) -> set[tuple[str, str]]:
    named = {(kind, resource.key) for kind in KINDS for resource in getattr(upsert, kind)}
    named |= {(kind, key) for kind in KINDS for key in getattr(remove, kind)}
    return named


def _with_refused(upsert: Resources, table: Resources, rejected: Iterable[Rejection]) -> Resources:
    """``upsert`` and what of ``table`` was refused before."""
    changes: dict[str, tuple[object, ...]] = {}
    for kind in {item.kind for item in rejected}:
        refused = {item.key for item in rejected if item.kind == kind}
        refused -= {resource.key for resource in getattr(upsert, kind)}
        again = tuple(resource for resource in getattr(table, kind) if resource.key in refused)
        changes[kind] = (*getattr(upsert, kind), *again)
    return msgspec.structs.replace(upsert, **changes)


def _with_refused_removals(remove: Removed, table: Resources, rejected: Iterable[Rejection]) -> Removed:
    """``remove`` and what should be gone, but was still in use when it was removed before."""
    changes: dict[str, tuple[str, ...]] = {}
    for kind in {item.kind for item in rejected}:
        held = {resource.key for resource in getattr(table, kind)}
        again = {item.key for item in rejected if item.kind == kind} - held
        changes[kind] = tuple(dict.fromkeys((*getattr(remove, kind), *sorted(again))))
    return msgspec.structs.replace(remove, **changes)
