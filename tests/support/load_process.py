"""Load of every protocol from a process of its own, so that all of its sockets are of one network namespace.

Run as ``python -m tests.support.load_process PLACES``; ``PLACES`` is JSON: ``http``, ``grpc``, ``websocket`` and
``tcp``, each with an address, a port and a host name. It goes on until SIGTERM, and its last line says what it did
(:class:`Done`).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from typing import Self

from tests.support.load import (
    GrpcLoad,
    GrpcStreamLoad,
    Http1Load,
    Http2Load,
    LoadClient,
    Tally,
    WebSocketLoad,
    added_up,
)
from tests.support.load_connections import NewTcpLoad, NewWebSocketLoad, TcpLoad

Place = tuple[str, int, str]
"""Address, port, host name."""

_PAUSE = 0.1
"""Seconds between the turns of one client: constant load, and no more of the machine than that needs."""
_STREAMS = 3
"""Long streams of each kind."""
_END_SECONDS = 15.0


@dataclass(frozen=True)
class Done:
    """What a load did."""

    tallies: list[Tally]
    certificates: set[str] = field(default_factory=set)
    """SHA-256 of the certificates that were shown on the way."""

    @classmethod
    def of(cls, output: str) -> Self:
        """From what the process printed."""
        document = json.loads(output.strip().splitlines()[-1])
        return cls([Tally(**one) for one in document["tallies"]], set(document["certificates"]))

    def line(self) -> str:
        return json.dumps({"tallies": [asdict(one) for one in self.tallies], "certificates": sorted(self.certificates)})


def clients(places: dict[str, Place]) -> list[LoadClient]:
    """One or more of every protocol."""
    http, http_port, http_name = places["http"]
    calls, calls_port, calls_name = places["grpc"]
    sockets, sockets_port, sockets_name = places["websocket"]
    tcp, tcp_port, _ = places["tcp"]
    return [
        *(Http1Load(http_port, http_name, _PAUSE, address=http) for _ in range(2)),
        Http2Load(http_port, http_name, 2 * _PAUSE, address=http),
        GrpcLoad(calls_port, calls_name, _PAUSE, address=calls),
        *(GrpcStreamLoad(calls_port, calls_name, 2 * _PAUSE, address=calls) for _ in range(_STREAMS)),
        *(WebSocketLoad(sockets_port, sockets_name, 2 * _PAUSE, address=sockets) for _ in range(_STREAMS)),
        NewWebSocketLoad(sockets_port, sockets_name, 2 * _PAUSE, address=sockets),
        *(TcpLoad(tcp_port, 2 * _PAUSE, address=tcp) for _ in range(_STREAMS)),
        NewTcpLoad(tcp_port, _PAUSE, address=tcp),
    ]


def main() -> int:
    places: dict[str, Place] = {name: tuple(place) for name, place in json.loads(sys.argv[1]).items()}
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    running = clients(places)
    for client in running:
        client.start()
    stopped.wait()
    for client in running:
        client.stop()
    for client in running:
        client.join(timeout=_END_SECONDS)
    shown = [client.certificates for client in running if isinstance(client, NewWebSocketLoad)]
    print(Done(added_up(running), set().union(*shown)).line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
