"""HTTP/1.1 through the gateway, with curl, httpx and hand-written bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backends.exchange import generated
from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, http_route, rule

HOST = "http1.example.com"
URL = f"http://{HOST}"


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    manifests = [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST])]
    with open_edge(directory, manifests) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_a_request_reaches_the_backend_as_it_was_sent(edge: Edge, method: str) -> None:
    result = edge.curl(f"{URL}/a/b?c=d&e=%20f", "-X", method, "-H", "X-Custom: Value  with spaces")
    assert (result.status, result.version) == (200, "1.1")
    assert result.report.method == method
    assert result.report.target == "/a/b?c=d&e=%20f"
    assert result.report.authority == HOST
    assert result.report.header("x-custom") == "Value  with spaces"


def test_a_body_with_a_length_arrives_whole(edge: Edge) -> None:
    body = generated(1_000_000)
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://127.0.0.1:{edge.port}/upload", content=body, headers={"host": HOST})
    assert answer.status_code == 200
    assert answer.json()["body_bytes"] == len(body)
    assert answer.json()["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_a_chunked_body_arrives_whole(edge: Edge) -> None:
    parts = [generated(size) for size in (1, 70_000, 3, 500_000)]
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://127.0.0.1:{edge.port}/upload", content=iter(parts), headers={"host": HOST})
    assert answer.json()["body_sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_large_response_arrives_whole(edge: Edge) -> None:
    result = edge.curl(f"{URL}/large", "-H", "x-do: size=20000000; header=x-kind:large")
    assert (result.status, len(result.body), result.header("x-kind")) == (200, 20_000_000, "large")


def test_head_has_the_length_and_no_body(edge: Edge) -> None:
    with edge.raw() as client:
        answer = client.request("HEAD", "/", "x-do: size=12345", host=HOST)
        assert (answer.status, answer.header("content-length")) == (200, "12345")
        assert client.request("GET", "/next", host=HOST).report.path == "/next"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_keeps_the_connection_usable(edge: Edge, status: int) -> None:
    with edge.raw() as client:
        assert client.request("GET", "/", f"x-do: status={status}", host=HOST).status == status
        assert client.request("GET", "/next", host=HOST).report.path == "/next"


@pytest.mark.parametrize("status", [201, 400, 404, 418, 500, 503, 599])
def test_the_backends_status_is_passed_on(edge: Edge, status: int) -> None:
    assert edge.curl(URL, "-H", f"x-do: status={status}").status == status


def test_one_connection_serves_many_requests(edge: Edge) -> None:
    with edge.raw() as client:
        paths = [client.request("GET", f"/{number}", host=HOST).report.path for number in range(50)]
    assert paths == [f"/{number}" for number in range(50)]


def test_pipelined_requests_are_answered_in_order(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(*(f"GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n" for number in range(20)))
        assert [client.response().report.path for _ in range(20)] == [f"/{number}" for number in range(20)]


def test_a_request_may_arrive_byte_by_byte(edge: Edge) -> None:
    with edge.raw() as client:
        for byte in f"POST /slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nabc":
            client.send(byte)
        answer = client.response()
    assert (answer.report.path, answer.report.body_bytes) == ("/slow", 3)


def test_connection_close_is_honoured(edge: Edge) -> None:
    with edge.raw() as client:
        answer = client.request("GET", "/", "Connection: close", host=HOST)
        assert answer.status == 200
        assert (answer.header("connection") or "").lower() == "close"
        assert client.closed_within(2)


def test_an_http_1_0_client_gets_no_chunks(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\nx-do: chunked\r\n\r\n")
        answer = client.response()
        assert answer.header("transfer-encoding") is None
        assert answer.report.path == "/"
        assert client.closed_within(2)


def test_an_http_1_0_client_may_ask_for_keep_alive(edge: Edge) -> None:
    with edge.raw() as client:
        for path in ("/one", "/two"):
            client.send(f"GET {path} HTTP/1.0\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            assert (answer.header("connection") or "").lower() == "keep-alive"
            assert answer.report.path == path


def test_expect_100_continue_waits_for_the_backends_word(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head().status == 100
        client.send("hello")
        answer = client.response()
    assert (answer.status, answer.report.body_bytes) == (200, 5)


def test_expect_100_continue_with_curl(edge: Edge) -> None:
    result = edge.curl(f"{URL}/", "-H", "Expect: 100-continue", "--data-binary", "x" * 5000)
    assert (result.interim, result.status, result.report.body_bytes) == ([100], 200, 5000)


def test_expect_100_continue_refused_early_never_gets_the_go_ahead(edge: Edge) -> None:
    with edge.raw() as client:
        head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
        client.send(head, "x-do: status=417; early\r\n\r\n")
        assert client.head().status == 417


def test_early_hints_are_passed_on(edge: Edge) -> None:
    result = edge.curl(URL, "-H", "x-do: hints")
    assert (result.interim, result.status) == ([103], 200)


def test_trailers_travel_both_ways(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(
            f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nTE: trailers\r\n",
            "x-do: trailers\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n",
        )
        answer = client.response()
    assert answer.report.trailers == [("x-sum", "42")]
    assert answer.trailers == [("x-checksum", "abc123"), ("x-last", "yes")]


def test_hop_by_hop_fields_stop_at_the_gateway(edge: Edge) -> None:
    with edge.raw() as client:
        answer = client.request(
            "GET",
            "/",
            "Connection: keep-alive, x-secret",
            "x-secret: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "TE: gzip",
            "x-kept: 1",
            host=HOST,
        )
    names = {name.lower() for name, _ in answer.report.headers}
    assert "x-kept" in names
    assert not names & {"x-secret", "keep-alive", "proxy-connection", "te"}


def test_server_sent_events_arrive_as_they_happen(edge: Edge) -> None:
    arrivals = []
    with (
        httpx.Client(trust_env=False) as client,
        client.stream(
            "GET",
            f"http://127.0.0.1:{edge.port}/events",
            headers={"host": HOST, "x-do": "events=4; pause=0.2"},
        ) as answer,
    ):
        arrivals = [(time.monotonic(), line) for line in answer.iter_lines() if line.startswith("data")]
    assert [line for _, line in arrivals] == [f"data: event {number}" for number in range(4)]
    assert arrivals[-1][0] - arrivals[0][0] > 0.4


def test_an_upload_streams_while_the_client_still_sends(edge: Edge, origin: Http1Backend) -> None:
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nx-id: streaming\r\n\r\n")
        client.send("5\r\nhello\r\n")
        deadline = time.monotonic() + 5
        while not any(item.body_bytes == 5 for item in origin.journal.where("x-id", "streaming")):
            assert time.monotonic() < deadline, "the first part of the body did not reach the backend"
            time.sleep(0.01)
        client.send("0\r\n\r\n")
        assert client.response().report.body_bytes == 5


def test_an_answer_before_the_body_is_read_reaches_the_client(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\nx-do: status=413; early\r\n\r\nx")
        assert client.response().status == 413


def test_an_absolute_form_target_is_served(edge: Edge) -> None:
    with edge.raw() as client:
        answer = client.request("GET", f"http://{HOST}/abs?q=1", host="other.example.com")
    assert (answer.status, answer.report.target, answer.report.authority) == (200, "/abs?q=1", HOST)


def test_repeated_and_odd_headers_are_kept(edge: Edge) -> None:
    with edge.raw() as client:
        answer = client.request(
            "GET", "/", "Cookie: a=1", "Cookie: b=2", "X-Many: 1", "X-Many: 2", "X-Empty:", "X-Obs: caf\xe9", host=HOST
        )
    assert answer.report.values("x-many") == ["1", "2"]
    assert answer.report.header("x-empty") == ""
    assert answer.report.header("x-obs") == "caf\xe9"
    assert "; ".join(answer.report.values("cookie")) == "a=1; b=2"


def test_a_response_without_length_ends_with_the_connection(edge: Edge) -> None:
    result = edge.curl(URL, "-H", "x-do: http10; size=100000")
    assert (result.status, len(result.body)) == (200, 100_000)


def test_a_cut_response_is_not_presented_as_whole(edge: Edge) -> None:
    for order in ("cut; size=1000000", "cut; chunked; size=1000000"):
        result = edge.curl(URL, "-H", f"x-do: {order}")
        assert result.exit_code in {18, 56}, f"{order}: curl took a cut body for a whole one"


def test_a_reset_by_the_backend_is_a_502(edge: Edge) -> None:
    result = edge.curl(f"{URL}/reset", "-H", "x-do: reset", "-X", "POST")
    assert result.status == 502
    record = edge.sekisho.logged(lambda item: item.get("path") == "/reset")
    assert record["response_code_details"] == "upstream_reset"


def test_a_client_that_leaves_ends_the_exchange(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"GET /leave HTTP/1.1\r\nHost: {HOST}\r\nx-do: events=1000; pause=0.05\r\n\r\n")
        assert client.head().status == 200
        client.read_some()
    record = edge.sekisho.logged(lambda item: item.get("path") == "/leave")
    assert record["response_code_details"] == "downstream_disconnected"
