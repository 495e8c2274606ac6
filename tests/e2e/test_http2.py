"""HTTP/2 through the gateway: over TLS and by prior knowledge, to HTTP/1.1 and HTTP/2 backends."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backends.exchange import generated
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.certificates import shared_authority
from tests.support.edge import HTTP2, Edge, open_edge
from tests.support.manifests import backend, http_route, rule
from tests.support.waiting import eventually

TO_HTTP1 = "one.example.com"
TO_HTTP2 = "two.example.com"
BOTH = pytest.mark.parametrize("host", [TO_HTTP1, TO_HTTP2])


@pytest.fixture(scope="module")
def one() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def two() -> Iterator[Http2Backend]:
    with Http2Backend() as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, one: Http1Backend, two: Http2Backend) -> Iterator[Edge]:
    manifests = [
        *backend("one", one.port),
        *backend("two", two.port, app_protocol="kubernetes.io/h2c"),
        http_route("one", rule("one"), hosts=[TO_HTTP1]),
        http_route("two", rule("two"), hosts=[TO_HTTP2]),
    ]
    with open_edge(directory, manifests) as running:
        yield running


@BOTH
def test_curl_negotiates_http2_over_tls(edge: Edge, host: str) -> None:
    result = edge.curl(f"https://{host}/path?q=1", "--http2", "-d", "hello")
    assert (result.status, result.version) == (200, "2")
    assert (result.report.target, result.report.authority, result.report.body_bytes) == ("/path?q=1", host, 5)


@BOTH
def test_curl_speaks_http1_over_tls(edge: Edge, host: str) -> None:
    result = edge.curl(f"https://{host}/path", "--http1.1")
    assert (result.status, result.version, result.report.authority) == (200, "1.1", host)


@BOTH
def test_curl_speaks_h2c_by_prior_knowledge(edge: Edge, host: str) -> None:
    result = edge.curl(f"http://{host}/path", HTTP2, "-d", "hello")
    assert (result.status, result.version, result.report.body_bytes) == (200, "2", 5)


def test_the_backends_protocol_is_what_its_service_says(edge: Edge) -> None:
    assert edge.curl(f"http://{TO_HTTP1}/", HTTP2).report.version == "HTTP/1.1"
    assert edge.curl(f"http://{TO_HTTP2}/").report.version == "HTTP/2"


def test_httpx_over_http2(edge: Edge) -> None:
    context = shared_authority().client_context()
    with httpx.Client(http2=True, verify=context, trust_env=False) as client:
        answer = client.post(
            f"https://127.0.0.1:{edge.https_port}/x",
            content=generated(300_000),
            headers={"host": TO_HTTP2},
            extensions={"sni_hostname": TO_HTTP2},
        )
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    assert answer.json()["body_sha256"] == hashlib.sha256(generated(300_000)).hexdigest()


@BOTH
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 3_000_000])
def test_bodies_of_every_size_go_both_ways(edge: Edge, host: str, size: int) -> None:
    with edge.http2() as client:
        up = client.request("/up", host=host, method="POST", body=generated(size))
        assert up.report.body_bytes == size
        down = client.request("/down", host=host, headers=[("x-do", f"size={size}")])
        assert (down.status, len(down.body), down.header("content-length")) == (200, size, str(size))


@BOTH
def test_trailers_travel_both_ways(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        answer = client.request(
            "/",
            host=host,
            method="POST",
            headers=[("x-do", "trailers"), ("te", "trailers")],
            body=b"hello",
            trailers=[("x-sum", "42")],
        )
    assert answer.report.trailers == [("x-sum", "42")]
    assert answer.trailers == [("x-checksum", "abc123"), ("x-last", "yes")]


@BOTH
def test_early_hints_are_passed_on(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        answer = client.request("/", host=host, headers=[("x-do", "hints")])
    assert (answer.interim, answer.status) == ([103], 200)


@BOTH
def test_many_streams_share_a_connection(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        streams = [client.open(f"/{number}", host=host, headers=[("x-do", "delay=0.1")]) for number in range(50)]
        started = time.monotonic()
        paths = [client.finished(stream).report.path for stream in streams]
    assert paths == [f"/{number}" for number in range(50)]
    assert time.monotonic() - started < 3, "streams waited for each other"


@BOTH
def test_a_slow_stream_does_not_hold_up_the_others(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        slow = client.open("/slow", host=host, headers=[("x-do", "delay=1.5")])
        started = time.monotonic()
        assert client.request("/fast", host=host).status == 200
        assert time.monotonic() - started < 1
        assert client.finished(slow).status == 200


@BOTH
def test_a_stream_whose_reader_stalls_does_not_hold_up_the_others(edge: Edge, host: str) -> None:
    with edge.http2(stream_window=20_000, automatic_credit=False) as client:
        client.connection.increment_flow_control_window(10_000_000)
        client.flush()
        stalled = client.open("/stalled", host=host, headers=[("x-do", "size=5000000")])
        client.head_of(stalled)
        assert client.request("/other", host=host).status == 200
        client.reset(stalled)
        assert client.request("/again", host=host).status == 200


def test_a_client_that_cancels_frees_the_backends_stream(edge: Edge, two: Http2Backend) -> None:
    before = two.resets_seen
    with edge.http2() as client:
        stream = client.open("/cancel", host=TO_HTTP2, headers=[("x-do", "events=1000; pause=0.05")])
        assert client.head_of(stream).status == 200
        client.reset(stream)
        eventually(lambda: two.resets_seen > before, what="the reset reaching the backend")
        assert client.request("/after", host=TO_HTTP2).status == 200


def test_cookie_crumbs_are_joined_for_http1(edge: Edge) -> None:
    with edge.http2() as client:
        answer = client.request("/", host=TO_HTTP1, headers=[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert answer.report.header("cookie") == "a=1; b=2; c=3"


@BOTH
def test_a_cut_response_resets_the_stream(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        answer = client.request("/cut", host=host, headers=[("x-do", "cut; size=1000000")])
        assert answer.reset_code is not None
        assert not answer.ended
        assert client.request("/after", host=host).status == 200


@BOTH
def test_a_reset_by_the_backend_is_a_502(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        answer = client.request("/", host=host, method="POST", headers=[("x-do", "reset")], body=b"x")
    assert answer.status == 502


@BOTH
@pytest.mark.parametrize("grpc", [False, True], ids=["http", "grpc"])
def test_an_answer_of_the_gateway_before_the_body_is_sent_arrives(edge: Edge, host: str, grpc: bool) -> None:
    kind = [("content-type", "application/grpc"), ("te", "trailers")] if grpc else []
    with edge.http2() as client:
        stream = client.open("/", host=f"no-{host}", method="POST", headers=kind, end=False)
        answer = client.finished(stream)
        assert answer.header("grpc-status") == ("12" if grpc else None)
        assert answer.status == (200 if grpc else 404)
        assert client.request("/after", host=host).status == 200


def test_an_answer_of_the_backend_before_the_body_is_sent_arrives(edge: Edge) -> None:
    with edge.http2() as client:
        stream = client.open("/", host=TO_HTTP2, method="POST", headers=[("x-do", "status=413; early")], end=False)
        assert client.head_of(stream).status == 413
        assert client.finished(stream).body


@BOTH
def test_head_over_http2_has_no_body(edge: Edge, host: str) -> None:
    with edge.http2() as client:
        answer = client.request("/", host=host, method="HEAD", headers=[("x-do", "size=1234")])
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "1234")


def test_goaway_from_a_backend_loses_nothing(edge: Edge, two: Http2Backend) -> None:
    with edge.http2() as client:
        slow = client.open("/slow", host=TO_HTTP2, headers=[("x-do", "delay=0.5"), ("x-id", "before-goaway")])
        eventually(lambda: two.journal.where("x-id", "before-goaway"))
        two.go_away()
        after = [client.open(f"/{number}", host=TO_HTTP2) for number in range(10)]
        assert [client.finished(stream).status for stream in [slow, *after]] == [200] * 11


def test_a_backends_stream_limit_is_kept_to(directory: Path) -> None:
    with Http2Backend("narrow", max_streams=4) as narrow:
        manifests = [
            *backend("narrow", narrow.port, app_protocol="kubernetes.io/h2c"),
            http_route("narrow", rule("narrow"), hosts=[TO_HTTP2]),
        ]
        with open_edge(directory / "narrow", manifests, workers=1) as edge, edge.http2() as client:
            streams = [client.open("/", host=TO_HTTP2, headers=[("x-do", "delay=0.3")]) for _ in range(20)]
            assert [client.finished(stream).status for stream in streams] == [200] * 20
            narrow.refused = 0
            streams = [client.open("/", host=TO_HTTP2, headers=[("x-do", "delay=0.1")]) for _ in range(40)]
            assert [client.finished(stream).status for stream in streams] == [200] * 40
            assert narrow.refused == 0, "the bound is known by now"


def test_a_slow_reader_over_http2_still_gets_everything(edge: Edge) -> None:
    with edge.http2(stream_window=1000) as client:
        answer = client.request("/", host=TO_HTTP2, headers=[("x-do", "size=200000")])
    assert len(answer.body) == 200_000


@pytest.mark.parametrize(
    "headers",
    [
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("te", "gzip")],
        [("upgrade", "h2c")],
        [("keep-alive", "timeout=5")],
    ],
    ids=lambda headers: headers[0][0],
)
def test_fields_that_http2_forbids_are_refused(edge: Edge, headers: list[tuple[str, str]]) -> None:
    with edge.http2() as client:
        stream = client.open("/", host=TO_HTTP1, headers=headers)
        answer = client.finished(stream)
        assert answer.reset_code is not None or answer.status == 400
        assert client.request("/after", host=TO_HTTP1).status == 200, "one bad stream cost the connection"


def test_an_upper_case_field_name_is_refused(edge: Edge) -> None:
    with edge.http2() as client:
        stream = client.open("/", host=TO_HTTP1, headers=[("UPPER", "case")])
        answer = client.responses[stream]
        client.pump(lambda: answer.done or client.closed)
        assert answer.status in {0, 400}


def test_a_content_length_that_lies_is_refused(edge: Edge, one: Http1Backend) -> None:
    with edge.http2() as client:
        stream = client.open("/lie", host=TO_HTTP1, method="POST", headers=[("content-length", "3")], end=False)
        client.send(stream, b"abcdefghij", end=True)
        answer = client.finished(stream)
    assert answer.reset_code is not None or answer.status == 400
    assert not any(item.path == "/lie" and item.complete for item in one.journal.received if item.body_bytes != 3)
