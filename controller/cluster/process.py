"""`sekisho controller` as a process: its log, its signals, its memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import Final

from controller.cluster.app import ClusterController
from controller.config import ClusterSettings, ProcessIdentity

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_COLLECT_EVERY: Final = 50_000
"""New objects after which they are looked at for cycles. Nearly all that a controller makes stays, and has none: with
Python's own number, a third of the time in which it takes thousands of objects over would go into looking."""


def run_controller(settings: ClusterSettings) -> int:
    """Runs `sekisho controller` to its end; the exit status."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("sekisho.admin").setLevel(logging.WARNING)
    # Not on uvloop: there, what aiohttp closes after a handshake that the API server cut may be another's socket.
    with asyncio.Runner() as runner:
        return runner.run(_run(settings))


async def _run(settings: ClusterSettings) -> int:
    gc.set_threshold(_COLLECT_EVERY)
    controller = ClusterController(settings, ProcessIdentity.of())
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, controller.stop)
    freezing = asyncio.create_task(_freeze_after(controller.read))
    try:
        await controller.run()
    finally:
        freezing.cancel()
    return 0


async def _freeze_after(read: asyncio.Event) -> None:
    """What was made until then mostly stays: the collector need not look at it again, which takes long."""
    await read.wait()
    gc.collect()
    gc.freeze()
