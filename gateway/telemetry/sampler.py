"""A short history of the counters, read only while somebody looks.

Each look takes a reading, at most one for each ``spacing``; nothing runs in the background, so an
unwatched gateway pays nothing. Rates cover roughly the last ``window`` seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

from gateway.telemetry.rates import Rates, rates
from gateway.telemetry.statistics import Statistics


class Sampler:
    """Shared by all viewers of the admin page, on whatever thread they look."""

    def __init__(
        self,
        read: Callable[[], Statistics],
        monotonic: Callable[[], float],
        *,
        window: float = 5.0,
        spacing: float = 0.9,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._window = window
        self._spacing = spacing
        self._readings: deque[tuple[float, Statistics]] = deque()
        self._one_at_a_time = Lock()

    def look(self) -> tuple[Statistics, Rates]:
        """The newest reading, and the rates up to it."""
        with self._one_at_a_time:
            now = self._monotonic()
            if not self._readings or now - self._readings[-1][0] >= self._spacing:
                self._readings.append((now, self._read()))
            # One reading older than the window stays as the base; a base from long ago would flatten everything.
            while len(self._readings) > 2 and self._readings[1][0] <= now - self._window:
                self._readings.popleft()
            newest_at, newest = self._readings[-1]
            base_at, base = self._readings[0]
        return newest, rates(base, newest, newest_at - base_at)
