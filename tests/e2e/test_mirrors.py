"""RequestMirror: copies that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.exchange import generated
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.backends.raw import RawBackend
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, path_match, rule
from tests.support.waiting import eventually

HOST = "mirror.example.com"


def mirror(name: str, **share: Any) -> Manifest:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}, **share}}


class Backends:
    def __init__(self) -> None:
        self.origin = Http1Backend("origin")
        self.first = Http1Backend("first")
        self.second = Http2Backend("second")
        self.silent = RawBackend(lambda _: time.sleep(60))


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    servers = Backends()
    with servers.origin, servers.first, servers.second, servers.silent:
        yield servers


@pytest.fixture(scope="module")
def edge(directory: Path, backends: Backends) -> Iterator[Edge]:
    def mirrored(path: str, *mirrors: Manifest) -> Manifest:
        return rule("origin", matches=[path_match(path)], filters=mirrors)

    manifests = [
        *backend("origin", backends.origin.port),
        *backend("first", backends.first.port),
        *backend("second", backends.second.port, app_protocol="kubernetes.io/h2c"),
        *backend("silent", backends.silent.port),
        *backend("refusing", 1),
        http_route(
            "mirrors",
            mirrored("/one", mirror("first")),
            mirrored("/several", mirror("first"), mirror("second")),
            mirrored("/half", mirror("first", percent=50)),
            mirrored("/third", mirror("first", fraction={"numerator": 1, "denominator": 3})),
            mirrored("/never", mirror("first", percent=0)),
            mirrored("/bad", mirror("refusing"), mirror("silent")),
            hosts=[HOST],
        ),
    ]
    with open_edge(directory, manifests) as running:
        yield running


def post(edge: Edge, path: str, tag: str, body: bytes = b"hello") -> None:
    with RawClient(edge.port) as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nx-id: {tag}\r\nContent-Length: {len(body)}\r\n\r\n", body)
        answer = client.response()
    assert answer.status == 200
    assert answer.report.backend == "origin"
    assert answer.report.body_bytes == len(body)


def test_a_copy_reaches_the_mirror_with_its_body(edge: Edge, backends: Backends) -> None:
    post(edge, "/one?q=1", "copy", generated(200_000))
    (copy,) = eventually(lambda: [item for item in backends.first.journal.where("x-id", "copy") if item.complete])
    (real,) = backends.origin.journal.where("x-id", "copy")
    assert (copy.method, copy.target, copy.body_sha256) == ("POST", "/one?q=1", real.body_sha256)


def test_several_mirrors_each_get_a_copy(edge: Edge, backends: Backends) -> None:
    post(edge, "/several", "several")
    for server in (backends.first, backends.second):
        journal = server.journal
        eventually(lambda journal=journal: [item for item in journal.where("x-id", "several") if item.complete])  # type: ignore[misc]


@pytest.mark.parametrize(("path", "low", "high"), [("/half", 120, 180), ("/third", 70, 130), ("/never", 0, 0)])
def test_a_share_of_the_requests_is_mirrored(edge: Edge, backends: Backends, path: str, low: int, high: int) -> None:
    tag = f"share-{path}"
    for _ in range(300):
        post(edge, path, tag)
    time.sleep(0.3)
    assert low <= len(backends.first.journal.where("x-id", tag)) <= high


def test_a_mirror_that_fails_or_stalls_costs_the_client_nothing(edge: Edge) -> None:
    started = time.monotonic()
    for number in range(5):
        post(edge, "/bad", f"bad-{number}", generated(3_000_000))
    assert time.monotonic() - started < 5
