"""Calls of every protocol from within a network namespace, each with a mark that is looked for on the wire."""

from __future__ import annotations

import json
import socket

from websockets.sync.client import connect

from tests.support.backends.exchange import Received
from tests.support.backends.grpc_echo import UNARY
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient
from tests.support.namespaces import NetworkNamespace

MARK = "plaintext-mark-1d7c"
_SECONDS = 10.0


def http1(inside: NetworkNamespace, host: str, port: int, *lines: str, path: str = "/", name: str = "cart") -> Received:
    """What the application saw of a GET."""
    with inside.entered(), RawClient(port, host=host) as client:
        answer = client.request("GET", path, f"x-mark: {MARK}", *lines, host=name)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.report


def status(inside: NetworkNamespace, host: str, port: int, *, path: str = "/", name: str = "cart") -> int:
    """The status of a GET."""
    with inside.entered(), RawClient(port, host=host) as client:
        return client.request("GET", path, host=name).status


def is_refused(inside: NetworkNamespace, host: str, port: int) -> bool:
    """Whether a plain request is answered by the end of the connection and nothing else."""
    with inside.entered(), socket.create_connection((host, port), timeout=_SECONDS) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nhost: cart\r\nx-mark: {MARK}\r\n\r\n".encode())
        try:
            return connection.recv(1000) == b""
        except ConnectionResetError:
            return True


def http2(inside: NetworkNamespace, host: str, port: int, *, name: str = "cart") -> Received:
    """The same over HTTP/2 by prior knowledge, with a body."""
    with inside.entered(), Http2Client(port, address=host) as client:
        answer = client.request(host=name, method="POST", headers=[("x-mark", MARK)], body=MARK.encode())
        assert answer.status == 200, answer
        return answer.report


def grpc(inside: NetworkNamespace, host: str, port: int, *, name: str = "cart") -> dict[str, object]:
    """The answer to a unary call."""
    message = json.dumps({"text": MARK}).encode()
    headers = [("content-type", "application/grpc"), ("te", "trailers"), ("x-mark", MARK)]
    with inside.entered(), Http2Client(port, address=host) as client:
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        answer = client.request(UNARY, host=name, method="POST", headers=headers, body=framed)
    assert ("grpc-status", "0") in answer.trailers, answer
    found: dict[str, object] = json.loads(answer.body[5:])
    return found


def websocket(inside: NetworkNamespace, host: str, port: int, *, path: str = "/", name: str = "cart") -> str:
    """What a WebSocket sends back."""
    with inside.entered():
        connection = socket.create_connection((host, port), timeout=_SECONDS)
    with connect(f"ws://{name}{path}", sock=connection, proxy=None, open_timeout=_SECONDS) as opened:
        opened.send(MARK)
        return str(opened.recv(timeout=_SECONDS))


def tcp(inside: NetworkNamespace, host: str, port: int) -> bytes:
    """What comes back of bytes; empty where the connection was ended."""
    with inside.entered(), socket.create_connection((host, port), timeout=_SECONDS) as connection:
        try:
            connection.sendall(MARK.encode())
            return connection.recv(1000)
        except ConnectionError:
            return b""
