"""Changes that arrive together are handled together.

Owns the waiting: a batch opens with a first item and closes once nothing more has arrived for a
moment, or after a bound. It must not know what the items are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

Item = TypeVar("Item")

QUIET_SECONDS = 0.010
LONGEST_SECONDS = 0.100


async def batches(
    queue: asyncio.Queue[Item], *, quiet: float = QUIET_SECONDS, longest: float = LONGEST_SECONDS
) -> AsyncIterator[list[Item]]:
    """Never ends; each batch holds at least one item, in the order of arrival."""
    loop = asyncio.get_running_loop()
    while True:
        batch = [await queue.get()]
        closes = loop.time() + longest
        while (left := min(quiet, closes - loop.time())) > 0:
            try:
                # Not wait_for, which forgets a cancellation that meets an item (before Python 3.12).
                async with asyncio.timeout(left):
                    batch.append(await queue.get())
            except TimeoutError:
                break
        yield batch
