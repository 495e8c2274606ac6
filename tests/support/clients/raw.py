"""A client that writes bytes as given and reads answers by the letter."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.backends.exchange import Received, WithHeaders


@dataclass
class RawResponse(WithHeaders):
    """One response of HTTP/1.1."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = True

    @property
    def report(self) -> Received:
        return Received.from_report(self.body)


class RawClient:
    """One connection; every wait is bounded by ``timeout``."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 10.0,
        receive_buffer: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        connection = socket.socket()
        connection.settimeout(timeout)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect((host, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection if tls is None else tls.wrap_socket(connection, server_hostname=server_name)
        self._buffer = b""

    def send(self, *parts: bytes | str) -> None:
        self.socket.sendall(b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in parts))

    def request(self, method: str = "GET", target: str = "/", *lines: str, host: str = "localhost") -> RawResponse:
        """Send a request without a body, and read the answer."""
        self.send("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]))
        return self.response(head_only=method == "HEAD")

    def response(self, *, head_only: bool = False) -> RawResponse:
        """Read the next final response, past any interim one."""
        while True:
            response = self.head()
            if response.status == 101 or response.status >= 200:
                break
        if not head_only and response.status not in {101, 204, 304}:
            self._read_body(response)
        return response

    def head(self) -> RawResponse:
        """Read one response head, interim ones included."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0] + "  ").split(" ", 2)
        fields = [line.partition(":") for line in lines[1:] if line]
        headers = [(name, value.strip()) for name, _, value in fields]
        return RawResponse(version, int(status), reason.strip(), headers)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_some(self) -> bytes:
        """Whatever comes next; empty at the end."""
        if not self._buffer:
            return self.socket.recv(64 * 1024)
        data, self._buffer = self._buffer, b""
        return data

    def read_to_end(self) -> bytes:
        """Everything until the server closes; a reset counts as a close."""
        try:
            while data := self.socket.recv(64 * 1024):
                self._buffer += data
        except (ConnectionError, ssl.SSLEOFError):
            pass  # closed with data of ours unread
        data, self._buffer = self._buffer, b""
        return data

    def closed_within(self, seconds: float) -> bool:
        """Whether the server ends the connection in time, whatever it says before."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(64 * 1024):
                    return True
            except TimeoutError:
                return False
            except (ConnectionError, ssl.SSLError):
                return True
        return False

    def close(self) -> None:
        self.socket.close()

    def _read_body(self, response: RawResponse) -> None:
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                response.body += self.read(size)
                assert self.read(2) == b"\r\n", "a chunk does not end where it says"
            while line := self._until(b"\r\n").rstrip(b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                response.trailers.append((name, value.strip()))
        elif (length := response.header("content-length")) is not None:
            response.body = self.read(int(length))
        else:
            response.body = self.read_to_end()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        end = self._buffer.index(mark) + len(mark)
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        return data

    def _more(self) -> None:
        data = self.socket.recv(64 * 1024)
        if not data:
            raise EOFError(f"the server closed the connection; unread: {self._buffer[:200]!r}")
        self._buffer += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
