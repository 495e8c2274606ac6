"""The Rust engine, as Python sees it: `gateway/engine/binding`.

Every argument and answer in bytes is JSON. Calls release the interpreter lock. Input that cannot be
read raises ``ValueError``; a failure of the engine itself, or a call after :meth:`Engine.close`,
raises ``RuntimeError``.
"""

from collections.abc import Sequence
from typing import Self, final

__all__ = [
    "Engine",
    "SnapshotPieces",
    "certificate_request",
    "chain_ends",
    "explain",
    "read_identity",
    "reasons",
    "regex_problem",
    "validate",
]

@final
class Engine:
    """The data plane: moves the traffic on threads of its own. Safe to call from any thread."""

    def __new__(cls, options: bytes) -> Self:
        """Start the workers: ``{"workers": 2, "access_log": "stdout" | "none" | "/path", "records": {…}}``.

        ``records``: as :class:`gateway.agent.engine.RecordOptions`.
        """

    def apply(self, update: bytes) -> bytes:
        """Apply a wire ``Snapshot`` or ``Delta``; the answer is a wire ``Applied`` with the listeners' states.

        The answer comes when every worker serves the new table.
        """

    def snapshot(self, kinds: Sequence[str]) -> SnapshotPieces:
        """Give out the table in force, of these kinds (``["routes"]``), as a wire ``Snapshot`` in pieces of 64 KiB.

        The pieces are of one moment, whatever is applied meanwhile. Private keys are inside.
        """

    def counts(self) -> bytes:
        """Count the resources of each kind in the table in force: ``{kind: count}``."""

    def explain(self, request: bytes) -> bytes:
        """Say what the table in force does with ``{"method", "url", "headers": [[name, value]], "from"}``."""

    def set_identity(self, chain_pem: str, private_key_pem: str, trust_bundle_pem: str, trust_domain: str) -> None:
        """Take over what this gateway is in the mesh, and by what it verifies peers.

        New handshakes use it; open connections stay. ``ValueError`` says what cannot be used, and the identity before
        stays in force then. The key is kept in this process alone.
        """

    def statistics(self) -> bytes:
        """Return the counters, added up over the workers."""

    def drain(self) -> None:
        """Stop accepting and ask every connection to finish; returns at once."""

    def active(self) -> int:
        """Count the connections still open."""

    def close(self) -> None:
        """End the workers, and with them every connection. Closing twice is allowed."""

@final
class SnapshotPieces:
    """An iterator over the pieces of a message."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...

def certificate_request() -> tuple[str, str]:
    """Make a key (P-256) and a request for its certificate that names nobody: the request and the key, both PEM."""

def chain_ends(chain_pem: str) -> int | None:
    """Say when the first certificate of a chain stops being valid, in seconds since the epoch."""

def read_identity(chain_pem: str, private_key_pem: str) -> bytes:
    """Read an identity: ``{"uri", "begins", "ends", "root_key"}``, times in seconds since the epoch.

    ``ValueError`` says why the chain is none (SPIFFE X.509-SVID), or that the key is another certificate's. Whether it
    is good now is not looked at. ``root_key`` is the key identifier, hexadecimal, of the root that the chain leads to.
    """

def explain(snapshot: bytes, request: bytes) -> bytes:
    """Say what a gateway with this wire ``Snapshot`` would do with a request."""

def validate(snapshot: bytes) -> bytes:
    """Return the wire ``Applied`` that a gateway would answer to this ``Snapshot``, without listener states."""

def regex_problem(pattern: str) -> str | None:
    """Say why the engine cannot use a regular expression, or ``None`` when it can."""

def reasons() -> bytes:
    """Return every reason code with its response flags: ``{code: flags}``."""
