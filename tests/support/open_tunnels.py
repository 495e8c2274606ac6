"""Many tunnels through a forward proxy, held open by one event loop that runs where the proxy can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

_ANSWER_SECONDS = 10.0
ASK = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n"


async def connect_status(port: int, target: str) -> int:
    """The status that CONNECT is answered with; 0 where there is no answer."""
    try:
        tunnel = await asyncio.wait_for(_connect(port, target), _ANSWER_SECONDS)
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return 0
    status, _, writer = tunnel
    writer.close()
    return status


async def plain_status(port: int, request: bytes) -> int:
    """The status of a request in the clear; 0 where there is no answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), _ANSWER_SECONDS)
        writer.close()
        return int(line.split(b" ", 2)[1]) if line.startswith(b"HTTP/1.1 ") else 0
    except (OSError, TimeoutError):
        return 0


async def _connect(port: int, target: str) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), reader, writer


@dataclass
class OpenTunnel:
    """One tunnel, in the clear to port 80 or in TLS to port 443 of a host."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed_at: float | None = None
    """When (monotonic) its end was noticed."""
    answers: int = 0

    @classmethod
    async def open(cls, port: int, host: str, context: ssl.SSLContext | None) -> OpenTunnel:
        status, reader, writer = await _connect(port, f"{host}:{443 if context else 80}")
        assert status == 200, f"CONNECT {host} is answered with {status}"
        if context is not None:
            await writer.start_tls(context, server_hostname=host)
        return cls(host, reader, writer)

    async def ask(self) -> bool:
        """One request and its answer; false where the tunnel has ended."""
        try:
            self.writer.write(ASK % self.host.encode())
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), _ANSWER_SECONDS)
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.closed_at = self.closed_at or time.monotonic()
            return False
        self.answers += 1
        return True

    async def ask_until_it_ends(self, pause: float) -> None:
        while await self.ask() and not await self._ends_within(pause):
            pass

    async def _ends_within(self, seconds: float) -> bool:
        try:
            more = await asyncio.wait_for(self.reader.read(1), seconds)
        except TimeoutError:
            return False
        except OSError:
            more = b""
        assert more == b"", "nobody asked for that"
        self.closed_at = time.monotonic()
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.close()


async def open_all(
    port: int, hosts: Sequence[tuple[str, ssl.SSLContext | None]], at_once: int = 50
) -> list[OpenTunnel]:
    """Tunnels in the order of the hosts."""
    gate = asyncio.Semaphore(at_once)

    async def one(host: str, context: ssl.SSLContext | None) -> OpenTunnel:
        async with gate:
            return await OpenTunnel.open(port, host, context)

    return list(await asyncio.gather(*(one(host, context) for host, context in hosts)))


async def all_answer(tunnels: Sequence[OpenTunnel]) -> int:
    """How many of them carry one more request and its answer."""
    return sum(await asyncio.gather(*(tunnel.ask() for tunnel in tunnels)))
