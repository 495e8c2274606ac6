"""Statuses written to the API server, each only when it says something else than stands there.

Owns when a status is written: while this process leads, at a bounded rate, and again after a conflict with
what was read anew. Must not decide what a status says, nor which part of it is ours (``status_merge``). Against
somebody who keeps undoing what it writes it waits longer each time: it repairs, and does not fight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from controller.kube.cache import Seen, seen_in
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Chance, Clock
from controller.kube.kinds import FIELD_MANAGER, path_of
from controller.kube.rate import RateLimit
from controller.kube.status_merge import merge
from controller.store import Key
from controller.translate.statuses import Status

_TRIES: Final = 5
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriterSettings:
    """Bounds on writing; times in seconds."""

    controller_name: str
    per_second: float = 200.0
    burst: int = 400
    workers: int = 8
    first_wait: float = 0.1
    longest_wait: float = 30.0
    quarrel: float = 60.0
    """Two repairs of one object within this time are a quarrel."""


class Wanted(msgspec.Struct, frozen=True):
    """A status for the object of that uid; ``status`` None: nothing of ours may be left."""

    uid: str
    status: Status | None


class _Entry:
    """What is wanted of one object, and how writing it went."""

    __slots__ = ("backoff", "busy", "repaired_at", "wanted", "written")

    def __init__(self, wanted: Wanted, backoff: Backoff) -> None:
        self.wanted = wanted
        self.backoff = backoff
        self.busy = False
        self.written = False
        self.repaired_at: float | None = None


class StatusWriter:
    """Brings statuses to what is wanted. Use :meth:`run` as a task."""

    def __init__(
        self,
        api: Api,
        settings: WriterSettings,
        seen: Callable[[Key], Seen | None],
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        """``seen`` tells what the API server last told of an object: without it each write would read first."""
        self._api = api
        self._settings = settings
        self._seen = seen
        self._clock = clock
        self._chance = chance
        self._entries: dict[Key, _Entry] = {}
        self._due: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._leads = False
        self._busy = 0
        self._later: set[asyncio.Task[None]] = set()
        self._rate = RateLimit(settings.per_second, settings.burst, clock)
        self.writes = 0
        """How many were written since the start."""

    @property
    def idle(self) -> bool:
        """Whether everything that is wanted stands, as far as is known."""
        return not (self._due or self._busy or self._later)

    def lead(self, leads: bool) -> None:
        """Begin to write, everything first, or stop."""
        self._leads = leads
        if leads:
            self.look_again(self._entries)

    def want(self, changes: Mapping[Key, Wanted | None]) -> None:
        """From now on these are wanted; None: the object is no concern of ours, or gone."""
        for key, wanted in changes.items():
            entry = self._entries.get(key)
            if wanted is None:
                self._entries.pop(key, None)
                self._due.pop(key, None)
            elif entry is None:
                self._entries[key] = _Entry(wanted, self._new_backoff())
                self._put(key)
            elif entry.wanted != wanted:
                entry.wanted, entry.written = wanted, False
                self._put(key)

    def look_again(self, keys: Iterable[Key]) -> None:
        """These objects may have another status than before."""
        for key in list(keys):
            if key in self._entries:
                self._put(key)

    async def run(self) -> None:
        """Without end."""
        workers = [asyncio.create_task(self._work(), name="statuses") for _ in range(self._settings.workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in (*workers, *self._later):
                task.cancel()
            await asyncio.gather(*workers, *self._later, return_exceptions=True)

    # --- the queue ------------------------------------------------------------------------------

    def _put(self, key: Key) -> None:
        if self._leads:
            self._due[key] = None
            self._wake.set()

    async def _work(self) -> None:
        while True:
            key = next((key for key in self._due if not self._entries[key].busy), None)
            if key is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            del self._due[key]
            entry = self._entries[key]
            if not self._leads:
                continue
            entry.busy = True
            self._busy += 1
            try:
                wait = await self._bring(key, entry)
            except Exception:
                logger.exception("the status of %s could not be written", key)
                wait = entry.backoff.next()
            finally:
                entry.busy = False
                self._busy -= 1
                self._wake.set()
            # Where nothing has to be written nothing is waited for, and a new leader looks at thousands.
            await asyncio.sleep(0)
            if wait:
                self._postpone(key, wait)

    def _postpone(self, key: Key, seconds: float) -> None:
        async def later() -> None:
            await self._clock.sleep(seconds)
            self.look_again([key])

        task = asyncio.create_task(later(), name=f"status of {key}")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- one object -----------------------------------------------------------------------------

    async def _bring(self, key: Key, entry: _Entry) -> float:
        """Writes what is wanted if it does not stand; the seconds until another try, 0 for none."""
        seen = self._seen(key)
        for _ in range(_TRIES):
            wanted = entry.wanted
            try:
                seen = seen or await self._read(key)
                wait = await self._bring_from(key, entry, seen)
            except ApiError as error:
                if error.status == 409:
                    seen = None
                    continue
                return 0.0 if self._vanished(key, error) else self._failed(key, entry, error)
            except UnreachableError as error:
                return self._failed(key, entry, error)
            if wait or entry.wanted == wanted:
                return wait
            seen = None
        return entry.backoff.next()

    async def _bring_from(self, key: Key, entry: _Entry, seen: Seen) -> float:
        fields = self._difference(key, entry.wanted, seen)
        if fields is None:
            return 0.0
        quarrel = self._quarrel(entry)
        if quarrel:
            return quarrel
        await self._rate.wait()
        if self._leads:
            await self._write(key, seen, fields)
            self._repaired(entry)
        return 0.0

    def _difference(self, key: Key, wanted: Wanted, seen: Seen) -> dict[str, Any] | None:
        if wanted.uid and seen.uid != wanted.uid:
            # Another object of the same name: what was worked out for the one before does not speak of it.
            return None
        current = msgspec.json.decode(seen.status) if seen.status else {}
        return merge(
            current if isinstance(current, dict) else {},
            wanted.status,
            key.kind,
            controller_name=self._settings.controller_name,
            now=self._clock.now().strftime(_TIME),
        )

    async def _read(self, key: Key) -> Seen:
        known = self._seen(key)
        return seen_in(await self._api.get(path_of(key, known.served if known else "")))

    async def _write(self, key: Key, seen: Seen, fields: dict[str, Any]) -> None:
        # The lists are replaced whole, so the version guards the entries of others in them.
        body = {"metadata": {"resourceVersion": seen.version}, "status": fields}
        await self._api.merge(f"{path_of(key, seen.served)}/status", body, {"fieldManager": FIELD_MANAGER})
        self.writes += 1

    def _quarrel(self, entry: _Entry) -> float:
        """Seconds to hold back, where somebody undid what was written a moment ago."""
        if not entry.written or entry.repaired_at is None:
            return 0.0
        since = self._clock.monotonic() - entry.repaired_at
        if since >= self._settings.quarrel:
            entry.backoff.reset()
            return 0.0
        bound = min(self._settings.longest_wait, self._settings.first_wait * 2.0 ** min(entry.backoff.failures, 30))
        return max(0.0, bound - since)

    def _repaired(self, entry: _Entry) -> None:
        if entry.written:
            entry.backoff.next()
        else:
            entry.backoff.reset()
        entry.written = True
        entry.repaired_at = self._clock.monotonic()

    def _vanished(self, key: Key, error: ApiError) -> bool:
        """Whether the object is gone: a server that starts answers 404 for a moment for all of a kind."""
        return error.status == 404 and self._seen(key) is None

    def _failed(self, key: Key, entry: _Entry, error: ApiError | UnreachableError) -> float:
        wait = entry.backoff.next()
        if isinstance(error, ApiError):
            if error.status in (403, 422):
                logger.warning("the status of %s is refused: %s", key, error)
                return self._settings.longest_wait
            wait = max(wait, error.retry_after or 0.0)
        logger.info("the status of %s: %s; tried again in %.1f s", key, error, wait)
        return wait

    def _new_backoff(self) -> Backoff:
        return Backoff(self._settings.first_wait, self._settings.longest_wait, self._chance)
