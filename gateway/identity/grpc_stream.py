"""One gRPC call whose answers do not end, over a Unix socket: HTTP/2 without TLS, on the h2 package.

Owns the frames of the call and their bounds. It does not know what a message means.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

_CONNECT_SECONDS: Final = 5.0
_READ_BYTES: Final = 65_536
_PREFIX: Final = struct.Struct(">BI")
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one message."""


class GrpcError(Exception):
    """The call failed, or ended; ``code`` is the gRPC status, None where there was none."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Call:
    """What is called."""

    socket: Path
    method: str
    """``/package.Service/Method``."""
    metadata: Mapping[str, str]
    message: bytes = b""


async def answers(call: Call) -> AsyncIterator[bytes]:
    """Every message of the answer; raises :class:`GrpcError` at its end, whatever the end is."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(call.socket))
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no connection in time"
        raise GrpcError(f"{call.socket} cannot be reached: {reason}") from error
    try:
        exchange = _Exchange(call)
        writer.write(exchange.begin())
        while True:
            await writer.drain()
            received = await reader.read(_READ_BYTES)
            if not received:
                raise GrpcError(f"{call.socket} closed the connection")
            for message in exchange.receive(received):
                yield message
            writer.write(exchange.to_send())
            exchange.check()
    except (OSError, ProtocolError) as error:
        raise GrpcError(f"the connection to {call.socket} broke: {error}") from error
    finally:
        writer.close()


class _Exchange:
    """The call without its socket."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._pending = bytearray()
        self._status: int | None = None
        self._ended = ""

    def begin(self) -> bytes:
        self._http.initiate_connection()
        self._http.increment_flow_control_window(MOST_BYTES)
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", self._call.method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *self._call.metadata.items(),
        ]
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, headers)
        self._http.send_data(stream, _PREFIX.pack(0, len(self._call.message)) + self._call.message, end_stream=True)
        return self._http.data_to_send()

    def to_send(self) -> bytes:
        return self._http.data_to_send()

    def receive(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        for event in self._http.receive_data(data):
            found += self._take(event)
        return found

    def check(self) -> None:
        """Raises where the call is over."""
        if self._ended:
            raise GrpcError(self._ended, self._status)

    def _take(self, event: Event) -> list[bytes]:
        match event:
            case ResponseReceived() | TrailersReceived():
                self._headers({str(name): str(value) for name, value in event.headers or ()})
            case DataReceived():
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 1)
                self._pending += event.data or b""
                return self._messages()
            case StreamEnded():
                self._ended = self._ended or "the call was ended"
            case StreamReset() | ConnectionTerminated():
                self._ended = self._ended or f"the call was broken off (HTTP/2 error {event.error_code})"
            case _:
                pass
        return []

    def _headers(self, headers: Mapping[str, str]) -> None:
        if headers.get(":status", "200") != "200":
            self._ended = f"the answer is HTTP {headers[':status']}, and no gRPC"
        status = headers.get("grpc-status", "")
        if status.isdecimal():
            self._status = int(status)
            self._ended = f"gRPC status {status} {headers.get('grpc-message', '')[:200]}".strip()

    def _messages(self) -> list[bytes]:
        found = []
        while len(self._pending) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(self._pending)
            if compressed or length > MOST_BYTES:
                raise GrpcError("the answer is compressed, which was not asked for" if compressed else "it is too long")
            end = _PREFIX.size + length
            if len(self._pending) < end:
                break
            found.append(bytes(self._pending[_PREFIX.size : end]))
            del self._pending[:end]
        return found
