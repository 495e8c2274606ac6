"""The agent: takes updates one at a time, has the engine apply them, and answers for the result.

Owns the table this gateway holds and its version. It does not know where updates come from, and
it never decides about a resource: the engine's answer is the answer. After each update the table
is written to the state directory in the background, so that a burst costs one write and an
acknowledgement never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from msgspec.structs import replace

from gateway.agent.engine import Engine
from gateway.agent.persistence import TableFile
from gateway.agent.state import AgentState
from gateway.agent.table import HeldTable
from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Delta, Rejection, Resources, Snapshot, Update

_SAVE_DELAY_SECONDS = 0.2

logger = logging.getLogger(__name__)


class Agent:
    """The one writer of the engine's table."""

    def __init__(self, engine: Engine, table_file: TableFile | None, now: Callable[[], float]) -> None:
        self._engine = engine
        self._table_file = table_file
        self._now = now
        self._table = HeldTable()
        self._state = AgentState()
        self._one_at_a_time = asyncio.Lock()
        self._saver: asyncio.Task[None] | None = None
        self._unsaved = asyncio.Event()
        self._saving = asyncio.Lock()

    @property
    def state(self) -> AgentState:
        """What holds now."""
        return self._state

    @property
    def table(self) -> Resources:
        """The table in force. Holds private keys: whoever shows it redacts it first."""
        return self._table.resources

    def restore(self) -> str:
        """Serves the last good table of the previous run; returns what to tell people, or nothing.

        Runs before anything else starts, so it blocks.
        """
        if self._table_file is None:
            return ""
        loaded = self._table_file.load()
        if loaded.snapshot is None:
            return loaded.problem
        applied = wire.decode_applied(self._engine.apply(wire.encode(loaded.snapshot)))
        self._take(loaded.snapshot, applied, loaded.rejected, restored=True)
        return f"the last table cannot be served: {applied.error}" if applied.error else ""

    async def apply(self, update: Update, rejected: tuple[Rejection, ...] = ()) -> Applied:
        """Applies one update and returns the engine's answer: ACK, or NACK with what was refused.

        ``rejected`` holds what the decoder already refused; it becomes part of the answer.
        """
        async with self._one_at_a_time:
            answer = await asyncio.to_thread(self._engine.apply, wire.encode(update))
            applied = self._take(update, wire.decode_applied(answer), rejected, restored=False)
        if not applied.error:
            self._unsaved.set()
        return applied

    async def refresh(self) -> None:
        """Has the engine look at its listeners again: a port that was taken may be free by now."""
        version = self._state.version
        await self.apply(Delta(base=version, version=version))

    def _take(self, update: Update, applied: Applied, rejected: tuple[Rejection, ...], *, restored: bool) -> Applied:
        if applied.error:
            self._state = replace(self._state, last_error=applied.error)
            return applied
        every_rejection = (*rejected, *applied.rejected)
        self._table.apply(update, every_rejection)
        carried = () if isinstance(update, Snapshot) else _untouched(self._state.rejected, update)
        self._state = replace(
            self._state,
            version=applied.version,
            loaded=True,
            restored=restored,
            applied_at=self._now(),
            rejected=(*carried, *every_rejection),
            listeners=applied.listeners,
            counts=dict(self._table.counts()),
            last_error="",
        )
        return Applied(version=applied.version, rejected=every_rejection, listeners=applied.listeners)

    def start_saving(self) -> None:
        """Starts the background task that keeps the state file current."""
        if self._table_file is not None and self._saver is None:
            self._saver = asyncio.create_task(self._save_on_change(self._table_file), name="table-file")

    async def _save_on_change(self, table_file: TableFile) -> None:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(_SAVE_DELAY_SECONDS)
            await self._save(table_file)

    async def _save(self, table_file: TableFile) -> None:
        async with self._saving:
            self._unsaved.clear()
            snapshot = Snapshot(version=self._state.version, resources=self.table)
            problem = ""
            try:
                await asyncio.to_thread(table_file.save, snapshot)
            except OSError as error:
                problem = f"the table cannot be saved to {table_file.path}: {error.strerror}"
                logger.warning("%s", problem)
            self._state = replace(self._state, persistence_error=problem)

    async def close(self) -> None:
        """Writes what is not yet on the disk and lets the state directory go."""
        if self._saver is not None:
            async with self._saving:  # a write that has begun is finished first
                self._saver.cancel()
            await asyncio.gather(self._saver, return_exceptions=True)
            self._saver = None
        if self._table_file is not None:
            if self._unsaved.is_set():
                await self._save(self._table_file)
            self._table_file.close()


def _untouched(rejected: tuple[Rejection, ...], delta: Delta) -> tuple[Rejection, ...]:
    """Earlier rejections of resources that ``delta`` neither replaces nor removes."""
    named = {
        (kind, key)
        for kind in wire.KINDS
        for key in (*(item.key for item in getattr(delta.upsert, kind)), *getattr(delta.remove, kind))
    }
    return tuple(item for item in rejected if (item.kind, item.key) not in named)
