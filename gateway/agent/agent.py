"""The agent: takes updates one at a time, has the engine apply them, and answers for the result.

Owns the version of the table this gateway holds; the table itself is the engine's, and there is no copy of it.
It does not know where updates come from, and it never decides about a resource: the engine's answer is the
answer. After updates the table is written to the state directory in the background, so that a burst costs one
write and an acknowledgement does not wait for a disk; that of a policy does: what was taken away from somebody must
not come back with a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from gateway.agent.engine import Engine
from gateway.agent.persistence import TableFile
from gateway.agent.state import AgentState
from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Delta, Resources, Update

_SAVE_DELAY_SECONDS = 0.2
_SAVE_SHARE = 50
"""Between two writes there is as many times the time that one takes: a large table under changes is written every few
seconds."""

logger = logging.getLogger(__name__)


class Agent:
    """The one writer of the engine's table."""

    def __init__(self, engine: Engine, table_file: TableFile | None, now: Callable[[], float]) -> None:
        self._engine = engine
        self._table_file = table_file
        self._now = now
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
        """The table in force, asked of the engine: for a person's question, not for each change.

        Holds private keys: whoever shows it redacts it first.
        """
        return self.resources(wire.KINDS)

    def resources(self, kinds: Iterable[str]) -> Resources:
        """The same, of these kinds alone."""
        return wire.decode_snapshot(self._engine.snapshot(tuple(kinds)))

    def restore(self) -> str:
        """Serves the last good table of the previous run; returns what to tell people, or nothing.

        Runs before anything else starts, so it blocks.
        """
        if self._table_file is None:
            return ""
        loaded = self._table_file.load()
        if loaded.snapshot is None:
            return loaded.problem
        applied = wire.decode_applied(self._engine.apply(loaded.snapshot))
        self._take(wire.outline(loaded.snapshot), applied, restored=True)
        if not applied.error:
            return ""
        return self._table_file.set_aside(f"the engine refuses it: {applied.error}")

    async def apply(self, update: Update) -> Applied:
        """Applies one update and returns the engine's answer: ACK, or NACK with what was refused."""
        return await self.apply_encoded(wire.encode(update))

    async def apply_encoded(self, update: bytes) -> Applied:
        """The same for an update as it is on the wire. Only the engine reads it whole."""
        async with self._one_at_a_time:
            outline = wire.outline(update)
            answer = await asyncio.to_thread(self._engine.apply, update)
            guarded = self._guards()
            applied = self._take(outline, wire.decode_applied(answer), restored=False)
        if applied.error:
            return applied
        self._unsaved.set()
        named = outline.named if outline is not None else None
        touched = (
            any(kind in wire.POLICY_KINDS for kind, _ in named) if named is not None else guarded or self._guards()
        )
        if touched and self._table_file is not None and self._saver is not None:
            await self._save(self._table_file)
        return applied

    def _guards(self) -> bool:
        """Whether the table has policies."""
        return any(self._state.counts.get(kind) for kind in wire.POLICY_KINDS)

    async def refresh(self) -> None:
        """Has the engine look at its listeners again: a port that was taken may be free by now."""
        version = self._state.version
        await self.apply(Delta(base=version, version=version))

    def _take(self, outline: wire.Outline | None, applied: Applied, *, restored: bool) -> Applied:
        if applied.error:
            self._state = replace(self._state, last_error=applied.error)
            return applied
        named = outline.named if outline is not None else None
        # Earlier rejections of resources that a delta neither replaces nor removes stay.
        carried = () if named is None else (it for it in self._state.rejected if (it.kind, it.key) not in named)
        self._state = replace(
            self._state,
            version=applied.version,
            loaded=True,
            restored=restored,
            applied_at=self._now(),
            rejected=(*carried, *applied.rejected),
            listeners=applied.listeners,
            counts=msgspec.json.decode(self._engine.counts(), type=dict[str, int]),
            last_error="",
        )
        return applied

    def start_saving(self) -> None:
        """Starts the background task that keeps the state file current."""
        if self._table_file is not None and self._saver is None:
            self._saver = asyncio.create_task(self._save_on_change(self._table_file), name="table-file")

    async def _save_on_change(self, table_file: TableFile) -> None:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(_SAVE_DELAY_SECONDS)
            began = time.monotonic()
            await self._save(table_file)
            await asyncio.sleep(_SAVE_SHARE * (time.monotonic() - began))

    async def _save(self, table_file: TableFile) -> None:
        async with self._saving:
            self._unsaved.clear()
            problem = ""
            try:
                await asyncio.to_thread(lambda: table_file.save(self._engine.snapshot(tuple(wire.KINDS))))
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
