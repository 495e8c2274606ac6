"""A server that hands each connection to a function: for answers no proper server would give."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.ports import free_port

Handler = Callable[[socket.socket], None]


class RawBackend:
    """``handler`` owns the connection until it returns; then it is closed."""

    def __init__(self, handler: Handler, *, port: int | None = None, backlog: int = 128) -> None:
        self.port = port or free_port()
        self.connections = 0
        self._handler = handler
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=backlog)
        self._thread = threading.Thread(target=self._accept, name="raw backend", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with contextlib.suppress(OSError), connection:
            self._handler(connection)
        self._open.discard(connection)


def read_head(connection: socket.socket) -> bytes:
    """Read up to and including the blank line."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            return head
        head += data
    return head


def answers(raw: bytes, *, keep_open: float = 0.0) -> Handler:
    """A handler that answers every request on the connection with these bytes, then closes."""

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(raw)
        if keep_open:
            connection.settimeout(keep_open)
            with contextlib.suppress(TimeoutError):
                connection.recv(1)

    return handler
