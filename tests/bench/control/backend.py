"""The backend, a process of its own: each answer names the port that was asked and repeats the marks.

python -m tests.bench.control.backend PORT...
"""

from __future__ import annotations

import asyncio
import re
import sys

from tests.bench.control.objects import BACKEND_MARK, MARK

_MARKS = re.compile(rf"\r\n({MARK}|{BACKEND_MARK}): ?([^\r]*)".encode(), re.IGNORECASE)


class Answers(asyncio.Protocol):
    """HTTP/1.1 without content in requests, which is all that the benchmark sends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._pending = (self._pending + data).split(b"\r\n\r\n")
        for head in heads:
            marks = b"".join(b"%s: %s\r\n" % (found[1].lower(), found[2]) for found in _MARKS.finditer(head))
            assert self._transport is not None
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nx-port: %d\r\n%scontent-length: 2\r\n\r\nok" % (self._port, marks)
            )


async def serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(lambda port=port: Answers(port), "0.0.0.0", port, backlog=1024)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve([int(port) for port in sys.argv[1:]]))
