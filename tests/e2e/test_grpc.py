"""gRPC through the gateway with grpcio: four kinds of call, trailers, deadlines, errors."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.backends.grpc_echo import (
    BIDIRECTIONAL,
    CLIENT_STREAM,
    SERVER_STREAM,
    UNARY,
    GrpcBackend,
    Message,
    decode,
    encode,
)
from tests.support.certificates import shared_authority
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, backend_ref, grpc_route, http_route, rule

HOST = "grpc.example.com"
VIA_HTTP_ROUTE = "http-route.example.com"
MATCHING = "matching.example.com"
BROKEN = "broken.example.com"
FILTERED = "filtered.example.com"
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def origin() -> Iterator[GrpcBackend]:
    with GrpcBackend("origin") as server:
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[GrpcBackend]:
    with GrpcBackend("other") as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: GrpcBackend, other: GrpcBackend) -> Iterator[Edge]:
    matching = grpc_route(
        "matching",
        rule("other", matches=[{"method": {"service": "echo.Echo", "method": "Special"}}]),
        rule("other", matches=[{"method": {"service": "other.Service"}}]),
        rule("other", matches=[{"method": {"method": "AnyService"}}]),
        rule("other", matches=[{"method": {"type": "RegularExpression", "service": "re[0-9]+\\.Echo"}}]),
        rule("other", matches=[{"headers": [{"name": "x-version", "value": "two"}]}]),
        rule(
            "other",
            matches=[{"headers": [{"name": "x-version", "type": "RegularExpression", "value": "v[3-5]"}]}],
        ),
        rule("origin"),
        hosts=[MATCHING],
    )
    broken = grpc_route(
        "broken",
        rule("absent", matches=[{"method": {"method": "Absent"}}]),
        rule("empty", matches=[{"method": {"method": "Empty"}}]),
        rule("refusing", matches=[{"method": {"method": "Refusing"}}]),
        hosts=[BROKEN],
    )
    filtered = grpc_route(
        "filtered",
        rule(
            backend_ref("origin"),
            filters=[
                {
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": {
                        "set": [{"name": "x-set", "value": "new"}],
                        "add": [{"name": "x-add", "value": "added"}],
                        "remove": ["x-remove"],
                    },
                },
                {
                    "type": "ResponseHeaderModifier",
                    "responseHeaderModifier": {"add": [{"name": "x-answer", "value": "yes"}]},
                },
                {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "other", "port": 80}}},
            ],
        ),
        hosts=[FILTERED],
    )
    manifests = [
        *backend("origin", origin.port, app_protocol="kubernetes.io/h2c"),
        *backend("other", other.port, app_protocol="kubernetes.io/h2c"),
        *backend("plain", origin.port),
        *backend("empty"),
        *backend("refusing", 1),
        grpc_route("all", rule("origin"), hosts=[HOST]),
        grpc_route("no-protocol", rule("plain"), hosts=["plain.example.com"]),
        http_route("via-http", rule("origin"), hosts=[VIA_HTTP_ROUTE]),
        matching,
        broken,
        filtered,
    ]
    with open_edge(directory, manifests) as running:
        yield running


def channel_to(edge: Edge, host: str = HOST, *, tls: bool = False) -> grpc.Channel:
    options = [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    if not tls:
        return grpc.insecure_channel(f"127.0.0.1:{edge.port}", options=options)
    credentials = grpc.ssl_channel_credentials(shared_authority().pem.encode())
    options.append(("grpc.ssl_target_name_override", host))
    return grpc.secure_channel(f"127.0.0.1:{edge.https_port}", credentials, options=options)


@pytest.fixture
def channel(edge: Edge) -> Iterator[grpc.Channel]:
    with channel_to(edge) as opened:
        yield opened


def unary(channel: grpc.Channel, method: str = UNARY) -> Any:
    return channel.unary_unary(method, encode, decode)


def failure_of(call: Any, message: Message, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=options.pop("timeout", 10), **options)
    return caught.value


def test_unary_call_with_metadata_and_trailers(channel: grpc.Channel) -> None:
    metadata = (("x-text", "plain"), ("x-data-bin", b"\x00\xff\x01"))
    answer, call = unary(channel).with_call({"text": "hello"}, metadata=metadata, timeout=10)
    assert answer["echo"] == {"text": "hello"}
    assert answer["metadata"]["x-text"] == "plain"
    assert answer["metadata"]["x-data-bin"] == str(b"\x00\xff\x01")
    assert ("x-initial", "origin") in [tuple(item) for item in call.initial_metadata()]
    trailing = [tuple(item) for item in call.trailing_metadata()]
    assert ("x-trailing", "origin") in trailing
    assert ("x-bytes-bin", b"\x00\x01\xff") in trailing
    assert call.code() is Code.OK


def test_server_streaming_call(channel: grpc.Channel) -> None:
    stream = channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 100}, timeout=10)
    assert [message["number"] for message in stream] == list(range(100))
    assert ("x-trailing", "origin") in [tuple(item) for item in stream.trailing_metadata()]


def test_server_streaming_messages_arrive_as_they_are_sent(channel: grpc.Channel) -> None:
    stream = channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 4, "pause": 0.2}, timeout=10)
    arrivals = [time.monotonic() for _ in stream]
    assert arrivals[-1] - arrivals[0] > 0.4


def test_client_streaming_call(channel: grpc.Channel) -> None:
    requests = ({"text": str(number)} for number in range(100))
    answer = channel.stream_unary(CLIENT_STREAM, encode, decode)(requests, timeout=10)
    assert answer["texts"] == [str(number) for number in range(100)]


def test_bidirectional_call_is_a_conversation(channel: grpc.Channel) -> None:
    outgoing: queue.Queue[Message | None] = queue.Queue()
    stream = channel.stream_stream(BIDIRECTIONAL, encode, decode)(iter(outgoing.get, None), timeout=10)
    for number in range(20):
        outgoing.put({"text": f"message {number}"})
        assert next(stream)["text"] == f"message {number}"
    outgoing.put(None)
    assert list(stream) == []
    assert stream.code() is Code.OK


def test_all_four_kinds_over_tls(edge: Edge) -> None:
    with channel_to(edge, tls=True) as channel:
        assert unary(channel)({"text": "a"}, timeout=10)["echo"]["text"] == "a"
        assert len(list(channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 3}, timeout=10))) == 3
        requests = [{"text": "1"}, {"text": "2"}]
        assert channel.stream_unary(CLIENT_STREAM, encode, decode)(iter(requests), timeout=10)["texts"] == ["1", "2"]
        answers = channel.stream_stream(BIDIRECTIONAL, encode, decode)(iter(requests), timeout=10)
        assert [answer["text"] for answer in answers] == ["1", "2"]


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK], ids=lambda code: code.name)
def test_every_status_of_the_backend_reaches_the_client(channel: grpc.Channel, code: grpc.StatusCode) -> None:
    error = failure_of(unary(channel), {"code": code.value[0], "details": "because of ünïcode, 100%"})
    assert error.code() is code
    assert error.details() == "because of ünïcode, 100%"
    assert ("x-trailing", "origin") in [tuple(item) for item in error.trailing_metadata()]


def test_an_error_after_some_messages(channel: grpc.Channel) -> None:
    stream = channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 3, "code": 9}, timeout=10)
    received: list[int] = []
    with pytest.raises(grpc.RpcError) as caught:
        received.extend(message["number"] for message in stream)
    assert caught.value.code() is Code.FAILED_PRECONDITION


def test_a_deadline_ends_the_call_on_both_sides(channel: grpc.Channel, origin: GrpcBackend) -> None:
    origin.cancelled.clear()
    started = time.monotonic()
    error = failure_of(unary(channel), {"delay": 10}, timeout=0.4)
    assert error.code() is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 3
    assert origin.cancelled.wait(5), "the backend works on for a client that has gone"


def test_the_deadline_reaches_the_backend(channel: grpc.Channel, origin: GrpcBackend) -> None:
    unary(channel)({"text": "deadline"}, timeout=7, metadata=(("x-id", "deadline"),))
    assert any(metadata.get("x-id") == "deadline" for _, metadata in origin.calls)


def test_cancelling_reaches_the_backend(channel: grpc.Channel, origin: GrpcBackend) -> None:
    origin.cancelled.clear()
    stream = channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 1000, "pause": 0.05}, timeout=60)
    next(stream)
    stream.cancel()
    assert origin.cancelled.wait(5)


@pytest.mark.parametrize("size", [0, 16_383, 16_384, 70_000, 3_000_000])
def test_messages_of_every_size(channel: grpc.Channel, size: int) -> None:
    assert unary(channel)({"text": "x" * size}, timeout=20)["echo"]["text"] == "x" * size


def test_calls_in_parallel(channel: grpc.Channel) -> None:
    call = unary(channel)
    pending = [call.future({"text": str(number), "delay": 0.05}, timeout=20) for number in range(200)]
    assert [future.result()["echo"]["text"] for future in pending] == [str(number) for number in range(200)]


def test_long_streams_and_short_calls_share_a_connection(channel: grpc.Channel) -> None:
    results: list[int] = []

    def consume() -> None:
        stream = channel.unary_stream(SERVER_STREAM, encode, decode)({"count": 10, "pause": 0.05}, timeout=20)
        results.append(len(list(stream)))

    threads = [threading.Thread(target=consume) for _ in range(10)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        unary(channel)({}, timeout=10)
    for thread in threads:
        thread.join(20)
    assert results == [10] * 10


def test_no_route_is_unimplemented(edge: Edge) -> None:
    with channel_to(edge, "nobody.example.com") as channel:
        error = failure_of(unary(channel), {})
    assert error.code() is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("Absent", "backend_not_found"),
        ("Empty", "no_healthy_upstream"),
        ("Refusing", "upstream_connect_failed"),
    ],
)
def test_a_backend_that_cannot_serve_is_unavailable(edge: Edge, method: str, reason: str) -> None:
    with channel_to(edge, BROKEN) as channel:
        error = failure_of(unary(channel, f"/echo.Echo/{method}"), {})
    assert error.code() is Code.UNAVAILABLE
    record = edge.sekisho.logged(lambda item: item.get("path") == f"/echo.Echo/{method}")
    assert record["response_code_details"] == reason
    assert str(record["grpc_status"]) in {"14", "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("method", "metadata", "expected"),
    [
        ("/echo.Echo/Special", (), "other"),
        ("/echo.Echo/Unary", (), "origin"),
        ("/other.Service/Unary", (), "other"),
        ("/third.Service/AnyService", (), "other"),
        ("/re42.Echo/Unary", (), "other"),
        ("/rex.Echo/Unary", (), "origin"),
        ("/echo.Echo/Unary", (("x-version", "two"),), "other"),
        ("/echo.Echo/Unary", (("x-version", "v4"),), "other"),
        ("/echo.Echo/Unary", (("x-version", "v6"),), "origin"),
    ],
)
def test_methods_and_headers_choose_the_rule(edge: Edge, method: str, metadata: tuple, expected: str) -> None:
    with channel_to(edge, MATCHING) as channel:
        assert unary(channel, method)({}, metadata=metadata, timeout=10)["backend"] == expected


def test_filters_apply_to_calls(edge: Edge, other: GrpcBackend) -> None:
    with channel_to(edge, FILTERED) as channel:
        metadata = (("x-set", "old"), ("x-remove", "gone"), ("x-id", "filters"))
        answer, call = unary(channel).with_call({"text": "x"}, metadata=metadata, timeout=10)
    assert answer["metadata"]["x-set"] == "new"
    assert answer["metadata"]["x-add"] == "added"
    assert "x-remove" not in answer["metadata"]
    assert ("x-answer", "yes") in [tuple(item) for item in call.initial_metadata()]
    deadline = time.monotonic() + 5
    while not any(metadata.get("x-id") == "filters" for _, metadata in other.calls):
        assert time.monotonic() < deadline, "the mirror got no copy"
        time.sleep(0.02)


def test_grpc_through_an_http_route(edge: Edge) -> None:
    with channel_to(edge, VIA_HTTP_ROUTE) as channel:
        assert unary(channel)({"text": "a"}, timeout=10)["backend"] == "origin"


def test_a_grpc_backend_needs_no_app_protocol(edge: Edge) -> None:
    with channel_to(edge, "plain.example.com") as channel:
        assert unary(channel)({"text": "a"}, timeout=10)["backend"] == "origin"


def test_a_request_that_is_not_grpc_does_not_take_a_grpc_route(edge: Edge) -> None:
    assert edge.curl(f"http://{HOST}/echo.Echo/Unary", "-X", "POST").status == 404


def test_the_status_of_calls_is_counted(edge: Edge, channel: grpc.Channel) -> None:
    labels = {"grpc_response_status": "9", "request_protocol": "grpc"}
    before = edge.sekisho.metric("istio_requests_total", **labels)
    failure_of(unary(channel), {"code": 9})
    deadline = time.monotonic() + 5
    while edge.sekisho.metric("istio_requests_total", **labels) <= before:
        assert time.monotonic() < deadline, "the call was not counted"
        time.sleep(0.1)
