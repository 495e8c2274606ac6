"""Key sets kept fresh: each location in a task of its own, as long as something wants it.

Owns when it is asked again: after as long as the answer may be kept, within bounds; after a failure sooner, and less
and less often. The last good keys stay when a fetch fails. What is new is handed on as a change of objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from controller.key_sets.fetch import Fetched, FetchError
from controller.resources import KeySet
from controller.sources import Change
from controller.store import Key

MAX_LOCATIONS: Final = 256
"""More than that many are not followed: each is a task, and somebody else's server."""

logger = logging.getLogger(__name__)


class Pace(msgspec.Struct, frozen=True):
    """Seconds between fetches."""

    usual: float = 20 * 60
    """Where the answer says nothing, and at the most."""
    least: float = 5.0
    first_retry: float = 1.0
    last_retry: float = 5 * 60


class KeySetFollower:
    """Tells ``changed`` of every location's keys. Lives on one event loop."""

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[Fetched]],
        changed: Callable[[Change], None],
        *,
        pace: Pace | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._fetch = fetch
        self._changed = changed
        self._pace = pace or Pace()
        self._chance = chance
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refused: frozenset[str] = frozenset()
        self._unanswered: set[str] = set()
        self._answered = asyncio.Event()
        self._answered.set()

    def want(self, locations: Iterable[str]) -> None:
        """Follow these and no others."""
        wanted = sorted(set(locations))
        kept = set(wanted[:MAX_LOCATIONS])
        for location in [location for location in self._tasks if location not in kept]:
            self._tasks.pop(location).cancel()
            self._unanswered.discard(location)
            self._tell(Change(deletes=(Key.of(KeySet.at(location)),), keeps_problems=True))
        for location in sorted(kept - self._tasks.keys()):
            self._unanswered.add(location)
            self._tasks[location] = asyncio.create_task(self._follow(location), name=f"keys of {location}")
        refused = frozenset(wanted[MAX_LOCATIONS:])
        for location in sorted(refused - self._refused):
            self._put(KeySet.at(location, problem=f"more than {MAX_LOCATIONS} places are named: use fewer"))
        self._refused = refused
        self._note()

    async def settle(self, seconds: float) -> None:
        """Returns when every location has been asked once, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._answered.wait()

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, location: str) -> None:
        keys, retry = "", self._pace.first_retry
        while True:
            try:
                fetched = await self._fetch(location)
            except FetchError as error:
                logger.warning("the keys at %s cannot be fetched: %s", location, error)
                self._put(KeySet.at(location, keys, str(error)))
                wait, retry = retry, min(retry * 2, self._pace.last_retry)
            else:
                keys, retry = fetched.keys, self._pace.first_retry
                self._put(KeySet.at(location, keys))
                usual = self._pace.usual if fetched.max_age is None else fetched.max_age
                wait = min(max(usual, self._pace.least), self._pace.usual)
            self._unanswered.discard(location)
            self._note()
            # Replicas and issuers are not to meet in one moment.
            await asyncio.sleep(wait * (0.75 + 0.25 * self._chance()))

    def _note(self) -> None:
        if self._unanswered:
            self._answered.clear()
        else:
            self._answered.set()

    def _put(self, key_set: KeySet) -> None:
        self._tell(Change(upserts=(key_set,), keeps_problems=True))

    def _tell(self, change: Change) -> None:
        self._changed(change)
