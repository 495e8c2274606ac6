"""The answer that does not end: updates and heartbeats, line by line, as fast as the gateway reads.

Owns the end of a stream: the gateway left, fell silent, reads too slowly, lost its right to the table, or
the controller stops. A connection on which nothing moves is aborted, because only that frees what it holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from controller.publish.connection import Connection
from controller.publish.stream import Stream
from controller.publish.subscriptions import Subscriptions
from gateway.routing_table.discovery import HEARTBEAT_SECONDS, SILENCE_SECONDS, Heartbeat, Trust, Welcome

_PIECE_BYTES: Final = 64 * 1024
_HEARTBEAT: Final = msgspec.json.encode(Heartbeat())

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How soon a connection is found dead."""

    heartbeat: float = HEARTBEAT_SECONDS
    """Seconds without news after which a heartbeat is sent."""
    silence: float = SILENCE_SECONDS
    """Seconds for which a gateway may say nothing, or take nothing of what it is sent."""


@dataclass(frozen=True)
class StreamRules:
    """What holds for a stream while it lasts."""

    pace: Pace
    allowed: Callable[[], bool]
    """Whether the gateway still may have this table."""
    trust: Callable[[], Trust]
    """What the controller is to be verified by now."""


class _StalledError(Exception):
    """Nothing moves any more."""


class StreamResponse(Response):
    """One stream; closes its subscription at the end."""

    def __init__(
        self,
        stream: Stream,
        welcome: Welcome,
        subscriptions: Subscriptions,
        connection: Connection,
        rules: StreamRules,
    ) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._stream = stream
        self._welcome = welcome
        self._subscriptions = subscriptions
        self._connection = connection
        self._pace = rules.pace
        self._allowed = rules.allowed
        self._trust = rules.trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Until either side ends it."""
        sending = asyncio.create_task(self._send(send), name="stream")
        leaving = asyncio.create_task(_disconnected(receive), name="stream-end")
        why = "the gateway left"
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                why = await sending
        except _StalledError as error:
            why = str(error)
            self._connection.abort()
        except Exception:
            why = "it broke"
            logger.exception("a stream broke")
            self._connection.abort()
        finally:
            sending.cancel()
            leaving.cancel()
            self._subscriptions.close(self._stream)
            await asyncio.gather(sending, leaving, return_exceptions=True)
            logger.info("stream of %s (%s) ended: %s", self._stream.gateway, self._stream.table, why)

    async def _send(self, send: Send) -> str:
        """Sends until there is a reason to end, and returns it."""
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._line(send, msgspec.json.encode(self._welcome))
        loop = asyncio.get_running_loop()
        moved = loop.time()
        trust = self._welcome.trust
        while self._goes_on():
            if loop.time() > max(self._stream.heard, moved) + self._pace.silence:
                raise _StalledError(f"it said nothing for {self._pace.silence:g} s")
            message = await self._stream.next(self._pace.heartbeat)
            if not self._goes_on():
                break
            if trust != self._trust():
                trust = self._trust()
                await self._line(send, msgspec.json.encode(trust))
            await self._line(send, message.data if message is not None else _HEARTBEAT)
            moved = loop.time() if message is not None else moved
        await self._within(send({"type": "http.response.body", "body": b"", "more_body": False}))
        return "the controller ended it" if self._stream.ended else "it has no right to its table any more"

    def _goes_on(self) -> bool:
        return not self._stream.ended and self._allowed()

    async def _line(self, send: Send, line: bytes) -> None:
        view = memoryview(line)
        for start in range(0, len(line), _PIECE_BYTES):
            piece = bytes(view[start : start + _PIECE_BYTES])
            if start + _PIECE_BYTES >= len(line):
                piece += b"\n"
            await self._within(send({"type": "http.response.body", "body": piece, "more_body": True}))

    async def _within(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._pace.silence):
                await sending
        except TimeoutError as error:
            raise _StalledError(f"it took nothing of what it was sent for {self._pace.silence:g} s") from error


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
