"""A bound on requests: so many a second, and so many at once after a rest."""

from __future__ import annotations

from controller.kube.clock import Clock


class RateLimit:
    """A bucket of tokens that fills up steadily."""

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock.monotonic()

    async def wait(self) -> None:
        """Until one more request may be made."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        self._tokens -= 1
        if self._tokens < 0:
            # Taken in advance, so that those who wait are served in the order in which they came.
            await self._clock.sleep(-self._tokens / self._per_second)
