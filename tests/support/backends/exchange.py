"""What a backend received, and what the client asked it to do in answer.

A client steers a backend with the ``x-do`` header, a list such as ``status=503; delay=0.2``, so that
paths, queries and hosts stay free for what a test is about. The words are the fields of :class:`Orders`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Pairs = list[tuple[str, str]]

PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Orders:
    """How to answer."""

    status: int = 200
    delay: float = 0.0
    """Seconds before the answer's head."""
    size: int | None = None
    """Bytes of a generated body, instead of the JSON report."""
    pieces: int = 1
    """The body is sent in so many parts."""
    pause: float = 0.0
    """Seconds between two parts."""
    chunked: bool = False
    trailers: bool = False
    """Send the trailers ``x-checksum`` and ``x-last``."""
    events: int = 0
    """So many server-sent events instead of the report, ``pause`` apart."""
    hints: bool = False
    """Send 103 (Early Hints) first."""
    early: bool = False
    """Answer before reading the request's body, and never read it."""
    cut: bool = False
    """Close in the middle of the body."""
    reset: bool = False
    """Reset the connection (HTTP/2: the stream) instead of answering."""
    close: bool = False
    """End the connection after the answer, having said so."""
    vanish: bool = False
    """End the connection after the answer without saying so."""
    http10: bool = False
    """Answer as HTTP/1.0 does: no length, the end is the close."""
    fails: int = 0
    """The first so many requests with this ``key`` get ``failure``."""
    failure: str = "503"
    """A status, or ``reset``."""
    key: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """``header=name:value``, any number of times."""

    @classmethod
    def parse(cls, text: str) -> Orders:
        types = {item.name: item.type for item in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        headers: Pairs = []
        for word in filter(None, (part.strip() for part in text.split(";"))):
            name, _, value = word.partition("=")
            if name == "header":
                key, _, content = value.partition(":")
                headers.append((key, content))
                continue
            kind = types.get(name)
            if kind is None:
                raise ValueError(f"x-do: {name!r} is not an order")
            values[name] = _convert(str(kind), value)
        return cls(**values, headers=tuple(headers))


def _convert(kind: str, value: str) -> Any:
    if kind == "bool":
        return value != "0"
    if kind.startswith("int"):
        return int(value)
    if kind == "float":
        return float(value)
    return value


class WithHeaders:
    """Asks a message for its headers by name, in any case."""

    headers: Pairs

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The header's only value; ``None`` when absent."""
        values = self.values(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


@dataclass
class Received(WithHeaders):
    """One request as the backend saw it."""

    backend: str
    version: str
    method: str
    target: str
    authority: str
    headers: Pairs
    connection: int
    tls: dict[str, str | None] | None = None
    body_bytes: int = 0
    trailers: Pairs = field(default_factory=list)
    complete: bool = False
    """The whole body arrived."""
    reported_sha256: str = ""
    _digest: Any = field(default_factory=hashlib.sha256, repr=False)
    _kept: bytearray = field(default_factory=bytearray, repr=False)

    def add(self, data: bytes) -> None:
        self.body_bytes += len(data)
        self._digest.update(data)
        if len(self._kept) < PIECE_BYTES:
            self._kept += data

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def body_sha256(self) -> str:
        return self.reported_sha256 or str(self._digest.hexdigest())

    @property
    def body(self) -> bytes:
        """The beginning of the body."""
        return bytes(self._kept)

    @property
    def orders(self) -> Orders:
        return Orders.parse(";".join(self.values("x-do")))

    def report(self) -> bytes:
        """The JSON that an answer carries."""
        return json.dumps(
            {
                "backend": self.backend,
                "version": self.version,
                "method": self.method,
                "target": self.target,
                "path": self.path,
                "query": self.query,
                "authority": self.authority,
                "headers": self.headers,
                "connection": self.connection,
                "tls": self.tls,
                "body_bytes": self.body_bytes,
                "body_sha256": self.body_sha256,
                "trailers": self.trailers,
            }
        ).encode()

    @classmethod
    def from_report(cls, text: bytes | str) -> Received:
        """Read an answer's report back."""
        values = json.loads(text)
        return cls(
            backend=values["backend"],
            version=values["version"],
            method=values["method"],
            target=values["target"],
            authority=values["authority"],
            headers=[(name, value) for name, value in values["headers"]],
            connection=values["connection"],
            tls=values["tls"],
            body_bytes=values["body_bytes"],
            trailers=[(name, value) for name, value in values["trailers"]],
            complete=True,
            reported_sha256=values["body_sha256"],
        )


class Journal:
    """Everything a backend received, safe to read from the test's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._seen: Counter[str] = Counter()
        self.connections = 0

    def add(self, received: Received) -> None:
        with self._lock:
            self._received.append(received)

    def connected(self) -> int:
        """Count a connection, and return its number."""
        with self._lock:
            self.connections += 1
            return self.connections

    def must_fail(self, orders: Orders) -> bool:
        """Whether this request is one of the first ``fails`` of its key."""
        if not orders.fails:
            return False
        with self._lock:
            self._seen[orders.key] += 1
            return self._seen[orders.key] <= orders.fails

    @property
    def received(self) -> list[Received]:
        with self._lock:
            return list(self._received)

    def where(self, header: str, value: str) -> list[Received]:
        """Requests that carry this header value: how a test finds its own."""
        return [item for item in self.received if value in item.values(header)]

    def clear(self) -> None:
        with self._lock:
            self._received.clear()


def body_pieces(orders: Orders, report: bytes) -> Iterator[bytes]:
    """The answer's body in parts."""
    if orders.events:
        for number in range(orders.events):
            yield f"id: {number}\ndata: event {number}\n\n".encode()
        return
    if orders.size is None:
        step = -(-len(report) // orders.pieces)
        for start in range(0, len(report), step):
            yield report[start : start + step]
        return
    remaining = orders.size
    step = max(1, min(-(-orders.size // orders.pieces), PIECE_BYTES)) if orders.pieces > 1 else PIECE_BYTES
    while remaining > 0:
        yield generated(min(step, remaining))
        remaining -= min(step, remaining)


_BLOCK = (b"0123456789abcdef" * (PIECE_BYTES // 16))[:PIECE_BYTES]


def generated(size: int) -> bytes:
    """So many bytes, always the same."""
    return (_BLOCK * (size // PIECE_BYTES + 1))[:size]


def body_length(orders: Orders, report: bytes) -> int | None:
    """The length to announce; ``None`` when it is left open."""
    if orders.chunked or orders.trailers or orders.events or orders.http10:
        return None
    return len(report) if orders.size is None else orders.size


def trailer_fields(orders: Orders) -> Pairs:
    return [("x-checksum", "abc123"), ("x-last", "yes")] if orders.trailers else []


def basic_headers(orders: Orders) -> Pairs:
    kind = "text/event-stream" if orders.events else "application/json" if orders.size is None else "text/plain"
    return [("content-type", kind), *orders.headers]
