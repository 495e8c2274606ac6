"""A passage to the API server that a test closes, and cuts in the middle of what is being said.

It knows no TLS: it passes bytes on. To cut within an event, the event must be longer than a record of TLS, so that
what came before the cut can be read.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_CHUNK = 4096
_CONNECT_SECONDS = 5.0


class ApiProxy:
    """Listens at ``address``; use as a context manager."""

    def __init__(self, address: tuple[str, int], server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(address, backlog=128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._limit: int | None = None
        self.cuts = 0
        """Connections that were cut since the start."""
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True, name="api proxy").start()

    def cut(self) -> int:
        """Ends every connection now; how many there were."""
        with self._lock:
            connections, self._open = self._open, set()
            self.cuts += len(connections) // 2
        for connection in connections:
            _end(connection)
        return len(connections) // 2

    def close(self) -> None:
        """From now on nothing passes, until :meth:`open`."""
        self._closed = True
        self.cut()

    def open(self) -> None:
        """Connections pass again."""
        self._closed = False

    def cut_after(self, length: int) -> None:
        """The next connection over which so many bytes come at once from the server is cut within them."""
        self._limit = length

    @property
    def armed(self) -> bool:
        """Whether a cut by :meth:`cut_after` is still to come."""
        return self._limit is not None

    def __enter__(self) -> ApiProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # The listener is closed.
            self.accepted += 1
            if self._closed:
                _end(client)
                continue
            try:
                server = socket.create_connection(self._server, timeout=_CONNECT_SECONDS)
            except OSError:
                _end(client)  # The API server is gone, and that is what its client sees.
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            for source, to, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, to, counts), daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, counts: bool) -> None:
        burst, last = 0, 0.0
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                now = time.monotonic()
                burst = burst + len(data) if now - last < 0.1 else len(data)
                last = now
                to.sendall(data)
                if counts and self._limit is not None and burst >= self._limit:
                    self._limit = None
                    self.cuts += 1
                    break
        with self._lock:
            self._open -= {source, to}
        _end(source)
        _end(to)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
