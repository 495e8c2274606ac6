"""What the gateway tells backends about the client: X-Forwarded-*, Forwarded, x-request-id, traceparent."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.exchange import Received
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, path_match, rule

HOST = "forwarded.example.com"
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
SPOOFED = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=203.0.113.9;proto=https;host=evil.example",
    "X-Request-Id: chosen-by-the-client",
)


@pytest.fixture(scope="module")
def manifests() -> Iterator[list[Manifest]]:
    with Http1Backend("one") as one, Http2Backend("two") as two:
        yield [
            *backend("one", one.port),
            *backend("two", two.port, app_protocol="kubernetes.io/h2c"),
            http_route("all", rule("one"), rule("two", matches=[path_match("/two")]), hosts=[HOST]),
        ]


@pytest.fixture(scope="module")
def edge(directory: Path, manifests: list[Manifest]) -> Iterator[Edge]:
    with open_edge(directory / "nobody", manifests) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(directory: Path, manifests: list[Manifest]) -> Iterator[Edge]:
    with open_edge(directory / "two-hops", manifests, trusted_hops=2) as running:
        yield running


def seen(edge: Edge, *lines: str, path: str = "/") -> Received:
    with RawClient(edge.port) as client:
        return client.request("GET", path, *lines, host=HOST).report


@pytest.mark.parametrize("path", ["/", "/two"])
def test_the_client_is_described(edge: Edge, path: str) -> None:
    request = seen(edge, path=path)
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == HOST


def test_https_is_told(edge: Edge) -> None:
    request = edge.curl(f"https://{HOST}/").report
    assert request.header("x-forwarded-proto") == "https"


def test_nobody_is_trusted_by_default(edge: Edge) -> None:
    request = seen(edge, *SPOOFED)
    everything = "\n".join(f"{name}: {value}" for name, value in request.headers)
    assert "203.0.113.9" not in everything
    assert "evil.example" not in everything
    assert "chosen-by-the-client" not in everything
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == HOST


def test_trusted_hops_are_kept_and_continued(trusting: Edge) -> None:
    request = seen(
        trusting,
        "X-Forwarded-For: 203.0.113.9, 198.51.100.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example.com",
    )
    assert re.sub(r"\s", "", request.header("x-forwarded-for") or "") == "203.0.113.9,198.51.100.7,127.0.0.1"
    assert request.header("x-forwarded-proto") == "https"
    assert request.header("x-forwarded-host") == "shop.example.com"


def test_the_client_address_in_the_log_is_the_one_behind_the_trusted_hops(trusting: Edge) -> None:
    seen(trusting, "X-Forwarded-For: 192.0.2.66, 203.0.113.9, 198.51.100.7", "User-Agent: hops")
    record = trusting.sekisho.logged(lambda item: item.get("user_agent") == "hops")
    assert str(record["downstream_remote_address"]).startswith(("203.0.113.9", "[203.0.113.9"))


def test_every_request_gets_an_id(edge: Edge) -> None:
    first, second = (seen(edge, "User-Agent: ids").header("x-request-id") for _ in range(2))
    assert uuid.UUID(first).version == 4
    assert first != second


def test_a_trusted_request_id_is_kept(trusting: Edge) -> None:
    assert seen(trusting, "X-Request-Id: from-the-edge").header("x-request-id") == "from-the-edge"


def test_the_log_has_the_request_id_and_the_trace(edge: Edge) -> None:
    request = seen(edge, "User-Agent: correlated")
    record = edge.sekisho.logged(lambda item: item.get("user_agent") == "correlated")
    assert record["request_id"] == request.header("x-request-id")
    assert record["trace_id"] == (request.header("traceparent") or "").split("-")[1]


def test_a_trace_is_begun(edge: Edge) -> None:
    assert TRACEPARENT.fullmatch(seen(edge).header("traceparent") or "")


def test_a_trace_is_continued(edge: Edge) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    request = seen(edge, f"traceparent: 00-{trace}-00f067aa0ba902b7-01", "tracestate: vendor=value")
    continued = request.header("traceparent") or ""
    assert TRACEPARENT.fullmatch(continued)
    assert continued.split("-")[1] == trace
    assert continued.endswith("-01")
    assert request.header("tracestate") == "vendor=value"


@pytest.mark.parametrize(
    "bad",
    [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "nonsense",
    ],
)
def test_a_bad_trace_is_begun_anew(edge: Edge, bad: str) -> None:
    fresh = seen(edge, f"traceparent: {bad}", "tracestate: vendor=value").header("traceparent") or ""
    assert TRACEPARENT.fullmatch(fresh)
    assert fresh.split("-")[1] not in bad.lower()


@pytest.mark.parametrize("name", ["X_Forwarded_For", "x_request_id", "Content_Length"])
def test_a_header_whose_underscore_shadows_another_does_not_pass(edge: Edge, name: str) -> None:
    with edge.raw() as client:
        answer = client.request("GET", "/", f"{name}: 7", host=HOST)
    if answer.status == 200:
        assert name.lower() not in {header.lower() for header, _ in answer.report.headers}
    else:
        assert answer.status == 400
