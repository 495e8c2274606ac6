"""An HTTP/1.1 backend that reports what it received and answers as it is ordered to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct

from tests.support.backends.exchange import (
    Orders,
    Pairs,
    Received,
    basic_headers,
    body_length,
    body_pieces,
    trailer_fields,
)
from tests.support.backends.threaded import ThreadedServer, record_server_names, tls_facts

HEAD_LIMIT = 256 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Http1Backend(ThreadedServer):
    """Reads exactly what is on the wire, so that tests see what the gateway wrote."""

    def __init__(self, name: str = "http1", *, tls: ssl.SSLContext | None = None, port: int | None = None) -> None:
        super().__init__(name, tls=record_server_names(tls) if tls else None, port=port)
        self.raw_heads: list[bytes] = []
        """Request heads as they came."""

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(
            self._serve, self.address, self.port, ssl=self.tls, limit=HEAD_LIMIT, reuse_address=True
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.track(writer.transport)
        number = self.journal.connected()
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            pass  # the peer's end of the connection; the journal holds what came before
        finally:
            self.forget(writer.transport)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Serve one request; whether the connection goes on."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        self.raw_heads.append(head)
        received = self._parse(head, writer, number)
        self.journal.add(received)
        orders = received.orders
        if not orders.early:
            if (received.header("expect") or "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._read_body(reader, received)
        if self.journal.must_fail(orders):
            orders = Orders(reset=True) if orders.failure == "reset" else Orders(status=int(orders.failure))
        if orders.delay:
            await asyncio.sleep(orders.delay)
        if orders.reset:
            _reset(writer)
            return False
        await self._answer(writer, received, orders)
        last = orders.cut or orders.close or orders.vanish or orders.http10 or orders.early
        return not last and (received.header("connection") or "").lower() != "close"

    def _parse(self, head: bytes, writer: asyncio.StreamWriter, number: int) -> Received:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, version = first.split(" ", 2)
        headers: Pairs = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        authority = next((value for name, value in headers if name.lower() == "host"), "")
        return Received(
            backend=self.name,
            version=version,
            method=method,
            target=target,
            authority=authority,
            headers=headers,
            connection=number,
            tls=tls_facts(writer.transport),
        )

    async def _read_body(self, reader: asyncio.StreamReader, received: Received) -> None:
        if (received.header("transfer-encoding") or "").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await _read_into(reader, received, size)
                await reader.readexactly(2)
            while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                name, _, value = line.decode("latin-1").partition(":")
                received.trailers.append((name, value.strip()))
        else:
            await _read_into(reader, received, int(received.header("content-length") or 0))
        received.complete = True

    async def _answer(self, writer: asyncio.StreamWriter, received: Received, orders: Orders) -> None:
        if orders.hints:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
            await writer.drain()
        report = received.report()
        bodiless = received.method == "HEAD" or orders.status in {204, 304}
        length = body_length(orders, report)
        headers = basic_headers(orders)
        chunked = length is None and not orders.http10
        if chunked:
            headers.append(("transfer-encoding", "chunked"))
        elif length is not None and orders.status != 204:
            headers.append(("content-length", str(length)))
        if trailers := trailer_fields(orders):
            headers.append(("trailer", ", ".join(name for name, _ in trailers)))
        if orders.close:
            headers.append(("connection", "close"))
        version = "HTTP/1.0" if orders.http10 else "HTTP/1.1"
        lines = [f"{version} {orders.status} Because", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        if not bodiless:
            await self._answer_body(writer, orders, report, chunked=chunked)
            if orders.cut:
                writer.transport.abort()
                return
            if chunked:
                last = "".join(f"{name}: {value}\r\n" for name, value in trailers)
                writer.write(f"0\r\n{last}\r\n".encode())
        await writer.drain()

    async def _answer_body(self, writer: asyncio.StreamWriter, orders: Orders, report: bytes, *, chunked: bool) -> None:
        for index, piece in enumerate(body_pieces(orders, report)):
            if index and orders.pause:
                await asyncio.sleep(orders.pause)
            if orders.cut and index:
                break
            part = piece[: len(piece) // 2] if orders.cut else piece
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await writer.drain()


async def _read_into(reader: asyncio.StreamReader, received: Received, size: int) -> None:
    while size:
        data = await reader.read(min(size, HEAD_LIMIT))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        received.add(data)
        size -= len(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
