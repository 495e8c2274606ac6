"""Sample backends for the quickstart: an HTTP echo, a WebSocket echo and a gRPC greeter.

One small ASGI application on hypercorn, with nothing beyond what the package needs anyway. It is
there to be looked at through the gateway, not to be copied.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES: Final = 1024 * 1024
_GREETER_PATH: Final = "/sekisho.demo.Greeter/SayHello"
_GRPC_OK: Final = b"0"
_GRPC_INVALID_ARGUMENT: Final = b"3"
_GRPC_UNIMPLEMENTED: Final = b"12"


class SampleBackend:
    """Says who it is and what it received."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        match scope["type"]:
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await self._websocket(receive, send)
            case _ if _header(scope, b"content-type").startswith(b"application/grpc"):
                await self._grpc(scope, receive, send)
            case _:
                await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        seen = {
            "backend": self._name,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "http_version": scope["http_version"],
            "headers": headers,
            "body_bytes": len(body),
        }
        answer = json.dumps(seen, indent=2).encode() + b"\n"
        answer_headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": answer_headers})
        await send({"type": "http.response.body", "body": answer})

    async def _websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{self._name} is listening"})
        while (message := await receive())["type"] == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            await send({"type": "websocket.send", "text": text} if text is not None else _bytes_message(data))

    async def _grpc(self, scope: Scope, receive: Receive, send: Send) -> None:
        frame = await _body(receive)
        if scope["path"] != _GREETER_PATH:
            await _grpc_answer(send, b"", _GRPC_UNIMPLEMENTED, b"the sample backend only knows SayHello")
            return
        try:
            name = greeting_name(frame) or "world"
        except ValueError as error:
            await _grpc_answer(send, b"", _GRPC_INVALID_ARGUMENT, str(error).encode())
            return
        await _grpc_answer(send, grpc_frame(f"Hello {name}, this is {self._name}"), _GRPC_OK, b"")


def grpc_frame(text: str) -> bytes:
    """A length-prefixed message with one string in field 1."""
    encoded = text.encode()
    message = b"\x0a" + _varint(len(encoded)) + encoded if encoded else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def greeting_name(frame: bytes) -> str:
    """The string in field 1 of the one message in ``frame``; empty where it is not set."""
    message = frame[5:]
    if len(frame) < 5 or frame[0] != 0 or int.from_bytes(frame[1:5], "big") != len(message):
        raise ValueError("expected one uncompressed message")
    if not message:
        return ""
    length, start = message[1:2], 2
    if message[:1] != b"\x0a" or not length or length[0] >= 0x80 or len(message) != start + length[0]:
        raise ValueError("expected a HelloRequest with a name of at most 127 bytes")
    return message[start:].decode("utf-8", "replace")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


async def _grpc_answer(send: Send, body: bytes, status: bytes, message: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/grpc")],
            "trailers": True,
        }
    )
    await send({"type": "http.response.body", "body": body})
    trailers = [(b"grpc-status", status), (b"grpc-message", message)]
    await send({"type": "http.response.trailers", "headers": [item for item in trailers if item[1]]})


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > MAX_BODY_BYTES:
            return bytes(body)


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name.lower() == wanted), b"")


def _bytes_message(data: bytes | None) -> Message:
    return {"type": "websocket.send", "bytes": data or b""}


class RunningBackends:
    """Sample backends on ports of loopback, in the caller's event loop.

    Where a port is taken, a free one stands in for it.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        """Binds at once; what else goes wrong than a taken port is an ``OSError`` here."""
        self._sockets = {name: _bind_or_stand_in(port) for name, port in ports.items()}
        self.ports: dict[str, int] = {name: bound.getsockname()[1] for name, bound in self._sockets.items()}
        """Where each of them listens."""
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Serves until :meth:`close`."""
        for name, bound in self._sockets.items():
            config = Config()
            config.bind = [f"fd://{bound.detach()}"]
            config.accesslog = config.errorlog = None
            config.graceful_timeout = 0.5
            config.keep_alive_max_requests = 1_000_000
            application = SampleBackend(name)
            serving = serve(application, config, shutdown_trigger=self._stop.wait, mode="asgi")  # type: ignore[arg-type]
            self._tasks.append(asyncio.create_task(serving, name=f"backend-{name}"))

    async def close(self) -> None:
        """Stops them all, started or not."""
        for bound in self._sockets.values():
            bound.close()
        self._stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _bind_or_stand_in(port: int) -> socket.socket:
    try:
        return _bind(port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _bind(0)


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound
