"""The table that a gateway holds, as its publisher knows it: what was accepted, resource by resource.

Kept as dictionaries so that a delta costs what it changes. A rejected resource keeps its previous
version, exactly as in the engine, and a rejected policy none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.routing_table import validate
from gateway.routing_table.model import Delta, Rejection, Resource, Resources, Snapshot, Update
from gateway.routing_table.wire import KINDS, POLICY_KINDS, Kind, by_key, resources_of

NOTHING: Final = Resources()


class HeldTable:
    """Mutable, owned by the publisher; readers, on any thread, get immutable :class:`Resources`."""

    def __init__(self, resources: Resources = NOTHING) -> None:
        self._by_kind: dict[Kind, dict[str, Resource]] = {kind: by_key(resources, kind) for kind in KINDS}
        self._tuples: dict[Kind, tuple[Resource, ...]] = {kind: getattr(resources, kind) for kind in KINDS}
        self._resources = resources

    def apply(self, update: Update, rejected: Iterable[Rejection]) -> None:
        """Takes over what the engine accepted of ``update``."""
        refused = {(rejection.kind, rejection.key) for rejection in rejected}
        previous = dict(self._by_kind)
        for kind in KINDS:
            match update:
                case Snapshot():
                    self._replace(kind, update.resources, refused)
                case Delta():
                    self._change(kind, update, refused)
        if refused and isinstance(update, Snapshot):
            self._keep_what_is_used(previous)
        # An older version of a policy may permit what the refused one was to forbid.
        for policies in POLICY_KINDS:
            withdrawn = [key for kind, key in refused if kind == policies]
            for key in withdrawn:
                self._by_kind[policies].pop(key, None)
            if withdrawn:
                self._tuples[policies] = tuple(self._by_kind[policies].values())
        for kind in KINDS:
            if isinstance(update, Snapshot) or getattr(update.upsert, kind) or getattr(update.remove, kind):
                self._tuples[kind] = tuple(self._by_kind[kind].values())
        self._resources = resources_of(self._tuples)

    def _replace(self, kind: Kind, resources: Resources, refused: set[tuple[str, str]]) -> None:
        previous = self._by_kind[kind]
        held: dict[str, Resource] = {}
        for resource in getattr(resources, kind):
            if (kind, resource.key) not in refused:
                held[resource.key] = resource
            elif resource.key in previous:
                held[resource.key] = previous[resource.key]
        self._by_kind[kind] = held

    def _change(self, kind: Kind, delta: Delta, refused: set[tuple[str, str]]) -> None:
        held = self._by_kind[kind]
        for resource in getattr(delta.upsert, kind):
            if (kind, resource.key) not in refused:
                held[resource.key] = resource
        for key in getattr(delta.remove, kind):
            if (kind, key) not in refused:
                held.pop(key, None)

    def _keep_what_is_used(self, previous: Mapping[Kind, Mapping[str, Resource]]) -> None:
        """A refused resource keeps its previous version, and with it what that version refers to."""
        for kind in reversed(tuple(KINDS)):
            for resource in tuple(self._by_kind[kind].values()):
                for target_kind, target in validate.references(resource):
                    if target not in self._by_kind[target_kind] and target in previous[target_kind]:
                        self._by_kind[target_kind][target] = previous[target_kind][target]

    @property
    def resources(self) -> Resources:
        """The whole table."""
        return self._resources
