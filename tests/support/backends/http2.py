"""An HTTP/2 backend, by prior knowledge or over TLS, with trailers, resets and GOAWAY in its power."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame, SettingsFrame

from tests.support.backends.exchange import (
    Orders,
    Received,
    basic_headers,
    body_length,
    body_pieces,
    trailer_fields,
)
from tests.support.backends.threaded import ThreadedServer, record_server_names, tls_facts

READ_BYTES = 64 * 1024
UNBOUNDED = 1 << 30


@dataclass
class Stream:
    """One request being read or answered."""

    received: Received
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reset: bool = False
    """The client cancelled it."""


class Http2Backend(ThreadedServer):
    """``max_streams`` is what it announces; ``resets_seen`` counts the streams that clients cancelled."""

    def __init__(
        self,
        name: str = "http2",
        *,
        tls: ssl.SSLContext | None = None,
        port: int | None = None,
        max_streams: int = 100,
        stream_window: int = 65_535,
    ) -> None:
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        super().__init__(name, tls=record_server_names(tls) if tls else None, port=port)
        self.max_streams = max_streams
        self.stream_window = stream_window
        self.resets_seen = 0
        self.refused = 0
        """Streams over the announced bound."""
        self._sessions: set[Http2Session] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, self.address, self.port, ssl=self.tls, reuse_address=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.track(writer.transport)
        session = Http2Session(self, reader, writer, self.journal.connected())
        self._sessions.add(session)
        try:
            await session.run()
        except (ConnectionError, TimeoutError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass  # the peer's end of the connection; the journal holds what came before
        finally:
            self._sessions.discard(session)
            self.forget(writer.transport)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                writer.close()

    def go_away(self) -> None:
        """Announce on every connection that no new stream is taken; open streams are finished."""

        async def announce() -> None:
            for session in list(self._sessions):
                session.go_away()

        self.call(announce())


class Http2Session:
    """One connection."""

    def __init__(
        self, backend: Http2Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._writer = writer
        self._number = number
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Condition()
        self._last_seen = 0
        self._last_taken: int | None = None
        self._pending = b""
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)

    async def run(self) -> None:
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: UNBOUNDED,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self._backend.stream_window,
            },
        )
        self._h2.initiate_connection()
        # The state machine would end the connection over one stream too many. Told of a larger bound
        # than the client is, it lets us refuse that stream alone.
        bound = SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: self._backend.max_streams})
        self._pending = bound.serialize()
        self._h2.increment_flow_control_window(1 << 20)
        self._flush()
        try:
            while data := await self._reader.read(READ_BYTES):
                for event in self._h2.receive_data(data):
                    await self._handle(event)
                self._flush()
                await self._writer.drain()
        finally:
            for task in self._tasks:
                task.cancel()

    def go_away(self) -> None:
        # Written by hand: the state machine would call the connection closed, and open streams go on.
        self._last_taken = self._last_seen
        self._writer.write(GoAwayFrame(0, last_stream_id=self._last_seen).serialize())

    async def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._open(event)
            case h2.events.DataReceived():
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.received.add(event.data or b"")
                if event.flow_controlled_length:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self._streams[event.stream_id].received.trailers += [(str(n), str(v)) for n, v in event.headers or ()]
            case h2.events.StreamEnded():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.received.complete = True
                    stream.ended.set()
            case h2.events.StreamReset():
                await self._cancelled(event.stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                async with self._room:
                    self._room.notify_all()
            case _:
                pass

    def _open(self, event: h2.events.RequestReceived) -> None:
        too_many = sum(not stream.reset for stream in self._streams.values()) >= self._backend.max_streams
        if self._last_taken is not None or too_many:
            self._backend.refused += too_many
            self._h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self._last_seen = event.stream_id
        fields = [(str(name), str(value)) for name, value in event.headers or ()]
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        received = Received(
            backend=self._backend.name,
            version="HTTP/2",
            method=pseudo[":method"],
            target=pseudo.get(":path", ""),
            authority=pseudo.get(":authority", ""),
            headers=[(name, value) for name, value in fields if not name.startswith(":")],
            connection=self._number,
            tls=tls_facts(self._writer.transport),
        )
        stream = self._streams[event.stream_id] = Stream(received)
        self._backend.journal.add(received)
        task = asyncio.get_running_loop().create_task(self._serve(event.stream_id, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancelled(self, stream_id: int) -> None:
        self._backend.resets_seen += 1
        if (stream := self._streams.get(stream_id)) is not None:
            stream.reset = True
            stream.ended.set()
        async with self._room:
            self._room.notify_all()

    async def _serve(self, stream_id: int, stream: Stream) -> None:
        try:
            orders = stream.received.orders
            if not orders.early:
                await stream.ended.wait()
            if self._backend.journal.must_fail(orders):
                orders = Orders(reset=True) if orders.failure == "reset" else Orders(status=int(orders.failure))
            if orders.delay:
                await asyncio.sleep(orders.delay)
            if not stream.reset:
                await self._answer(stream_id, stream, orders)
        except (h2.exceptions.ProtocolError, ConnectionError):
            stream.reset = True  # the stream ended under our hands; there is nobody left to tell
        finally:
            self._streams.pop(stream_id, None)

    async def _answer(self, stream_id: int, stream: Stream, orders: Orders) -> None:
        if orders.reset:
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._flush()
            return
        if orders.hints:
            self._h2.send_headers(stream_id, [(":status", "103"), ("link", "</style.css>; rel=preload")])
        report = stream.received.report()
        length = body_length(orders, report)
        bodiless = stream.received.method == "HEAD" or orders.status in {204, 304}
        headers = [(":status", str(orders.status)), *basic_headers(orders)]
        if length is not None and orders.status != 204:
            headers.append(("content-length", str(length)))
        self._h2.send_headers(stream_id, headers, end_stream=bodiless)
        self._flush()
        if bodiless:
            return
        await self._answer_body(stream_id, stream, orders, report)
        if orders.cut:
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif trailers := trailer_fields(orders):
            self._h2.send_headers(stream_id, trailers, end_stream=True)
        else:
            self._h2.end_stream(stream_id)
        self._finish(stream_id, stream, orders)

    async def _answer_body(self, stream_id: int, stream: Stream, orders: Orders, report: bytes) -> None:
        for index, piece in enumerate(body_pieces(orders, report)):
            if index and orders.pause:
                await asyncio.sleep(orders.pause)
            if orders.cut and index:
                break
            await self._send(stream_id, stream, piece[: len(piece) // 2] if orders.cut else piece)

    def _finish(self, stream_id: int, stream: Stream, orders: Orders) -> None:
        if orders.early and not stream.ended.is_set():
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        if orders.close:
            self.go_away()
        self._flush()
        if orders.vanish:
            self._writer.transport.abort()

    async def _send(self, stream_id: int, stream: Stream, piece: bytes) -> None:
        while piece:
            async with self._room:
                while (room := self._h2.local_flow_control_window(stream_id)) <= 0 and not stream.reset:
                    await self._room.wait()
            size = min(room, self._h2.max_outbound_frame_size, len(piece))
            self._h2.send_data(stream_id, piece[:size])
            piece = piece[size:]
            self._flush()
            await self._writer.drain()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send() + self._pending)
        self._pending = b""
