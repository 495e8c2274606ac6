"""A gateway with one HTTP and one HTTPS listener, and requests to it by host name."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.certificates import shared_authority
from tests.support.clients.curl import CurlResult, curl
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient
from tests.support.manifests import (
    Manifest,
    gateway,
    gateway_class,
    http_listener,
    https_listener,
    parameters,
    tls_secret,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho

HTTP2 = "--http2-prior-knowledge"


@dataclass(frozen=True)
class Edge:
    """Where a running gateway listens."""

    sekisho: Sekisho
    port: int
    https_port: int

    def curl(self, url: str, *arguments: str | Path) -> CurlResult:
        """Ask for ``http://host/…`` or ``https://host/…`` here, whatever the host's name."""
        port = self.https_port if url.startswith("https") else self.port
        authority = shared_authority().write(self.sekisho.directory / "authority.pem")
        return curl(url, "--connect-to", f"::127.0.0.1:{port}", "--cacert", authority, *arguments)

    def change(self, manifests: Iterable[Manifest]) -> None:
        """Replace routes and backends, and wait until the data plane serves them."""
        self.sekisho.change(manifests, "routes")

    def raw(self, **options: Any) -> RawClient:
        """A plain connection to the HTTP listener."""
        return RawClient(self.port, **options)

    def plain_socket(self, *, tls: bool = False) -> socket.socket:
        """A connection to hand to a client library; ``tls`` chooses the port, the handshake is the library's."""
        return socket.create_connection(("127.0.0.1", self.https_port if tls else self.port), timeout=10)

    def http2(self, **options: Any) -> Http2Client:
        """An h2c connection to the HTTP listener."""
        return Http2Client(self.port, **options)

    def http2_tls(self, server_name: str, **options: Any) -> Http2Client:
        return Http2Client(self.https_port, tls=shared_authority().client_context(), server_name=server_name, **options)


def edge_manifests(
    port: int, https_port: int, *, limits: Mapping[str, Any] | None = None, trusted_hops: int | None = None
) -> list[Manifest]:
    """Class, gateway, parameters and a certificate for ``*.example.com``."""
    issued = shared_authority().issue("*.example.com", "example.com", "localhost")
    return [
        gateway_class(),
        parameters(limits=limits, trusted_hops=trusted_hops),
        gateway(http_listener(port), https_listener(https_port, "edge"), parameters="edge"),
        tls_secret("edge", issued),
    ]


@contextmanager
def open_edge(
    directory: Path,
    manifests: Iterable[Manifest],
    *,
    limits: Mapping[str, Any] | None = None,
    trusted_hops: int | None = None,
    arguments: Sequence[str | Path] = (),
    workers: int = 2,
) -> Iterator[Edge]:
    """Run a gateway with these routes and backends."""
    port, https_port = free_port(), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    sekisho = Sekisho(directory, arguments=arguments, workers=workers)
    sekisho.write(edge_manifests(port, https_port, limits=limits, trusted_hops=trusted_hops), "edge")
    sekisho.write(manifests, "routes")
    with sekisho:
        yield Edge(sekisho, port, https_port)
