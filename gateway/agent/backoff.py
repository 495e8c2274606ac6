"""Growing pauses between attempts, never the same for all gateways."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Each pause is up to twice the one before, and at least half of what it may be."""

    def __init__(self, first: float, longest: float, chance: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after another failure."""
        bound = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return bound * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0
