"""A light HTTP/1.1 client on one kept connection: what it costs must not be what is measured."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 is a connection that failed."""

    status: int
    headers: dict[str, str]
    at: float
    """When, on the event loop's clock."""
    problem: str = ""


class Client:
    """Asks, and connects again by itself after a failure, which it tells as an answer."""

    def __init__(self, address: str, port: int = 80) -> None:
        self._address = address
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, host: str) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                status, headers = await self._exchange(host)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            return Answer(0, {}, loop.time(), type(error).__name__)
        return Answer(status, headers, loop.time())

    async def _exchange(self, host: str) -> tuple[int, dict[str, str]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._address, self._port)
        reader, writer = self._streams
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "content-length" not in headers:
            raise ValueError("an answer without content-length")
        await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "") == "close":
            self.close()
        return int(status.split(" ", 2)[1]), headers

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None
