"""An engine without a process around it, and plain backends, for connections that carry no requests."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway import _engine
from gateway.routing_table import model, wire
from tests.support.certificates import Issued
from tests.support.ports import free_port
from tests.support.waiting import eventually

GATEWAY = "default/edge"
SECONDS = 10.0
RouteKind = Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]


def listener(
    name: str, protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"], port: int, **more: Any
) -> model.Listener:
    return model.Listener(
        key=f"{GATEWAY}/{name}",
        gateway=GATEWAY,
        address="127.0.0.1",
        port=port,
        bind_port=port,
        protocol=protocol,
        **more,
    )


def route(kind: RouteKind, name: str, listeners: str, *backends: model.WeightedBackend, **more: Any) -> model.Route:
    """``listeners`` holds names of listeners, each with an optional ``=hostname``."""
    attachments = tuple(
        model.Attachment(listener=f"{GATEWAY}/{word.partition('=')[0]}", hostnames=(word.partition("=")[2] or "*",))
        for word in listeners.split()
    )
    matches = (model.Match(),) if kind in ("HTTPRoute", "GRPCRoute") else ()
    return model.Route(
        key=f"{kind}/default/{name}/0",
        kind=kind,
        object=f"default/{name}",
        rule=0,
        attachments=attachments,
        matches=matches,
        backends=backends,
        **more,
    )


def share(name: str, weight: int = 1) -> model.WeightedBackend:
    return model.WeightedBackend(backend=backend_key(name), weight=weight)


def failing_share(weight: int = 1) -> model.WeightedBackend:
    return model.WeightedBackend(weight=weight, failure=model.Failure(status=500, code="backend_not_found"))


def backend_key(name: str) -> str:
    return f"Service/default/{name}/80"


@dataclass
class Table:
    """Resources of one snapshot, added up by a test."""

    listeners: tuple[model.Listener, ...] = ()
    routes: tuple[model.Route, ...] = ()
    backends: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Ports of the ready endpoints, by name."""
    certificates: dict[str, Issued] = field(default_factory=dict)
    trust_bundles: dict[str, str] = field(default_factory=dict)
    policies: tuple[model.AuthorizationPolicy, ...] = ()
    limits: model.Limits = field(default_factory=model.Limits)

    def snapshot(self, version: str) -> model.Snapshot:
        return model.Snapshot(
            version=version,
            resources=model.Resources(
                trust_bundles=tuple(
                    model.TrustBundle(key=key, certificates=pem) for key, pem in self.trust_bundles.items()
                ),
                certificates=tuple(
                    model.Certificate(key=key, chain=issued.chain, private_key=issued.private_key)
                    for key, issued in self.certificates.items()
                ),
                endpoints=tuple(
                    model.Endpoints(
                        key=backend_key(name),
                        endpoints=tuple(model.Endpoint(address="127.0.0.1", port=port) for port in ports),
                    )
                    for name, ports in self.backends.items()
                ),
                backends=tuple(
                    model.Backend(
                        key=backend_key(name),
                        destination=model.Destination(
                            service=f"{name}.default.svc.cluster.local",
                            service_name=name,
                            service_namespace="default",
                        ),
                    )
                    for name in self.backends
                ),
                gateways=(model.Gateway(key=GATEWAY, limits=self.limits),),
                authorization_policies=self.policies,
                listeners=self.listeners,
                routes=self.routes,
            ),
        )


class Edge:
    """An engine and the access log it writes."""

    def __init__(self, log: Path, workers: int = 2) -> None:
        self.log = log
        self.engine = _engine.Engine(json.dumps({"workers": workers, "access_log": str(log)}).encode())
        self._version = 0

    def apply(self, table: Table) -> None:
        self._version += 1
        answer = json.loads(self.engine.apply(wire.encode(table.snapshot(str(self._version)))))
        assert not answer["rejected"], answer
        assert all(state["bound"] for state in answer["listeners"]), answer

    def lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""
        what = f"{count} lines in the access log"
        eventually(lambda: len(self.log.read_text().splitlines()) >= count, what=what)
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def explain(self, url: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.engine.explain(json.dumps({"method": "GET", "url": url}).encode()))
        return answer

    def connections(self, service: str) -> dict[str, int]:
        """Sums of the statistics of one destination."""
        series = json.loads(self.engine.statistics())["tcp"]
        found = [line for line in series if line["labels"]["destination_service_name"] == service]
        names = ("opened", "closed", "received_bytes", "sent_bytes")
        return {name: sum(line[name] for line in found) for name in names}


class StreamBackend:
    """Answers each connection with its name and an echo; with ``tls`` it ends TLS first."""

    def __init__(self, name: str, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.port = free_port()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away in the middle is what some tests are about.
        with contextlib.suppress(OSError):
            connection.settimeout(SECONDS)
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with stream:
                stream.sendall(f"{self.name}:".encode())
                while data := stream.recv(65536):
                    stream.sendall(data)
                if self._tls is None:
                    stream.shutdown(socket.SHUT_WR)


class DatagramBackend:
    """Answers each datagram with its name, the sender's port and the datagram."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # Wakes the thread, which a close alone does not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                data, sender = self._socket.recvfrom(65536)
                if sender is None:
                    return
                self._socket.sendto(f"{self.name}:{sender[1]}:".encode() + data, sender)
            except OSError:
                return


def converse(stream: socket.socket, message: bytes) -> bytes:
    """Says ``message``, ends, and returns all that comes back."""
    with stream:
        stream.settimeout(SECONDS)
        stream.sendall(message)
        if isinstance(stream, ssl.SSLSocket):
            return _until(stream, lambda data: data.endswith(message))
        stream.shutdown(socket.SHUT_WR)
        return _until(stream, lambda _: False)


def _until(stream: socket.socket, complete: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not complete(data):
        piece = stream.recv(65536)
        if not piece:
            break
        data += piece
    return data


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def ports(backends: dict[str, StreamBackend]) -> dict[str, tuple[int, ...]]:
    return {name: (backend.port,) for name, backend in backends.items()}


def handshake(port: int, context: ssl.SSLContext, name: str | None) -> ssl.SSLSocket:
    return context.wrap_socket(dial(port), server_hostname=name)


def said(port: int, context: ssl.SSLContext, name: str, message: bytes = b"hello") -> bytes:
    """What the backend behind the port answers over TLS, its own name first."""
    return converse(handshake(port, context, name), message)


def is_refused(port: int) -> bool:
    """Whether a connection is closed without a byte."""
    with dial(port) as stream:
        try:
            return stream.recv(1) == b""
        except ConnectionResetError:
            return True


@contextlib.contextmanager
def datagram_client(port: int) -> Iterator[Callable[[bytes], bytes]]:
    """A client of one port: sends and waits for the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", port))

        def ask(data: bytes) -> bytes:
            client.send(data)
            return client.recv(65536)

        yield ask
