"""Steady load of every protocol, which counts what fails.

Each client is a thread that goes on until it is told to stop. Nothing is tried twice: an error of any kind,
a status other than 200, a stream that ends by itself, each counts.
"""

from __future__ import annotations

import itertools
import json
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from websockets.sync.client import connect

from tests.support.backends.grpc_echo import BIDIRECTIONAL, UNARY, decode, encode
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient

LOOPBACK = "127.0.0.1"
KEPT_ERRORS = 20


@dataclass
class Tally:
    """What a kind of client did. Counters of single threads are added up when read."""

    name: str
    requests: int = 0
    failed: int = 0
    streams: int = 0
    dropped: int = 0
    errors: list[str] = field(default_factory=list)

    def note(self, error: str) -> None:
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(f"{time.strftime('%H:%M:%S')} {error}")


class LoadClient(ABC, threading.Thread):
    """One client; :meth:`once` is one request, or one turn of a long stream."""

    kind = ""
    holds_stream = False
    """Each client holds one long stream; ending it early is a drop."""

    def __init__(self, pause: float) -> None:
        super().__init__(daemon=True, name=self.kind)
        self.tally = Tally(self.kind)
        self._pause = pause
        self._stopping = threading.Event()

    @abstractmethod
    def open(self) -> None:
        """Connect."""

    @abstractmethod
    def once(self, number: int) -> None:
        """One request; raises when it fails."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect."""

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        numbers = itertools.count()
        while not self._stopping.is_set():
            try:
                self.open()
                self.tally.streams += self.holds_stream
                self._use(numbers)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is being counted
                if self.holds_stream:
                    self.tally.dropped += 1
                else:
                    self.tally.failed += 1
                self.tally.note(f"{self.kind}: {type(error).__name__}: {error}")
                self._stopping.wait(0.2)
            finally:
                self.close()

    def _use(self, numbers: Iterator[int]) -> None:
        while not self._stopping.is_set():
            self.once(next(numbers))
            self.tally.requests += 1
            self._stopping.wait(self._pause)


class Http1Load(LoadClient):
    """Requests one after the other on a connection that is kept."""

    kind = "HTTP/1.1"

    def __init__(self, port: int, host: str, pause: float, address: str = LOOPBACK) -> None:
        super().__init__(pause)
        self._address = address
        self._port = port
        self._host = host
        self._client: RawClient | None = None

    def open(self) -> None:
        self._client = RawClient(self._port, host=self._address)

    def once(self, number: int) -> None:
        assert self._client is not None
        if number % 5 == 4:
            body = "x" * 3000
            self._client.send(f"POST /{number} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: 3000\r\n\r\n{body}")
            answer = self._client.response()
        else:
            answer = self._client.request("GET", f"/{number}", host=self._host)
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {answer.body[:100]!r}")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class NewTlsLoad(LoadClient):
    """A new TLS connection for each request, so that certificates are seen as they change."""

    kind = "HTTP/1.1, new TLS"

    def __init__(self, port: int, host: str, context: ssl.SSLContext, pause: float) -> None:
        super().__init__(pause)
        self._port = port
        self._host = host
        self._context = context

    def open(self) -> None:
        pass  # each request connects

    def once(self, number: int) -> None:
        with RawClient(self._port, tls=self._context, server_name=self._host) as client:
            answer = client.request("GET", f"/{number}", host=self._host)
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {answer.body[:100]!r}")

    def close(self) -> None:
        pass  # each request disconnects


class Http2Load(LoadClient):
    """Batches of streams on one connection that is kept."""

    kind = "HTTP/2"
    batch = 5

    def __init__(
        self, port: int, host: str, pause: float, tls: ssl.SSLContext | None = None, address: str = LOOPBACK
    ) -> None:
        super().__init__(pause)
        self._address = address
        self._port = port
        self._host = host
        self._tls = tls
        self._client: Http2Client | None = None

    def open(self) -> None:
        name = self._host if self._tls else None
        self._client = Http2Client(self._port, address=self._address, tls=self._tls, server_name=name)

    def once(self, number: int) -> None:
        assert self._client is not None
        streams = [self._client.open(f"/{number}/{part}", host=self._host) for part in range(self.batch)]
        for stream in streams:
            answer = self._client.finished(stream)
            if answer.status != 200 or not answer.ended:
                raise RuntimeError(f"status {answer.status}, reset {answer.reset_code}, GOAWAY {self._client.goaway}")
            del self._client.responses[stream]
        if self._client.goaway is not None:
            raise RuntimeError(f"GOAWAY {self._client.goaway}")
        self.tally.requests += self.batch - 1

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class GrpcLoad(LoadClient):
    """Unary calls on one channel."""

    kind = "gRPC unary"

    def __init__(self, port: int, host: str, pause: float, address: str = LOOPBACK) -> None:
        super().__init__(pause)
        self._address = address
        self._options = [
            ("grpc.default_authority", host),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ]
        self._port = port
        self._channel: grpc.Channel | None = None
        self._call: Any = None

    def open(self) -> None:
        self._channel = grpc.insecure_channel(f"{self._address}:{self._port}", options=self._options)
        self._call = self._channel.unary_unary(UNARY, encode, decode)

    def once(self, number: int) -> None:
        answer = self._call({"text": str(number)}, timeout=10)
        if answer["echo"]["text"] != str(number):
            raise RuntimeError(f"a wrong answer: {json.dumps(answer)[:100]}")

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


class GrpcStreamLoad(GrpcLoad):
    """One bidirectional call that lasts as long as the load does."""

    kind = "gRPC stream"
    holds_stream = True

    def open(self) -> None:
        super().open()
        assert self._channel is not None
        self._outgoing: list[str] = []
        self._more = threading.Condition()
        self._over = False
        self._stream = self._channel.stream_stream(BIDIRECTIONAL, encode, decode)(self._messages())

    def once(self, number: int) -> None:
        with self._more:
            self._outgoing.append(str(number))
            self._more.notify()
        answer = next(self._stream)
        if answer["text"] != str(number):
            raise RuntimeError(f"a wrong answer: {answer}")

    def close(self) -> None:
        with self._more:
            self._over = True
            self._more.notify()
        self._stream.cancel()
        super().close()

    def _messages(self) -> Iterator[dict[str, str]]:
        while True:
            with self._more:
                while not self._outgoing and not self._over:
                    self._more.wait()
                if self._over:
                    return
                text = self._outgoing.pop(0)
            yield {"text": text}


class WebSocketLoad(LoadClient):
    """One WebSocket that lasts as long as the load does."""

    kind = "WebSocket"
    holds_stream = True

    def __init__(self, port: int, host: str, pause: float, address: str = LOOPBACK) -> None:
        super().__init__(pause)
        self._address = address
        self._port = port
        self._host = host

    def open(self) -> None:
        plain = RawClient(self._port, host=self._address).socket
        self._connecting = connect(f"ws://{self._host}/", sock=plain, proxy=None, ping_interval=None, close_timeout=2)
        self._websocket = self._connecting.__enter__()

    def once(self, number: int) -> None:
        self._websocket.send(str(number))
        answer = self._websocket.recv(timeout=10)
        if answer != str(number):
            raise RuntimeError(f"a wrong answer: {answer!r}")

    def close(self) -> None:
        self._connecting.__exit__(None, None, None)


def added_up(clients: Iterable[LoadClient]) -> list[Tally]:
    """One tally for each kind of client."""
    return summed(client.tally for client in clients)


def summed(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally for each name."""
    sums: dict[str, Tally] = {}
    for one in tallies:
        tally = sums.setdefault(one.name, Tally(one.name))
        tally.requests += one.requests
        tally.failed += one.failed
        tally.streams += one.streams
        tally.dropped += one.dropped
        tally.errors += one.errors
    return list(sums.values())


def describe(tallies: Iterable[Tally]) -> Iterator[str]:
    """A line for each, with its errors below."""
    for tally in tallies:
        held = f"; {tally.streams} streams, {tally.dropped} dropped" if tally.streams else ""
        yield f"  {tally.name:18} {tally.requests:6} requests, {tally.failed} failed{held}"
        yield from (f"    {error}" for error in tally.errors)
