"""Time and chance, passed in so that tests decide them."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Protocol

Chance = Callable[[], float]
"""A number from 0 up to 1, like :func:`random.random`."""


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime.datetime:
        """The date, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> datetime.datetime:
        """The date, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


class Backoff:
    """Growing waits: each up to twice the one before, at least half of what it may be."""

    def __init__(self, first: float, longest: float, chance: Chance) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many waits since the last success."""
        return self._failures

    def next(self, longest: float | None = None) -> float:
        """Seconds to wait after another failure; ``longest`` bounds this wait alone."""
        bound = min(self._longest if longest is None else longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return bound * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0
