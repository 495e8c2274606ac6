"""300 changes of the manifests under constant load: no request may fail, no stream may drop.

Run as ``python -m tests.e2e.soak_changes [--changes N]``. Prints what was done, what failed, and how
long changes took to be in force.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.backends.grpc_echo import GrpcBackend
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.backends.websocket import WebSocketBackend
from tests.support.certificates import shared_authority
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, edge_manifests, open_edge
from tests.support.load import (
    GrpcLoad,
    GrpcStreamLoad,
    Http1Load,
    Http2Load,
    LoadClient,
    NewTlsLoad,
    WebSocketLoad,
    added_up,
    describe,
)
from tests.support.manifests import (
    Manifest,
    backend,
    backend_ref,
    exact_path,
    grpc_route,
    http_listener,
    http_route,
    rule,
)
from tests.support.ports import free_port

CHANGES = 300
WARM_SECONDS = 1.0
ONE, TWO, CALLS, SOCKETS = "one.example.com", "two.example.com", "calls.example.com", "sockets.example.com"
GRPC_PAUSE = STREAM_PAUSE = 0.05


class World:
    """The manifests' present state, and the changes that can be made to it."""

    def __init__(self, pairs: dict[str, tuple[int, int]]) -> None:
        self._pairs = pairs
        self._swapped = dict.fromkeys(pairs, False)
        self._filtered = False
        self._weights = (1, 1)
        self._second_listener = False
        self._second_port = free_port()
        self._extra_routes = 0

    def kinds(self) -> list[str]:
        """Names of the changes; each is a method."""
        return [
            "swap_http1",
            "toggle_filter",
            "shift_weights",
            "rotate_certificate",
            "toggle_listener",
            "swap_http2",
            "swap_grpc",
            "toggle_filter",
            "swap_websocket",
            "add_route",
        ]

    def apply(self, edge: Edge, kind: str) -> float:
        """Make a change, and return the seconds until the data plane had it."""
        if kind.startswith("swap_"):
            name = kind.removeprefix("swap_")
            self._swapped[name] = not self._swapped[name]
        elif kind == "toggle_filter":
            self._filtered = not self._filtered
        elif kind == "shift_weights":
            self._weights = (self._weights[1] + 1, self._weights[0])
        elif kind == "toggle_listener":
            self._second_listener = not self._second_listener
        elif kind == "add_route":
            self._extra_routes = (self._extra_routes + 1) % 20
        started = time.monotonic()
        if kind in {"rotate_certificate", "toggle_listener"}:
            edge.sekisho.change(self.ground(edge), "edge")
        else:
            edge.change(self.routes())
        taken = time.monotonic() - started
        self._verify(edge, kind)
        return taken

    def ground(self, edge: Edge) -> list[Manifest]:
        manifests = edge_manifests(edge.port, edge.https_port)
        if self._second_listener:
            manifests[2]["spec"]["listeners"].append(http_listener(self._second_port, "second"))
        return manifests

    def routes(self) -> list[Manifest]:
        modify = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-on", "value": "1"}]}}
        filters = [modify] if self._filtered else []
        first, second = self._weights
        return [
            *backend("http1", self._port("http1")),
            *backend("http1-other", self._pairs["http1"][1]),
            *backend("http2", self._port("http2"), app_protocol="kubernetes.io/h2c"),
            *backend("grpc", self._port("grpc"), app_protocol="kubernetes.io/h2c"),
            *backend("websocket", self._port("websocket")),
            http_route(
                "one",
                rule(
                    backend_ref("http1", weight=first),
                    backend_ref("http1-other", weight=second),
                    filters=filters,
                ),
                hosts=[ONE],
            ),
            http_route("two", rule("http2", filters=filters), hosts=[TWO]),
            grpc_route("calls", rule("grpc", filters=filters), hosts=[CALLS]),
            http_route("sockets", rule("websocket", filters=filters), hosts=[SOCKETS]),
            *(
                http_route(f"extra-{number}", rule("http1", matches=[exact_path(f"/extra-{number}")]), hosts=[ONE])
                for number in range(self._extra_routes)
            ),
        ]

    def _port(self, name: str) -> int:
        return self._pairs[name][self._swapped[name]]

    def _verify(self, edge: Edge, kind: str) -> None:
        """The change is not only in force, it does what it says."""
        with RawClient(edge.port) as client:
            answer = client.request("GET", "/verify", host=TWO)
        if kind == "toggle_filter":
            assert (answer.header("x-on") == "1") is self._filtered, "the filter's change is not in force"
        if kind == "swap_http2":
            assert answer.report.backend == ("http2-b" if self._swapped["http2"] else "http2-a")
        if kind == "toggle_listener":
            self._verify_listener()

    def _verify_listener(self) -> None:
        try:
            with RawClient(self._second_port, timeout=2) as client:
                served = client.request("GET", "/", host=TWO).status == 200
        except OSError:
            served = False
        assert served is self._second_listener, "the listener's change is not in force"


@contextmanager
def backends() -> Iterator[dict[str, tuple[int, int]]]:
    """Two of each kind, to swap."""
    with ExitStack() as stack:
        http1 = [stack.enter_context(Http1Backend(f"http1-{letter}")) for letter in "ab"]
        http2 = [stack.enter_context(Http2Backend(f"http2-{letter}")) for letter in "ab"]
        calls = [stack.enter_context(GrpcBackend(f"grpc-{letter}")) for letter in "ab"]
        sockets = [stack.enter_context(WebSocketBackend(f"websocket-{letter}")) for letter in "ab"]
        yield {
            "http1": (http1[0].port, http1[1].port),
            "http2": (http2[0].port, http2[1].port),
            "grpc": (calls[0].port, calls[1].port),
            "websocket": (sockets[0].port, sockets[1].port),
        }


def load(edge: Edge) -> list[LoadClient]:
    context = shared_authority().client_context()
    return [
        *(Http1Load(edge.port, ONE, 0.02) for _ in range(3)),
        NewTlsLoad(edge.https_port, ONE, context, 0.1),
        *(Http2Load(edge.port, TWO, 0.05) for _ in range(2)),
        Http2Load(edge.https_port, TWO, 0.1, shared_authority().client_context()),
        *(GrpcLoad(edge.port, CALLS, GRPC_PAUSE) for _ in range(2)),
        *(GrpcStreamLoad(edge.port, CALLS, STREAM_PAUSE) for _ in range(4)),
        *(WebSocketLoad(edge.port, SOCKETS, STREAM_PAUSE) for _ in range(4)),
    ]


def soak(directory: Path, changes: int) -> bool:
    with backends() as pairs:
        world = World(pairs)
        with open_edge(directory, world.routes()) as edge:
            clients = load(edge)
            started = time.monotonic()
            for client in clients:
                client.start()
            time.sleep(WARM_SECONDS)
            taken: list[float] = []
            done: Counter[str] = Counter()
            kinds = world.kinds()
            for number in range(changes):
                kind = kinds[number % len(kinds)]
                taken.append(world.apply(edge, kind))
                done[kind] += 1
            time.sleep(WARM_SECONDS)
            for client in clients:
                client.stop()
            for client in clients:
                client.join(timeout=15)
            seconds = time.monotonic() - started
        return report(clients, taken, done, seconds)


def report(clients: list[LoadClient], taken: list[float], done: Counter[str], seconds: float) -> bool:
    tallies = added_up(clients)
    failed = sum(tally.failed for tally in tallies)
    dropped = sum(tally.dropped for tally in tallies)
    requests = sum(tally.requests for tally in tallies)
    streams = sum(tally.streams for tally in tallies)
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in done.items())
    milliseconds = sorted(value * 1000 for value in taken)
    print(f"{len(taken)} changes in {seconds:.0f} s: {kinds}")
    print(f"in force after {statistics.median(milliseconds):.0f} ms (median), {milliseconds[-1]:.0f} ms (most)")
    for line in describe(tallies):
        print(line)
    print(f"{requests} requests, {failed} failed; {streams} streams, {dropped} dropped")
    unused = [tally.name for tally in tallies if not tally.requests]
    if unused:
        print(f"no load was made by: {', '.join(unused)}")
    return failed == 0 and dropped == 0 and not unused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=CHANGES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if soak(Path(name), arguments.changes) else 1


if __name__ == "__main__":
    sys.exit(main())
