"""Bodies stream with back-pressure: a side that does not read stops the other, and memory stays flat."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.backends.raw import RawBackend, read_head
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, http_route, rule
from tests.support.waiting import eventually

LARGE = 200_000_000
MIB = 1024 * 1024
ALLOWED = 24 * MIB
TO_HTTP1 = "one.example.com"
TO_HTTP2 = "two.example.com"
TO_STALLED = "stalled.example.com"


def stall(connection: Any) -> None:
    read_head(connection)
    time.sleep(20)


@pytest.fixture(scope="module")
def edge(directory: Path) -> Iterator[Edge]:
    with Http1Backend() as one, Http2Backend() as two, RawBackend(stall) as stalled:
        manifests = [
            *backend("one", one.port),
            *backend("two", two.port, app_protocol="kubernetes.io/h2c"),
            *backend("stalled", stalled.port),
            http_route("one", rule("one"), hosts=[TO_HTTP1]),
            http_route("two", rule("two"), hosts=[TO_HTTP2]),
            http_route("stalled", rule("stalled"), hosts=[TO_STALLED]),
        ]
        with open_edge(directory, manifests, workers=1) as running:
            yield running


def growth(edge: Edge, before: int, seconds: float) -> int:
    """The most that the process grew while we watched."""
    most = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        most = max(most, edge.sekisho.process.resident_bytes() - before)
        time.sleep(0.05)
    return most


@pytest.mark.parametrize("host", [TO_HTTP1, TO_HTTP2])
def test_a_stalled_reader_of_a_large_response_costs_no_memory(edge: Edge, host: str) -> None:
    before = edge.sekisho.process.resident_bytes()
    with edge.raw(receive_buffer=64 * 1024) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nx-do: size={LARGE}\r\n\r\n")
        assert client.head().status == 200
        assert growth(edge, before, 2) < ALLOWED
        received = 0
        while received < 20 * MIB:
            received += len(client.read_some())
        assert growth(edge, before, 0.5) < ALLOWED


@pytest.mark.parametrize("host", [TO_HTTP1, TO_HTTP2])
def test_a_stalled_stream_of_http2_costs_no_memory(edge: Edge, host: str) -> None:
    before = edge.sekisho.process.resident_bytes()
    with edge.http2(stream_window=65_535, automatic_credit=False) as client:
        client.head_of(client.open("/", host=host, headers=[("x-do", f"size={LARGE}")]))
        assert growth(edge, before, 2) < ALLOWED


def test_a_stalled_backend_stops_the_upload(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    with RawClient(edge.port, timeout=1) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {TO_STALLED}\r\nContent-Length: {LARGE}\r\n\r\n")
        block = b"x" * 65_536
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < LARGE:
                client.send(block)
                sent += len(block)
        assert sent < 64 * MIB, "the gateway took in what the backend did not read"
        assert edge.sekisho.process.resident_bytes() - before < ALLOWED


@pytest.mark.parametrize("host", [TO_HTTP1, TO_HTTP2])
def test_a_large_download_costs_no_memory(edge: Edge, host: str) -> None:
    before = edge.sekisho.process.resident_bytes()
    most = received = 0
    with edge.raw() as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nx-do: size={LARGE // 4}\r\n\r\n")
        client.head()
        while received < LARGE // 4:
            received += len(client.read_some())
            most = max(most, edge.sekisho.process.resident_bytes() - before)
    assert received == LARGE // 4
    assert most < ALLOWED


def test_many_stalled_readers_cost_little_each(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    clients = [edge.raw(receive_buffer=16 * 1024) for _ in range(50)]
    for client in clients:
        client.send(f"GET / HTTP/1.1\r\nHost: {TO_HTTP1}\r\nx-do: size={LARGE}\r\n\r\n")
    assert growth(edge, before, 2) < 50 * MIB
    for client in clients:
        client.close()
    eventually(lambda: edge.curl(f"http://{TO_HTTP1}/").status == 200)
