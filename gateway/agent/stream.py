"""What a controller says on a stream, line by line, and when it was heard last.

Owns the bounds on a line and on silence. It does not know what a line means beyond the protocol's own words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpcore
import msgspec

from gateway.routing_table.discovery import MAX_UPDATE_BYTES, Heartbeat, Trust, Welcome

_TRUST = b'{"type":"trust"'
_LONGEST_WORD = 200
"""A heartbeat is short; an update is not looked at twice."""


class StreamEndedError(Exception):
    """The stream is over; the text says why."""


class ControllerStream:
    """One answer that does not end by itself."""

    def __init__(self, response: httpcore.Response) -> None:
        self._lines = self._read(response)
        self._heard = time.monotonic()

    async def welcome(self) -> Welcome:
        """The first line."""
        async for line in self._lines:
            try:
                return msgspec.json.decode(line, type=Welcome)
            except msgspec.DecodeError as error:
                raise StreamEndedError(f"the controller speaks another protocol: {error}") from error
        raise StreamEndedError("the controller ended the stream")

    async def updates(self) -> AsyncIterator[bytes | Trust | None]:
        """Every further line: an update, another trust bundle, or None for a heartbeat."""
        async for line in self._lines:
            yield _trust(line) or (None if _is_heartbeat(line) else line)

    async def silence(self, seconds: float) -> None:
        """Ends when nothing came for so long, not even a heartbeat: nobody may have said that a connection is dead."""
        while (left := self._heard + seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - it is time that is waited for
            await asyncio.sleep(left)
        raise StreamEndedError(f"the controller said nothing for {seconds:g} s")

    async def _read(self, response: httpcore.Response) -> AsyncIterator[bytes]:
        pending = bytearray()
        async for piece in response.aiter_stream():
            self._heard = time.monotonic()
            searched = len(pending)
            pending += piece
            while (end := pending.find(b"\n", searched)) >= 0:
                # By a view: a slice would be one more copy of what may be a whole table.
                with memoryview(pending) as view:
                    line = bytes(view[:end])
                del pending[: end + 1]
                yield line
                searched = 0
            if len(pending) > MAX_UPDATE_BYTES:
                raise StreamEndedError(f"the controller sent an update of more than {MAX_UPDATE_BYTES} bytes")


def _trust(line: bytes) -> Trust | None:
    if not line.startswith(_TRUST):
        return None
    try:
        return msgspec.json.decode(line, type=Trust)
    except msgspec.DecodeError as error:
        raise StreamEndedError(f"the controller speaks another protocol: {error}") from error


def _is_heartbeat(line: bytes) -> bool:
    if len(line) > _LONGEST_WORD:
        return False
    try:
        msgspec.json.decode(line, type=Heartbeat)
    except msgspec.DecodeError:
        return False
    return True
