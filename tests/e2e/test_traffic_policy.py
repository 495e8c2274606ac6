"""Weights, timeouts and retries of a rule."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.exchange import generated
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.backends.raw import RawBackend, read_head
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, backend_ref, http_route, path_match, rule

HOST = "policy.example.com"
RETRY = {"codes": [500, 502, 503, 504], "attempts": 3, "backoff": "100ms"}


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend("origin") as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    def at(path: str, *backends: Manifest | str, **more: Any) -> Manifest:
        return rule(*(backends or ("origin",)), matches=[path_match(path)], **more)

    with Http1Backend("second") as second, Http2Backend("h2") as h2, RawBackend(lambda _: time.sleep(30)) as silent:
        manifests = [
            *backend("origin", origin.port),
            *backend("second", second.port),
            *backend("h2", h2.port, app_protocol="kubernetes.io/h2c"),
            *backend("silent", silent.port),
            *backend("half-dead", 1, origin.port),
            http_route(
                "policies",
                at("/weights", backend_ref("origin", weight=3), backend_ref("second", weight=1)),
                at("/zero", backend_ref("origin", weight=0), backend_ref("second", weight=1)),
                at("/request", timeouts={"request": "500ms"}),
                at("/backend-request", timeouts={"backendRequest": "500ms"}),
                at("/disabled", timeouts={"request": "0s"}),
                at("/silent", "silent", timeouts={"request": "500ms"}),
                at("/h2-request", "h2", timeouts={"request": "500ms"}),
                at("/retry", retry=RETRY),
                at("/retry-h2", "h2", retry=RETRY),
                at("/retry-once", retry={"codes": [503]}),
                at("/retry-some", retry={"codes": [503], "attempts": 3}),
                hosts=[HOST],
            ),
            http_route(
                "more-policies",
                at("/retry-bounded", retry=RETRY, timeouts={"request": "600ms"}),
                at("/retry-slow", retry=RETRY | {"attempts": 2}, timeouts={"request": "3s", "backendRequest": "300ms"}),
                at("/half-dead", "half-dead", retry=RETRY),
                at("/half-dead-alone", "half-dead"),
                hosts=[HOST],
            ),
        ]
        with open_edge(directory, manifests) as running:
            yield running


def ask(edge: Edge, path: str, orders: str = "", method: str = "GET") -> tuple[RawResponse, float]:
    """The answer, and the seconds until it came."""
    with RawClient(edge.port) as client:
        started = time.monotonic()
        answer = client.request(method, path, *([f"x-do: {orders}"] if orders else []), host=HOST)
        return answer, time.monotonic() - started


def test_weights_share_the_traffic(edge: Edge) -> None:
    with edge.raw() as client:
        seen = Counter(client.request("GET", "/weights", host=HOST).report.backend for _ in range(800))
    assert 520 <= seen["origin"] <= 680, seen


def test_weight_zero_gets_nothing(edge: Edge) -> None:
    with edge.raw() as client:
        assert {client.request("GET", "/zero", host=HOST).report.backend for _ in range(50)} == {"second"}


@pytest.mark.parametrize("path", ["/request", "/backend-request", "/h2-request"])
def test_a_timeout_is_a_504(edge: Edge, path: str) -> None:
    answer, seconds = ask(edge, f"{path}/{time.monotonic_ns()}", "delay=5")
    assert answer.status == 504
    assert 0.4 < seconds < 2


def test_the_two_timeouts_are_told_apart(edge: Edge) -> None:
    for path, reason in (("/request", "request_timeout"), ("/backend-request", "upstream_request_timeout")):
        ask(edge, f"{path}/reason", "delay=2")
        record = edge.sekisho.logged(lambda item, path=path: item.get("path") == f"{path}/reason")  # type: ignore[misc]
        assert record["response_code_details"] == reason


def test_a_backend_that_says_nothing_times_out(edge: Edge) -> None:
    answer, seconds = ask(edge, "/silent")
    assert answer.status == 504
    assert 0.4 < seconds < 2


def test_an_answer_in_time_is_untouched(edge: Edge) -> None:
    assert ask(edge, "/request", "delay=0.1")[0].status == 200
    assert ask(edge, "/disabled", "delay=1")[0].status == 200


def test_the_request_timeout_bounds_the_whole_exchange(edge: Edge) -> None:
    result = edge.curl(f"http://{HOST}/request", "-H", "x-do: events=100; pause=0.1")
    assert result.exit_code != 0, "a body that takes 10 s came whole through a timeout of 0.5 s"


def test_a_timeout_closes_the_backends_connection(edge: Edge, origin: Http1Backend) -> None:
    before = origin.journal.connections
    ask(edge, "/request", "delay=2")
    ask(edge, "/request/after")
    assert origin.journal.connections > before, "a connection with an answer outstanding was used again"


@pytest.mark.parametrize("path", ["/retry", "/retry-h2"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_listed_codes_are_retried(edge: Edge, path: str, status: int) -> None:
    answer, seconds = ask(edge, path, f"fails=2; failure={status}; key=codes-{status}")
    assert answer.status == 200
    assert seconds >= 0.2, "retried sooner than the backoff"


def test_other_codes_are_not_retried(edge: Edge) -> None:
    assert ask(edge, "/retry-some", "fails=1; failure=500; key=other")[0].status == 500


def test_a_retry_without_attempts_is_one(edge: Edge) -> None:
    assert ask(edge, "/retry-once", "fails=1; key=once-1")[0].status == 200
    assert ask(edge, "/retry-once", "fails=2; key=once-2")[0].status == 503


def test_attempts_run_out(edge: Edge, origin: Http1Backend) -> None:
    answer, seconds = ask(edge, "/retry", "fails=10; key=out; header=x-mark:out")
    assert answer.status == 503
    assert seconds >= 0.3
    tries = [item for item in origin.journal.received if "key=out" in (item.header("x-do") or "")]
    assert len(tries) == 4
    record = edge.sekisho.logged(lambda item: item.get("retries") == 3 and item.get("response_code") == 503)
    assert record["upstream_host"]


def test_a_reset_is_retried(edge: Edge) -> None:
    for path in ("/retry", "/retry-h2"):
        assert ask(edge, path, "fails=2; failure=reset; key=reset")[0].status == 200, path


def test_a_request_with_a_small_body_is_retried_whole(edge: Edge) -> None:
    body = generated(20_000)
    with edge.raw() as client:
        client.send(
            f"POST /retry HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n",
            "x-do: fails=2; key=body\r\n\r\n",
            body,
        )
        answer = client.response()
    assert (answer.status, answer.report.body_bytes) == (200, len(body))


def test_a_body_too_large_to_keep_is_not_retried(edge: Edge) -> None:
    body = generated(1_000_000)
    with edge.raw() as client:
        client.send(
            f"POST /retry HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n",
            "x-do: fails=1; key=large-body\r\n\r\n",
            body,
        )
        assert client.response().status == 503


def test_the_request_timeout_caps_all_attempts(edge: Edge) -> None:
    answer, seconds = ask(edge, "/retry-bounded", "fails=10; key=bounded; delay=0.25")
    assert answer.status in {503, 504}
    assert seconds < 1.2


def test_an_attempt_that_times_out_is_retried(edge: Edge) -> None:
    answer, seconds = ask(edge, "/retry-slow", "delay=1")
    assert answer.status == 504
    assert 0.9 < seconds < 2.5, "three attempts of 0.3 s with pauses of 0.1 s"


def test_an_endpoint_that_refuses_connections_is_avoided_by_a_retry(edge: Edge) -> None:
    statuses = Counter(ask(edge, "/half-dead")[0].status for _ in range(30))
    assert statuses == {200: 30}


def test_a_stale_pooled_connection_costs_nobody_anything(directory: Path) -> None:
    def answer_once_then_close(connection: Any) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with RawBackend(answer_once_then_close) as raw:
        manifests = [*backend("closing", raw.port), http_route("closing", rule("closing"), hosts=[HOST])]
        with open_edge(directory / "stale", manifests) as edge, edge.raw() as client:
            for number in range(200):
                assert client.request("GET", f"/{number}", host=HOST).body == b"ok"
