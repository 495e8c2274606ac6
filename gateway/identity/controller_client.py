"""HTTP/2 to a controller, as little of it as a gateway needs.

Stands on httpcore alone: what httpx adds to it (cookies, redirects, proxies, encodings) is of no use here, and would be
a tenth of this process's memory.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self

import httpcore

WAY_ERRORS: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
    OSError,
)
"""What keeps a request from being answered at all."""


class Answer:
    """An answer that has come whole."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status = status
        self.text = content.decode(errors="replace")

    @property
    def refusal(self) -> str:
        """What the controller said, where it is not what was hoped for."""
        try:
            text = str(json.loads(self.text)["error"])
        except (ValueError, KeyError, TypeError):
            text = self.text[:200]
        return f"{self.status} {text}".strip()


class ControllerClient:
    """One connection, opened by the first request. An asynchronous context: its end closes it."""

    def __init__(self, controller: str, context: ssl.SSLContext, *, connect: float, read: float) -> None:
        """``controller``: ``https://HOST:PORT``. ``connect`` and ``read`` are bounds in seconds."""
        self._controller = controller
        self._timeouts = {"connect": connect, "read": read, "write": connect, "pool": connect}
        self._pool = httpcore.AsyncConnectionPool(ssl_context=context, http1=False, http2=True)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.__aexit__()

    async def post(self, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Raises one of :data:`WAY_ERRORS` where there is no answer."""
        async with self.stream(path, content, headers) as response:
            return await whole(response)

    @asynccontextmanager
    async def stream(
        self, path: str, content: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpcore.Response]:
        """The same for an answer that is read as it comes."""
        fields = [*(headers or {}).items(), ("content-length", str(len(content)))]
        encoded = [(name.encode(), value.encode()) for name, value in fields]
        extensions = {"timeout": self._timeouts}
        address = self._controller + path
        async with self._pool.stream(
            "POST", address, headers=encoded, content=content, extensions=extensions
        ) as response:
            yield response


async def whole(response: httpcore.Response) -> Answer:
    """The rest of an answer."""
    return Answer(response.status, await response.aread())


def why(error: Exception) -> str:
    """An error of the connection in words, with the likely cause."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{text}: maybe the mounted trust bundle is not the controller's"
    if isinstance(error, httpcore.RemoteProtocolError) and "ConnectionTerminated" in text:
        return "it ended the connection"
    if isinstance(error, httpcore.ReadError | httpcore.WriteError) and not str(error):
        # TLS 1.3: a client hears only after its handshake that its certificate was refused.
        return "it ended the connection: maybe its root did not sign this gateway's certificate"
    if isinstance(error, httpcore.ConnectTimeout):
        return "no connection in time: maybe a NetworkPolicy blocks the controller's port"
    return text
