"""A SPIFFE Workload API on a Unix socket, by grpcio: another implementation than the one under test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from controller.ca.authority import Issued


def field(number: int, content: bytes) -> bytes:
    """One field of bytes in protobuf's wire format."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def der(pem: str) -> bytes:
    certificates = x509.load_pem_x509_certificates(pem.encode())
    return b"".join(certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates)


def response(uri: str, issued: Issued, bundle: str) -> bytes:
    """An ``X509SVIDResponse``, with fields that its reader does not know."""
    key = serialization.load_pem_private_key(issued.private_key.encode(), None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    svid = field(1, uri.encode()) + field(2, der(issued.chain)) + field(3, pkcs8) + field(4, der(bundle))
    unknown = _varint(9 << 3) + _varint(300)
    return field(1, svid + field(5, b"internal")) + field(2, b"a revocation list") + unknown


class WorkloadApi:
    """Use it as an async context; again, after its end, on the same socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.calls = 0
        self.denies = False
        self._messages: list[bytes] = []
        self._news = asyncio.Event()
        self._server: Any = None

    def send(self, message: bytes) -> None:
        """To everybody, and first to those who come later."""
        self._messages.append(message)
        self._news.set()

    async def __aenter__(self) -> WorkloadApi:
        self.socket.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        handler = grpc.unary_stream_rpc_method_handler(self._fetch)
        service = grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchX509SVID": handler})
        self._server.add_generic_rpc_handlers((service,))
        self._server.add_insecure_port(f"unix://{self.socket}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def _fetch(self, _request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.calls += 1
        if dict(context.invocation_metadata()).get("workload.spiffe.io") != "true":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing")
        if self.denies:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        sent = max(len(self._messages) - 1, 0)
        while True:
            self._news.clear()
            while sent < len(self._messages):
                sent += 1
                yield self._messages[sent - 1]
            await self._news.wait()
