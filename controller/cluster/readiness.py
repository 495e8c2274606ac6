"""Whether this replica can serve gateways, and if not, what it waits for.

Owns saying so: in the readiness probe, and in the log where a person must act.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from controller.sources.kubernetes import KubernetesSource

_FIRST_WORD_SECONDS: Final = 5.0
_WORD_SECONDS: Final = 30.0

logger = logging.getLogger(__name__)


class Readiness:
    """Set by the composition root, step by step."""

    def __init__(self, source: KubernetesSource) -> None:
        self._source = source
        self.has_authority = False
        """Who gateways are can be certified."""
        self.translated = False
        """The first tables are there."""
        self.serving = False
        """Gateways can connect."""
        self.stopping = False

    def waiting_for(self) -> tuple[str, ...]:
        """Why this replica is not ready; empty when it is."""
        if self.stopping:
            return ("the stop",)
        if not self._source.synced.is_set():
            return tuple(f"a first list of {name}" for name in self._source.unsynced())
        if not self.has_authority:
            return ("the authority's Secret",)
        if not self.translated:
            return ("the first tables",)
        return () if self.serving else ("discovery",)

    async def say_what_is_awaited(self) -> None:
        """Until every kind has been read, in the log."""
        wait = _FIRST_WORD_SECONDS
        while not await self._synced_within(wait):
            kinds = self._source.unsynced()
            listed = ", ".join(kinds[:4]) + (f" and {len(kinds) - 4} more" if len(kinds) > 4 else "")
            failure = self._source.failure() or "no answer yet"
            logger.warning("not ready, and it keeps trying: %s could not be read (%s)", listed, failure)
            wait = _WORD_SECONDS

    async def _synced_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._source.synced.wait()
        except TimeoutError:
            return False
        return True
