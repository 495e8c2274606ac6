"""From what translation says to what is wanted of the API server, object by object.

Owns which objects the status writer is told of. An object without a status of ours is told too where entries
of ours may stand in it from before: a route that was moved to another Gateway, or a former run's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.kube.status_merge import has_entries
from controller.kube.status_writer import Wanted
from controller.store import Key, Snapshot
from controller.translate.statuses import Status


def wanted_statuses(
    statuses: Mapping[Key, Status], snapshot: Snapshot, keys: Iterable[Key]
) -> dict[Key, Wanted | None]:
    """For :meth:`StatusWriter.want`: what is wanted of ``keys`` now; at the start, of every key of the snapshot."""
    wanted: dict[Key, Wanted | None] = {}
    for key in keys:
        resource = snapshot.find(key)
        status = statuses.get(key)
        if resource is None or (status is None and not has_entries(key.kind)):
            wanted[key] = None
        else:
            wanted[key] = Wanted(resource.metadata.uid, status)
    return wanted
