"""Memory with 10,000 idle connections, and with a table of 5,000 routes.

Run as ``python -m tests.bench.idle``. Each connection has been used once and then left open.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.results import RESULTS
from tests.bench.workloads import Workload
from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, path_match, rule
from tests.support.processes import resident_bytes

CONNECTIONS = 10_000
SPARE_DESCRIPTORS = 500
HOST = "idle.example.com"
RULES_OF_A_ROUTE = 16


@dataclass(frozen=True)
class Figure:
    """Resident memory before and after."""

    what: str
    count: int
    before: int
    after: int

    def line(self) -> str:
        each = (self.after - self.before) / self.count
        return (
            f"{self.count:,} {self.what}: {self.after / 1e6:.1f} MB, {(self.after - self.before) / 1e6:.1f} MB more "
            f"than before, {each / 1e3:.1f} kB each"
        )


def open_http1(edge: Edge) -> socket.socket:
    client = RawClient(edge.port)
    assert client.request("GET", "/", host=HOST).status == 200
    return client.socket


def open_http2(edge: Edge) -> socket.socket:
    client = Http2Client(edge.port)
    assert client.request("/", host=HOST).status == 200
    return client.socket


def open_tls(edge: Edge, context: ssl.SSLContext) -> socket.socket:
    client = RawClient(edge.https_port, tls=context, server_name=HOST)
    assert client.request("GET", "/", host=HOST).status == 200
    return client.socket


def idle(directory: Path, what: str, opened: Callable[[Edge], socket.socket], count: int) -> Figure:
    """Open the connections on a fresh gateway."""
    limits = {"maxConnections": 2 * CONNECTIONS, "maxConnectionsPerListener": 2 * CONNECTIONS}
    with Http1Backend() as origin:
        manifests = [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST])]
        with open_edge(directory, manifests, limits=limits, workers=1) as edge:
            kept = [opened(edge) for _ in range(10)]
            before = resident_bytes(edge.sekisho.process.pid)
            kept += [opened(edge) for _ in range(count)]
            after = resident_bytes(edge.sekisho.process.pid)
            assert opened(edge).fileno() >= 0, "the gateway serves no more"
            for connection in kept:
                connection.close()
    return Figure(what, count, before, after)


def routes(directory: Path) -> Figure:
    """A gateway with one route, and then with 5,000."""

    def route(host: str, number: int, paths: list[str]) -> Manifest:
        rules = [rule("origin", matches=[path_match(path)]) for path in paths]
        return http_route(f"r{number}-{host.partition('.')[0]}", *rules, hosts=[host])

    listed = list(Workload("W5-hosts", "", "http1", "hosts").routes())
    hosts: dict[str, list[str]] = {}
    for host, path in listed:
        hosts.setdefault(host, []).append(path)
    objects = [route(host, number, paths) for number, (host, paths) in enumerate(hosts.items())]
    with Http1Backend() as origin:
        ground = backend("origin", origin.port)
        with open_edge(directory, [*ground, http_route("all", rule("origin"), hosts=[HOST])], workers=1) as edge:
            before = resident_bytes(edge.sekisho.process.pid)
        with open_edge(directory / "all", [*ground, *objects], workers=1) as edge:
            after = resident_bytes(edge.sekisho.process.pid)
    return Figure("routes", len(listed), before, after)


def allow_descriptors(count: int) -> None:
    """Raise this process's bound, which the gateway inherits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + SPARE_DESCRIPTORS
    if most < needed:
        raise SystemExit(f"{needed} open files are needed and {most} allowed: raise the hard limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    allow_descriptors(chosen.connections)
    context = shared_authority().client_context()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        figures = [
            idle(directory / "http1", "idle HTTP/1.1 connections", open_http1, chosen.connections),
            idle(directory / "http2", "idle HTTP/2 connections", open_http2, chosen.connections),
            idle(directory / "tls", "idle TLS connections", lambda edge: open_tls(edge, context), chosen.connections),
            routes(directory / "routes"),
        ]
    for figure in figures:
        print(figure.line())
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "idle.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
