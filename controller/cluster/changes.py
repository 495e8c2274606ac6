"""A change in a cluster, from its arrival to what gateways and the API server are told.

Owns the order: translate, publish to every gateway, then the statuses, then what is to be provisioned; and
what follows an answer. A large change is translated on a thread, so that streams, probes and the lease go on
meanwhile. Tables and statuses handed out always belong together: they are taken over in one turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from controller.cluster.statuses import Statuses
from controller.cluster.telemetry import Telemetry
from controller.pipeline import ObjectPipeline, Taken
from controller.sources import Change
from controller.translate.workload import sidecar_table
from gateway.routing_table.model import Applied, Resources

LAPSE_SECONDS: Final = 30.0
"""A table that nobody has answered for so long is no longer said to be served."""
_LAPSE_LOOK_SECONDS: Final = 1.0
_LARGE: Final = 64
"""Objects: what takes longer than a few milliseconds goes to a thread."""

logger = logging.getLogger(__name__)


class Publication(Protocol):
    """What gateways should hold and what they answer: :class:`controller.publish.subscriptions.Subscriptions`."""

    def set_tables(self, tables: Mapping[str, Resources]) -> None:
        """What each gateway should hold from now on."""
        ...

    def answer(self, table: str) -> Applied | None:
        """The answer of all gateways of a table to it as it is wanted now."""
        ...


@dataclass(frozen=True)
class Arrived:
    """A change and when it came."""

    change: Change
    at: float


class Changes:
    """Follows objects and answers."""

    def __init__(
        self,
        pipeline: ObjectPipeline,
        publication: Publication,
        statuses: Statuses,
        telemetry: Telemetry,
        provision: Callable[[Taken], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._publication = publication
        self._statuses = statuses
        self._telemetry = telemetry
        self._provision = provision
        self._monotonic = monotonic
        self._leads = False
        self._tables: Mapping[str, Resources] = {}
        self._unanswered: dict[str, float] = {}
        """Tables without an answer, since when."""
        self._answered: set[str] = set()
        """Tables whose gateways have answered at all, and are not known to be gone."""
        self._arrived: dict[str, float] = {}
        """When the oldest change arrived that a table's gateways have not answered to."""

    @property
    def tables(self) -> Mapping[str, Resources]:
        """What gateways should hold."""
        return self._tables

    async def take(self, batch: Sequence[Arrived]) -> None:
        """Takes over changes that arrived together."""
        changes = [arrived.change for arrived in batch]
        began = self._monotonic()
        if sum(len(change.upserts) + len(change.deletes) for change in changes) > _LARGE:
            taken = await asyncio.to_thread(self._pipeline.take, changes)
        else:
            taken = self._pipeline.take(changes)
        self._publish(taken, min(arrived.at for arrived in batch))
        self._telemetry.translated(self._monotonic() - began, len(taken.changed))

    def _publish(self, taken: Taken, arrived: float) -> None:
        before, self._tables = self._tables, taken.translation.tables
        changed = [name for name, table in self._tables.items() if before.get(name) is not table]
        gone = before.keys() - self._tables.keys()
        self._publication.set_tables(self._tables)
        for name in gone:
            self._unanswered.pop(name, None)
            self._arrived.pop(name, None)
            self._answered.discard(name)
        for name in changed:
            self._unanswered.setdefault(name, self._monotonic())
            if name in self._answered:
                self._arrived.setdefault(name, arrived)
        # Of a sidecar's table no status speaks: what it refuses is with the gateways that hold it.
        self._statuses.take(
            taken, [name for name in changed if not sidecar_table(name)], [n for n in gone if not sidecar_table(n)]
        )
        self._provision(taken)
        for name in changed:
            # Where the content is what it was, the answer to it stands.
            self.told(name)

    def told(self, name: str) -> None:
        """The answer to a table is another."""
        table = self._tables.get(name)
        if table is None:
            return
        applied = self._publication.answer(name)
        if applied is None:
            self._unanswered.setdefault(name, self._monotonic())
            return
        self._unanswered.pop(name, None)
        self._answered.add(name)
        arrived = self._arrived.pop(name, None)
        if arrived is not None:
            self._telemetry.propagated(self._monotonic() - arrived)
        if not sidecar_table(name):
            self._statuses.answer(name, table, applied)

    def lead(self, leads: bool) -> None:
        """Whether this replica writes. While another does, it alone hears of every gateway's answer."""
        self._leads = leads
        if leads:
            self._unanswered = dict.fromkeys(self._unanswered, self._monotonic())
            self._statuses.begin()

    async def lapse(self) -> None:
        """Without end: what nobody has answered for long is not said to be served any more."""
        while True:
            await asyncio.sleep(_LAPSE_LOOK_SECONDS)
            if self._leads:
                self.lapse_once()

    def lapse_once(self) -> None:
        """One look."""
        before = self._monotonic() - LAPSE_SECONDS
        for name in [name for name, since in self._unanswered.items() if since < before]:
            del self._unanswered[name]
            self._arrived.pop(name, None)
            self._answered.discard(name)
            if not sidecar_table(name):
                self._statuses.lapse(name)
