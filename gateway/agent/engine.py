"""What the rest of the gateway asks of the engine.

The engine itself is ``gateway._engine`` (Rust), loaded in one place, :mod:`gateway.agent.compiled`.
Everything else depends on this protocol alone, so that a test can put a stand-in in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec


class Engine(Protocol):
    """Moves the traffic. All documents are JSON; see ``gateway/_engine.pyi``."""

    def apply(self, update: bytes, /) -> bytes:
        """Applies a snapshot or delta; answers with ``Applied``. Blocks, without the interpreter lock."""
        ...

    def snapshot(self, kinds: Sequence[str], /) -> Iterable[bytes]:
        """The table in force, of these kinds, as the pieces of a wire snapshot. Private keys are inside."""
        ...

    def counts(self) -> bytes:
        """How many resources of each kind the table in force has."""
        ...

    def explain(self, request: bytes, /) -> bytes:
        """Which route takes a request, on the live table, and why."""
        ...

    def set_identity(self, chain_pem: str, private_key_pem: str, trust_bundle_pem: str, trust_domain: str, /) -> None:
        """What this gateway is in the mesh from the next handshake on; ``ValueError`` where it cannot be used."""
        ...

    def statistics(self) -> bytes:
        """Counters, added up over the workers."""
        ...

    def drain(self) -> None:
        """Stops accepting and asks every connection to end. Returns at once."""
        ...

    def active(self) -> int:
        """Connections that are still open."""
        ...

    def close(self) -> None:
        """Ends everything at once."""
        ...


class CollectorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A collector that takes OTLP over HTTP. Paths of files; empty where there are none."""

    url: str = ""
    """``http://host:port`` or ``https://host:port``; empty: no collector."""
    authorities: str = ""
    """Empty: the operating system's."""
    certificate: str = ""
    private_key: str = ""


class RecordOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where records of egress decisions go, besides the access log."""

    file: str = ""
    """Empty: no file."""
    file_bytes: int = 0
    """How large a file becomes before it is put aside."""
    files: int = 0
    """How many there are at most, the current one included."""
    collector: CollectorOptions = CollectorOptions()


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine is started; nothing of it changes afterwards."""

    workers: int
    access_log: str = "stdout"
    """``stdout``, ``none`` or the path of a file."""
    records: RecordOptions = RecordOptions()
    name_server_authorities: str = ""
    """A file of PEM that name servers with TLS are verified by; empty: the operating system's authorities."""
