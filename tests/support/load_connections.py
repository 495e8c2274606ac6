"""Load of connections: new ones all the time, each with a handshake of its own on the way, and some that last."""

from __future__ import annotations

import json
import re
import socket

from websockets.sync.client import connect

from tests.support.clients.raw import RawClient
from tests.support.load import LOOPBACK, LoadClient

_SECONDS = 10.0
_CERTIFICATE = re.compile(r"Hash=([0-9a-f]{64})")


class NewWebSocketLoad(LoadClient):
    """A WebSocket for each turn, whose application tells what certificate it was reached by."""

    kind = "WebSocket, new"

    def __init__(self, port: int, host: str, pause: float, address: str = LOOPBACK) -> None:
        super().__init__(pause)
        self._address = address
        self._port = port
        self._host = host
        self.certificates: set[str] = set()
        """SHA-256 of the certificates that were shown to the application's sidecar, hexadecimal."""

    def open(self) -> None:
        pass  # each turn connects

    def once(self, number: int) -> None:
        plain = RawClient(self._port, host=self._address).socket
        with connect(f"ws://{self._host}/", sock=plain, proxy=None, ping_interval=None, close_timeout=2) as websocket:
            websocket.send(str(number))
            answer = websocket.recv(timeout=_SECONDS)
            if answer != str(number):
                raise RuntimeError(f"a wrong answer: {answer!r}")
            websocket.send("report")
            headers = json.loads(websocket.recv(timeout=_SECONDS))["headers"]
        shown = [value for name, value in headers if name.lower() == "x-forwarded-client-cert"]
        self.certificates.update(_CERTIFICATE.findall(",".join(shown)))

    def close(self) -> None:
        pass  # each turn disconnects


class TcpLoad(LoadClient):
    """One connection that lasts as long as the load does, and whose bytes come back."""

    kind = "TCP"
    holds_stream = True

    def __init__(self, port: int, pause: float, address: str = LOOPBACK) -> None:
        super().__init__(pause)
        self._place = (address, port)
        self._connection: socket.socket | None = None

    def open(self) -> None:
        self._connection = socket.create_connection(self._place, timeout=_SECONDS)

    def once(self, number: int) -> None:
        assert self._connection is not None
        wanted = f"{number:08}".encode()
        self._connection.sendall(wanted)
        answer = b""
        while len(answer) < len(wanted):
            more = self._connection.recv(len(wanted) - len(answer))
            if not more:
                raise EOFError("the connection was ended")
            answer += more
        if answer != wanted:
            raise RuntimeError(f"a wrong answer: {answer!r}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class NewTcpLoad(TcpLoad):
    """A connection for each turn."""

    kind = "TCP, new"
    holds_stream = False

    def open(self) -> None:
        pass  # each turn connects

    def once(self, number: int) -> None:
        super().open()
        try:
            super().once(number)
        finally:
            super().close()

    def close(self) -> None:
        pass  # each turn disconnects
