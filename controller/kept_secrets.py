"""What Secrets held that are gone or spoiled while listeners are served with it.

Owns the rule that a Secret's deletion takes no traffic away: its certificate goes on being served, and the status
of what refers to it says so, until nothing refers to it, the Secret is there again, or the process ends. Whoever
wants a certificate withdrawn removes the reference. Must not decide what a certificate is, nor who may refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from controller.resources import KeptSecret, Resource, Secret
from controller.sources import Change
from controller.store import Key, Snapshot
from controller.translate.certificates import certificate_problem
from controller.translate.names import secret_key
from gateway.routing_table.model import Resources

_GONE = "does not exist"


class KeptSecrets:
    """Rewrites changes, so that the store goes on holding what is still served."""

    def __init__(self) -> None:
        self._kept: set[Key] = set()

    def rewrite(self, change: Change, snapshot: Snapshot, tables: Mapping[str, Resources]) -> Change:
        """The change with what it takes away from ``tables`` kept; ``snapshot`` is what was there before it."""
        if not any(map(_is_secret, change.deletes)) and not any(isinstance(item, Secret) for item in change.upserts):
            return change
        served = _served(tables)
        put = {Key.of(resource) for resource in change.upserts}
        gone = {key: self._kept_of(key, snapshot, served, None) for key in change.deletes if key not in put}
        upserts = [self._put(resource, snapshot, served) for resource in change.upserts]
        return msgspec.structs.replace(
            change,
            upserts=(*upserts, *(kept for kept in gone.values() if kept is not None)),
            deletes=tuple(key for key in change.deletes if gone.get(key) is None),
        )

    def release(self, snapshot: Snapshot, tables: Mapping[str, Resources]) -> Change:
        """What puts the true Secrets in the place of those that nothing is served with any more."""
        if not self._kept:
            return Change()
        served = _served(tables)
        unused = sorted(key for key in self._kept if secret_key(key) not in served)
        self._kept.difference_update(unused)
        found = {key: resource for key in unused if isinstance(resource := snapshot.find(key), KeptSecret)}
        return Change(
            upserts=tuple(kept.instead for kept in found.values() if kept.instead is not None),
            deletes=tuple(key for key, kept in found.items() if kept.instead is None),
        )

    def _put(self, resource: Resource, snapshot: Snapshot, served: frozenset[str]) -> Resource:
        if not isinstance(resource, Secret):
            return resource
        key = Key.of(resource)
        kept = self._kept_of(key, snapshot, served, resource)
        if kept is None:
            self._kept.discard(key)
        return kept or resource

    def _kept_of(
        self, key: Key, snapshot: Snapshot, served: frozenset[str], instead: Secret | None
    ) -> KeptSecret | None:
        """What is kept of a Secret that is now ``instead``; None where there is no need."""
        if not _is_secret(key) or secret_key(key) not in served:
            return None
        before = snapshot.get(Secret, key.namespace, key.name)
        problem = _GONE if instead is None else certificate_problem(instead)
        if before is None or not problem or certificate_problem(before):
            return None
        self._kept.add(key)
        return KeptSecret(
            metadata=before.metadata, type=before.type, data=before.data, problem=problem, instead=instead
        )


def _is_secret(key: Key) -> bool:
    return key.kind == Secret.kind


def _served(tables: Mapping[str, Resources]) -> frozenset[str]:
    return frozenset(_certificates(tables))


def _certificates(tables: Mapping[str, Resources]) -> Iterator[str]:
    for table in tables.values():
        for certificate in table.certificates:
            yield certificate.key
