"""A gateway with ways out, in the namespace of an :class:`~tests.support.outside.Outside`."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.support.clients.http2 import Http2Client
from tests.support.manifests import Manifest, gateway, gateway_class, manifest, write
from tests.support.outside import NAME_SERVER, Outside
from tests.support.processes import ManagedProcess
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually

T = TypeVar("T")
PROXY, TLS, HTTP = 3128, 443, 80


def egress_policy(name: str, *rules: Manifest, **spec: Any) -> Manifest:
    targets = [{"name": "edge"}]
    return manifest("sekisho.dev/v1alpha1", "EgressPolicy", name, spec={"targetRefs": targets, "rules": rules, **spec})


def ways_out(*more: Manifest) -> list[Manifest]:
    """A Gateway with all three ways out, that resolves names by the outside's server."""
    listeners = (
        {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "tls", "port": TLS, "protocol": "sekisho.dev/EgressTLS"},
        {"name": "http", "port": HTTP, "protocol": "sekisho.dev/EgressHTTP"},
    )
    parameters = manifest(
        "sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}
    )
    return [gateway_class(), gateway(*listeners, parameters="edge"), parameters, *more]


class EgressGateway:
    """`sekisho up` in a namespace. Entering waits until it listens."""

    def __init__(
        self,
        outside: Outside,
        directory: Path,
        manifests: list[Manifest],
        *,
        access_log: str = "",
        options: Sequence[str | Path] = (),
    ) -> None:
        self.outside = outside
        self.log = directory / "access.log"
        self._manifests = directory / "manifests"
        self._manifests.mkdir(parents=True)
        self.write(manifests)
        up = sekisho_command(
            "up", "-f", self._manifests, "--admin", "127.0.0.1:9901", "--state-dir", directory / "state",
            "--workers", "1", "--access-log", access_log or self.log, *options,
        )  # fmt: skip
        self.process = ManagedProcess(["ip", "netns", "exec", outside.inside.name, *up], directory / "output.log")

    def write(self, manifests: list[Manifest], name: str = "main") -> None:
        """Create or replace a file of the folder that is watched."""
        write(self._manifests / f"{name}.yaml", manifests)

    def __enter__(self) -> EgressGateway:
        self.process.__enter__()
        eventually(self._listens, within=30, what="the proxy listens")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.__exit__(None, None, None)

    def _listens(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self, port: int = PROXY, source: str = "") -> socket.socket:
        return self.outside.inside.connect("127.0.0.1", port, source)

    def ask(self, request: bytes, port: int = PROXY) -> bytes:
        """Send bytes and read the head and what comes with it, or what there is until the end."""
        with self.connect(port) as client:
            client.sendall(request)
            return read_answer(client)

    def tunnel(self, target: str, headers: str = "", source: str = "") -> tuple[socket.socket, bytes]:
        client = self.connect(source=source)
        client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n".encode(_encoding(target)))
        return client, read_answer(client)

    def http2(self, port: int = PROXY) -> Http2Client:
        """A client of HTTP/2 by prior knowledge."""
        return Http2Client(over=self.connect(port))

    def admin(self, path: str) -> str:
        """What the admin endpoint says."""
        with self.connect(9901) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        return answer.decode()

    def records(self) -> list[dict[str, Any]]:
        """Decision records so far."""
        lines = whole_lines(self.log.read_text()) if self.log.exists() else []
        return [line for line in map(json.loads, lines) if line.get("record", "").startswith("egress_")]

    def decision(self, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """Wait for a decision with these fields, behind so many records."""

        def found() -> list[dict[str, Any]]:
            kept = [record for record in self.records()[after:] if record["record"] == "egress_decision"]
            return [record for record in kept if all(record[name] == value for name, value in wanted.items())]

        return eventually(found, within=10, what=f"a decision with {wanted}")[-1]


def whole_lines(text: str) -> list[str]:
    """Of a file that is being written: its last line may be there in part."""
    return text.rpartition("\n")[0].splitlines()


def _encoding(target: str) -> str:
    """Bytes of their own for what is one byte each, as clients that know of no other text send it."""
    return "latin-1" if all(ord(character) < 256 for character in target) else "utf-8"


def read_answer(client: socket.socket) -> bytes:
    data = b""
    try:
        while b"\r\n\r\n" not in data and (piece := client.recv(65536)):
            data += piece
    except (TimeoutError, ConnectionError):
        return data
    return data


def status_of(answer: bytes) -> int:
    """0 where the connection was closed without an answer."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def over_tls_in_stream(client: Http2Client, stream: int, name: str, authority: Path) -> bytes:
    """A request over TLS through a tunnel of HTTP/2; empty where the tunnel ended before the answer."""
    context = ssl.create_default_context(cafile=str(authority))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = context.wrap_bio(incoming, outgoing, server_hostname=name)
    response = client.responses[stream]

    taken = 0

    def received() -> bool:
        return len(response.body) > taken or response.done or client.closed

    def until_done(step: Callable[[], T]) -> T | None:
        nonlocal taken
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                done = None
            client.send(stream, outgoing.read())
            if done is not None:
                return done
            client.pump(received)
            if len(response.body) == taken:
                return None
            incoming.write(response.body[taken:])
            taken = len(response.body)

    def shaken() -> bool:
        inner.do_handshake()
        return True

    if until_done(shaken) is None:
        return b""
    inner.write(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    return until_done(lambda: inner.read(65536)) or b""


def over_tls(client: socket.socket, name: str, authority: Path) -> bytes:
    """A request over TLS through an open tunnel, or straight."""
    context = ssl.create_default_context(cafile=str(authority))
    with context.wrap_socket(client, server_hostname=name) as stream:
        stream.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        return stream.recv(65536)
