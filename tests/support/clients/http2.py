"""An HTTP/2 client driven by hand: one connection, any frame, every event visible."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import Frame

from tests.support.backends.exchange import Pairs, Received, WithHeaders

LARGE_WINDOW = 1 << 24
FRAME_HEAD_BYTES = 9
GOAWAY_TYPE = 7


@dataclass
class Http2Response(WithHeaders):
    """What came back on one stream."""

    status: int = 0
    interim: list[int] = field(default_factory=list)
    headers: Pairs = field(default_factory=list)
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    ended: bool = False
    reset_code: int | None = None

    @property
    def done(self) -> bool:
        return self.ended or self.reset_code is not None

    @property
    def report(self) -> Received:
        return Received.from_report(self.body)


class Http2Client:
    """Responses are kept by stream; ``goaway`` holds the server's error code once it has said so.

    ``over``: a connection that is open already, instead of one to ``port``.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        over: socket.socket | None = None,
        address: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 10.0,
        stream_window: int = LARGE_WINDOW,
        automatic_credit: bool = True,
    ) -> None:
        self.timeout = timeout
        self.responses: dict[int, Http2Response] = {}
        self.goaway: int | None = None
        self.goaway_last_stream: int | None = None
        self.closed = False
        self._unread = b""
        self.pings_answered = 0
        self._automatic_credit = automatic_credit
        connection = over or socket.create_connection((address, port), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
            wrapped = tls.wrap_socket(connection, server_hostname=server_name)
            assert wrapped.selected_alpn_protocol() == "h2", "the server did not choose h2"
            connection = wrapped
        self.socket = connection
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self.connection = h2.connection.H2Connection(config)
        self.connection.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self.connection.initiate_connection()
        if automatic_credit:
            self.connection.increment_flow_control_window(LARGE_WINDOW)
        self.flush()

    def request(
        self,
        path: str = "/",
        *,
        host: str = "localhost",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> Http2Response:
        """Send a whole request, and wait for its whole answer."""
        stream = self.open(path, host=host, method=method, headers=headers, end=body is None and not trailers)
        if body is not None:
            self.send(stream, body, end=not trailers)
        if trailers:
            self.connection.send_headers(stream, list(trailers), end_stream=True)
            self.flush()
        return self.finished(stream)

    def open(
        self,
        path: str = "/",
        *,
        host: str = "localhost",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        end: bool = True,
        scheme: str | None = None,
    ) -> int:
        """Send a request's head, and return its stream."""
        scheme = scheme or ("https" if isinstance(self.socket, ssl.SSLSocket) else "http")
        pseudo = [(":method", method), (":scheme", scheme), (":authority", host), (":path", path)]
        return self.open_with([*pseudo, *headers], end=end)

    def connect(self, authority: str, *more: tuple[str, str]) -> int:
        """Ask for a tunnel (RFC 9113, 8.5), and return its stream."""
        return self.open_with([(":method", "CONNECT"), (":authority", authority), *more], end=False)

    def open_with(self, fields: Sequence[tuple[str, str]], *, end: bool = True) -> int:
        """Send a head of these fields alone, and return its stream."""
        stream = self.connection.get_next_available_stream_id()
        self.responses[stream] = Http2Response()
        self.connection.send_headers(stream, list(fields), end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send body bytes, as far as the server's window lets us at a time."""
        while data:
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if room <= 0:
                self.pump(lambda: self.connection.local_flow_control_window(stream) > 0)
                continue
            self.connection.send_data(stream, data[:room])
            data = data[room:]
            self.flush()
        if end:
            self.connection.end_stream(stream)
            self.flush()

    def reset(self, stream: int, code: int = 8) -> None:
        self.connection.reset_stream(stream, code)
        self.flush()

    def send_frame(self, frame: Frame) -> None:
        """Send a frame that the state machine knows nothing of."""
        self.socket.sendall(frame.serialize())

    def flush(self) -> None:
        if data := self.connection.data_to_send():
            self.socket.sendall(data)

    def finished(self, stream: int) -> Http2Response:
        """Wait until the stream's answer is whole, or the stream is reset, or the connection ends."""
        response = self.responses[stream]
        self.pump(lambda: response.done or self.closed)
        assert response.done, f"the connection ended before stream {stream} did (GOAWAY {self.goaway})"
        return response

    def head_of(self, stream: int) -> Http2Response:
        """Wait for the final status."""
        response = self.responses[stream]
        self.pump(lambda: response.status != 0 or response.done or self.closed)
        return response

    def pump(self, until: Callable[[], bool], within: float | None = None) -> None:
        """Read and handle events until the condition holds; a ``TimeoutError`` when it does not in time."""
        deadline = time.monotonic() + (self.timeout if within is None else within)
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the server did not do in time what was waited for")
            self.socket.settimeout(left)
            self._receive()

    def closed_within(self, seconds: float) -> bool:
        """Whether the server ends the connection in time."""
        with contextlib.suppress(TimeoutError):
            self.pump(lambda: self.closed, within=seconds)
        return self.closed

    def _receive(self) -> None:
        try:
            data = self.socket.recv(64 * 1024)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.closed = True
            return
        self._unread += data
        for frame in self._whole_frames():
            if frame[3] == GOAWAY_TYPE:
                # The state machine would call the connection closed; a graceful one goes on.
                self.goaway_last_stream, self.goaway = struct.unpack(">LL", frame[9:17])
                continue
            for event in self.connection.receive_data(frame):
                self._handle(event)
        with contextlib.suppress(OSError):
            self.flush()

    def _whole_frames(self) -> Iterator[bytes]:
        while len(self._unread) >= FRAME_HEAD_BYTES:
            size = FRAME_HEAD_BYTES + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < size:
                return
            frame, self._unread = self._unread[:size], self._unread[size:]
            yield frame

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                self.responses[event.stream_id].interim.append(_status(event.headers))
            case h2.events.ResponseReceived():
                response = self.responses[event.stream_id]
                response.status = _status(event.headers)
                response.headers = [(str(n), str(v)) for n, v in event.headers or () if not str(n).startswith(":")]
            case h2.events.DataReceived():
                self.responses[event.stream_id].body += event.data or b""
                if self._automatic_credit and event.flow_controlled_length:
                    with contextlib.suppress(h2.exceptions.StreamClosedError):
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.responses[event.stream_id].trailers = [(str(n), str(v)) for n, v in event.headers or ()]
            case h2.events.StreamEnded():
                self.responses[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.responses[event.stream_id].reset_code = int(event.error_code or 0)
            case h2.events.PingAckReceived():
                self.pings_answered += 1
            case _:
                pass

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _status(headers: Sequence[tuple[object, object]] | None) -> int:
    return next(int(str(value)) for name, value in headers or () if str(name) == ":status")
