"""What is asked of each proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Shape = Literal["one route", "hosts", "paths"]
Protocol = Literal["http1", "h2-tls", "h2c"]
Upstream = Literal["http1", "h2c", "h2-mtls"]

HOST = "bench.test"
HOSTS = 500
PATHS_OF_A_HOST = 10
PATHS_OF_ONE_HOST = 5_000


@dataclass(frozen=True)
class Workload:
    """``protocol`` is the client's, ``upstream`` the backend's."""

    name: str
    title: str
    protocol: Protocol
    shape: Shape = "one route"
    connections: int = 64
    streams: int = 1
    upstream: Upstream = "http1"
    note: str = ""
    """What a reader of the figures should know."""

    def routes(self) -> Iterator[tuple[str, str]]:
        """Every host and path prefix that is routed."""
        match self.shape:
            case "one route":
                yield HOST, "/"
            case "hosts":
                for host in range(HOSTS):
                    for path in range(PATHS_OF_A_HOST):
                        yield f"host-{host}.{HOST}", f"/path-{path}"
            case "paths":
                for path in range(PATHS_OF_ONE_HOST):
                    yield HOST, f"/path-{path}"


WORKLOADS = (
    Workload("W1", "HTTP/1.1, 64 connections", "http1"),
    Workload("W2", "TLS HTTP/2 → HTTP/1.1, 32 connections by 10 streams", "h2-tls", connections=32, streams=10),
    Workload(
        "W3", "h2c → h2c, small POST, 32 connections by 10 streams", "h2c", connections=32, streams=10, upstream="h2c"
    ),
    Workload(
        "W4",
        "TLS HTTP/2 → mTLS HTTP/2, 32 connections by 10 streams",
        "h2-tls",
        connections=32,
        streams=10,
        upstream="h2-mtls",
        note="The gateway and Envoy verify the backend's SPIFFE identity; nginx, which speaks HTTP/2 upstream by its "
        "gRPC module alone, and HAProxy verify its host name.",
    ),
    Workload("W5-hosts", "W1 with 500 hosts by 10 paths", "http1", "hosts"),
    Workload("W5-paths", "W1 with one host by 5,000 paths", "http1", "paths"),
)
