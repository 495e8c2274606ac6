"""Steady load on a Gateway of the one-machine cluster while something goes wrong around it.

Requests of HTTP/1.1 on a kept connection and on new ones, of HTTP/2, and one long stream. Nothing is tried twice; a
connection that says of itself that it ends is left for a new one. What each test sent is remembered, and shown when
the tests have ended.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.certificates import shared_authority
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient
from tests.support.load import Http2Load, LoadClient, Tally, WebSocketLoad, added_up

_JOIN_SECONDS = 30.0
_SETTLE_SECONDS = 0.5
_PAUSE_SECONDS = 0.03


@dataclass(frozen=True)
class Target:
    """Where load goes."""

    address: str
    host: str
    port: int = 80
    tls: bool = False
    """By a certificate of the tests' own authority."""

    def connect(self) -> RawClient:
        return RawClient(self.port, host=self.address, tls=self.context(), server_name=self.host if self.tls else None)

    def context(self) -> ssl.SSLContext | None:
        """Each connection has its own: protocols are set on it."""
        return shared_authority().client_context() if self.tls else None


class Ledger:
    """What was sent in each test of this session."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def note(self, what: str, tallies: Sequence[Tally]) -> None:
        for tally in tallies:
            self._lines.append(
                f"{what:<60} {tally.name:<28} {tally.requests:>6} requests, {tally.failed} failed,"
                f" {tally.dropped} of {tally.streams} streams dropped"
            )

    def say(self, text: str) -> None:
        self._lines.append(text)

    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)


LEDGER = Ledger()


class _Http1(LoadClient):
    kind = "HTTP/1.1, kept connection"
    kept = True

    def __init__(self, target: Target) -> None:
        super().__init__(_PAUSE_SECONDS)
        self._target = target
        self._client: RawClient | None = None

    def open(self) -> None:
        if self.kept:
            self._client = self._connected()

    def once(self, number: int) -> None:
        client = self._client or self._connected()
        try:
            answer = client.request("GET", f"/{number}", host=self._target.host)
        finally:
            if not self.kept:
                client.close()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {answer.body[:100]!r}")
        if self.kept and (answer.header("connection") or "").lower() == "close":
            self.close()
            self.open()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> RawClient:
        return self._target.connect()


class _NewHttp1(_Http1):
    kind = "HTTP/1.1, new connections"
    kept = False


class _Http2(Http2Load):
    def __init__(self, target: Target) -> None:
        super().__init__(target.port, target.host, _PAUSE_SECONDS)
        self._target = target

    def open(self) -> None:
        target = self._target
        name = target.host if target.tls else None
        self._client = Http2Client(target.port, address=target.address, tls=target.context(), server_name=name)

    def once(self, number: int) -> None:
        """A connection that was asked to end (GOAWAY without an error) is left when its streams have their answers."""
        assert self._client is not None
        streams = [self._client.open(f"/{number}/{part}", host=self._target.host) for part in range(self.batch)]
        for stream in streams:
            answer = self._client.finished(stream)
            if answer.status != 200 or not answer.ended:
                raise RuntimeError(f"status {answer.status}, reset {answer.reset_code}, GOAWAY {self._client.goaway}")
            del self._client.responses[stream]
        self.tally.requests += self.batch - 1
        if self._client.goaway:
            raise RuntimeError(f"GOAWAY {self._client.goaway}")
        if self._client.goaway == 0:
            self.close()
            self.open()


class _Stream(WebSocketLoad):
    kind = "WebSocket"

    def __init__(self, target: Target) -> None:
        super().__init__(target.port, target.host, _PAUSE_SECONDS)
        self._target = target

    def open(self) -> None:
        target = self._target
        self._connecting = connect(
            f"ws://{target.host}/ws",
            sock=target.connect().socket,
            origin=Origin(f"http://{target.host}"),
            proxy=None,
            ping_interval=None,
            close_timeout=2,
        )
        self._websocket = self._connecting.__enter__()


@contextmanager
def steady_load(what: str, target: Target, *, streams: bool = True) -> Iterator[Sequence[LoadClient]]:
    """Load around a fault, which must not fail one request nor drop the stream. ``what`` names it in the ledger."""
    clients: list[LoadClient] = [_Http1(target), _NewHttp1(target), _Http2(target)]
    if streams and not target.tls:
        clients.append(_Stream(target))
    for client in clients:
        client.start()
    time.sleep(_SETTLE_SECONDS)
    try:
        yield clients
        time.sleep(_SETTLE_SECONDS)
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join(timeout=_JOIN_SECONDS)
        tallies = added_up(clients)
        LEDGER.note(what, tallies)
    for tally in tallies:
        assert tally.requests > 0, f"{tally.name}: no request was made: {tally.errors}"
        assert (tally.failed, tally.dropped) == (0, 0), f"{tally.name}, {tally.requests} requests: {tally.errors}"
