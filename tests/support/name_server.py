"""A name server on loopback: it answers questions for IPv4 addresses of a few names, over UDP."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self


class NameServer:
    """Serves while it is entered. A name without an address is one that does not exist."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.questions: list[str] = []
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty datagram wakes the thread; closing a socket does not.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(timeout=5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            with contextlib.suppress(IndexError, UnicodeDecodeError, OSError):
                self._socket.sendto(self.answer(question), client)

    def answer(self, question: bytes) -> bytes:
        """The answer to one message (RFC 1035)."""
        name, end = asked_for(question)
        self.questions.append(name)
        address = self._places.get(name, "")
        is_ipv4 = question[end - 4 : end - 2] == b"\0\x01"
        records = [socket.inet_aton(address)] if address and is_ipv4 else []
        header = question[:2] + struct.pack("!HHHHH", 0x8180 if address else 0x8183, 1, len(records), 0, 0)
        return (
            header
            + question[12:end]
            + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + one for one in records)
        )


def asked_for(question: bytes) -> tuple[str, int]:
    """The name in a question, and where the question ends."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii"))
        at += 1 + question[at]
    return ".".join(labels).lower(), at + 5
