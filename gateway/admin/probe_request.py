"""A probe of the workload on the wire: a connection, and if asked for a GET of which the status alone is read.

Connections to the workload itself carry the sidecar's mark from their first packet on
(:data:`~gateway.routing_table.marks.OWN_WORKLOAD_DSCP`), which HTTP clients set too late: without it they are led back
to the sidecar, as the workload's calls to itself are.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from gateway.routing_table.marks import OWN_WORKLOAD_DSCP

_IN_PATHS: Final = "!$%&'()*+,-./:;=?@[]_~"
_FIRST_FINAL: Final = 200
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")

Header = tuple[str, str]


async def reach(address: str, port: int, *, own: bool) -> socket.socket:
    """A connection; raises ``OSError`` where nobody takes it. ``own``: it is the workload's own address."""
    loop = asyncio.get_running_loop()
    family, _, _, _, place = (await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM))[0]
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        if own:
            _mark(connection)
        await loop.sock_connect(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


async def status_of(connection: socket.socket, host: str, path: str, headers: Iterable[Header], *, tls: bool) -> int:
    """The status of a GET; the connection is closed. Raises ``OSError``, ``EOFError`` or ``ValueError``.

    As the kubelet's: redirects are not followed, and the server's certificate is not looked at.
    """
    with connection:
        head = _head(host, path, list(headers))
        if tls:
            reader, writer = await asyncio.open_connection(sock=connection, ssl=_unverified(), server_hostname="")
        else:
            reader, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(head)
            await writer.drain()
            return await _status(reader)
        finally:
            writer.transport.abort()


def _head(host: str, path: str, headers: list[Header]) -> bytes:
    named = {name.lower() for name, _ in headers}
    usual = [("host", host), ("user-agent", "kube-probe"), ("connection", "close")]
    fields = [*(field for field in usual if field[0] not in named), *headers]
    if any(mark in name + value for name, value in fields for mark in "\r\n\0"):
        raise ValueError("a header of the probe has a line break")
    target = quote(f"/{path.removeprefix('/')}", safe=_IN_PATHS)
    return "".join([f"GET {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]).encode()


async def _status(reader: asyncio.StreamReader) -> int:
    while True:
        line = await reader.readline()
        if not line:
            raise EOFError("the workload closed the connection without an answer")
        found = _STATUS_LINE.match(line)
        if found is None:
            raise ValueError("the workload's answer is not HTTP")
        if int(found[1]) >= _FIRST_FINAL:
            return int(found[1])
        while (await reader.readline()).strip():
            pass  # of an interim answer


def _mark(connection: socket.socket) -> None:
    # Beside two bits of congestion notification, which are the system's.
    value = OWN_WORKLOAD_DSCP << 2
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
    else:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
