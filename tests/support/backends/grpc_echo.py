"""A gRPC backend on grpcio: all four kinds of call, with messages that are plain JSON bytes.

Service ``echo.Echo``. The request message is a JSON object whose words steer the answer:
``count`` (messages to send), ``pause`` (seconds between them), ``delay`` (seconds before the first),
``code`` (fail with this status number, after ``count`` messages), ``details`` and ``text``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from tests.support.ports import free_port

SERVICE = "echo.Echo"
UNARY = f"/{SERVICE}/Unary"
SERVER_STREAM = f"/{SERVICE}/ServerStream"
CLIENT_STREAM = f"/{SERVICE}/ClientStream"
BIDIRECTIONAL = f"/{SERVICE}/Bidirectional"

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    return json.dumps(message).encode()


def decode(data: bytes) -> Message:
    message: Message = json.loads(data)
    return message


class GrpcBackend:
    """``calls`` holds the method and the metadata of each call that arrived.

    ``clients``: authorities of certificates that clients must show.
    """

    def __init__(
        self,
        name: str = "grpc",
        *,
        tls: tuple[bytes, bytes] | None = None,
        clients: bytes | None = None,
        port: int | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.port = port or free_port()
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.cancelled = threading.Event()
        """Set when a call ended because its client went away or its deadline passed."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=64), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((Echo(self),))
        place = f"{address}:{self.port}"
        if tls is None:
            self._server.add_insecure_port(place)
        else:
            self._server.add_secure_port(place, grpc.ssl_server_credentials([tls], clients, clients is not None))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(grace=0).wait(timeout=5)


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers any service name, so that routes by method can be tried."""

    def __init__(self, backend: GrpcBackend) -> None:
        self._backend = backend

    def service(self, handler_call_details: Any) -> Any:
        method = str(handler_call_details.method)
        metadata = {str(key): str(value) for key, value in handler_call_details.invocation_metadata}
        self._backend.calls.append((method, metadata))
        kinds: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
            "ServerStream": (grpc.unary_stream_rpc_method_handler, self._server_stream),
            "ClientStream": (grpc.stream_unary_rpc_method_handler, self._client_stream),
            "Bidirectional": (grpc.stream_stream_rpc_method_handler, self._bidirectional),
        }
        kind, behaviour = kinds.get(method.rpartition("/")[2], (grpc.unary_unary_rpc_method_handler, self._unary))
        return kind(
            lambda request, context: behaviour(method, metadata, request, context),
            request_deserializer=decode,
            response_serializer=encode,
        )

    def _unary(self, method: str, metadata: dict[str, str], request: Message, context: Any) -> Message:
        self._begin(request, context)
        self._finish(request, context)
        return {"backend": self._backend.name, "method": method, "metadata": metadata, "echo": request}

    def _server_stream(self, method: str, _: dict[str, str], request: Message, context: Any) -> Iterator[Message]:
        self._begin(request, context)
        for number in range(request.get("count", 3)):
            if number:
                time.sleep(request.get("pause", 0))
            if not context.is_active():
                return
            yield {"backend": self._backend.name, "method": method, "number": number}
        self._finish(request, context)

    def _client_stream(self, method: str, _: dict[str, str], requests: Iterator[Message], context: Any) -> Message:
        texts = []
        last: Message = {}
        for last in requests:
            texts.append(last.get("text", ""))
        self._begin(last, context)
        self._finish(last, context)
        return {"backend": self._backend.name, "method": method, "texts": texts}

    def _bidirectional(
        self, method: str, _: dict[str, str], requests: Iterator[Message], context: Any
    ) -> Iterator[Message]:
        last: Message = {}
        self._begin(last, context)
        for last in requests:
            yield {"backend": self._backend.name, "method": method, "text": last.get("text", "")}
        self._finish(last, context)

    def _begin(self, request: Message, context: Any) -> None:
        context.add_callback(lambda: None if context.code() is not None else self._backend.cancelled.set())
        context.send_initial_metadata((("x-initial", self._backend.name),))
        if delay := request.get("delay", 0):
            deadline = time.monotonic() + delay
            while time.monotonic() < deadline and context.is_active():
                time.sleep(0.01)
            if not context.is_active():
                self._backend.cancelled.set()

    def _finish(self, request: Message, context: Any) -> None:
        context.set_trailing_metadata((("x-trailing", self._backend.name), ("x-bytes-bin", b"\x00\x01\xff")))
        if code := request.get("code", 0):
            status = next(item for item in grpc.StatusCode if item.value[0] == code)
            context.abort(status, request.get("details", "as ordered"))
