"""Bounds at the edge: what is too much or too slow is cut off, and everybody else is served meanwhile."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.clients.http2 import Http2Client
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, rule
from tests.support.waiting import eventually

HOST = "limits.example.com"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def manifests(origin: Http1Backend) -> list[Manifest]:
    return [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST])]


@pytest.fixture(scope="module")
def edge(directory: Path, manifests: list[Manifest]) -> Iterator[Edge]:
    limits = {
        "requestHeadTimeout": "1s",
        "streamIdleTimeout": "1s",
        "connectionIdleTimeout": "2s",
        "tlsHandshakeTimeout": "1s",
        "maxRequestHeadBytes": 8192,
        "maxRequestHeaders": 20,
        "maxConcurrentStreams": 10,
        "maxResetsPerConnection": 20,
    }
    with open_edge(directory / "low", manifests, limits=limits) as running:
        yield running


def serves(edge: Edge) -> bool:
    return edge.curl(f"http://{HOST}/").status == 200


def seconds_until_closed(client: RawClient, within: float = 6) -> float:
    started = time.monotonic()
    assert client.closed_within(within), "the connection was not cut off"
    return time.monotonic() - started


# --- too slow ----------------------------------------------------------------------------------------


def test_a_client_that_sends_nothing_is_cut_off(edge: Edge) -> None:
    with edge.raw() as client:
        assert seconds_until_closed(client) < 4
    assert serves(edge)


def test_a_client_that_sends_one_byte_a_second_is_cut_off(edge: Edge) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n"
    with edge.raw() as client:
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in head:
                client.send(byte)
                client.socket.settimeout(1)
                try:
                    data = client.socket.recv(4096)
                except TimeoutError:
                    continue
                assert not data or b" 408 " in data, data
                break
        assert time.monotonic() - started < 4, "a byte a second keeps a connection open"


def test_a_body_that_stalls_is_cut_off(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nhalf")
        assert seconds_until_closed(client) < 4


def test_a_client_that_reads_nothing_is_cut_off(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    with edge.raw(receive_buffer=4096) as client:
        client.send(f"GET /unread HTTP/1.1\r\nHost: {HOST}\r\nx-do: size=200000000\r\n\r\n")
        record = edge.sekisho.logged(lambda item: item.get("path") == "/unread")
        assert record["response_code_details"] in {"stream_idle_timeout", "downstream_disconnected"}
    assert edge.sekisho.process.resident_bytes() - before < 32 * MIB


def test_an_http2_client_that_reads_nothing_is_cut_off(edge: Edge) -> None:
    with edge.http2(automatic_credit=False, stream_window=65_535) as client:
        stream = client.open("/unread-h2", host=HOST, headers=[("x-do", "size=200000000")])
        assert client.finished(stream).reset_code is not None
    record = edge.sekisho.logged(lambda item: item.get("path") == "/unread-h2")
    assert record["response_code_details"] == "stream_idle_timeout"


def test_an_idle_connection_is_closed_after_its_time(edge: Edge) -> None:
    with edge.raw() as client:
        assert client.request("GET", "/", host=HOST).status == 200
        assert 0.5 < seconds_until_closed(client) < 5


def test_an_idle_http2_connection_is_closed_after_its_time(edge: Edge) -> None:
    with edge.http2() as client:
        assert client.request("/", host=HOST).status == 200
        assert client.closed_within(6)


def test_a_tls_handshake_that_never_comes_is_cut_off(edge: Edge) -> None:
    with RawClient(edge.https_port) as client:
        assert seconds_until_closed(client) < 4


def test_an_http2_preface_that_never_ends_is_cut_off(edge: Edge) -> None:
    with edge.raw() as client:
        client.send("PRI * HTTP/2.0\r\n\r\nS")
        assert seconds_until_closed(client) < 5


def test_a_busy_connection_is_not_cut_off(edge: Edge) -> None:
    with edge.raw() as client:
        deadline = time.monotonic() + 3.5
        while time.monotonic() < deadline:
            assert client.request("GET", "/", host=HOST).status == 200
            time.sleep(0.3)


def test_a_slow_but_steady_stream_is_not_cut_off(edge: Edge) -> None:
    result = edge.curl(f"http://{HOST}/steady", "-H", "x-do: events=8; pause=0.5")
    assert result.exit_code == 0
    assert result.body.count(b"data:") == 8


# --- too much ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [f"x-{number}: 1" for number in range(25)],
        ["x-large: " + "a" * 10_000],
        [f"x-{number}: {'a' * 1000}" for number in range(15)],
    ],
    ids=["too many", "one too large", "too large together"],
)
def test_a_head_over_the_bounds_is_a_431(edge: Edge, lines: list[str]) -> None:
    with edge.raw() as client:
        answer = client.request("GET", "/", *lines, host=HOST)
        assert answer.status == 431
        assert client.closed_within(2)
    with edge.http2() as streams:
        fields = [tuple(line.split(": ")) for line in lines]
        stream = streams.open("/", host=HOST, headers=fields)  # type: ignore[arg-type]
        refused = streams.responses[stream]
        with contextlib.suppress(TimeoutError):
            streams.pump(lambda: refused.done or streams.closed, within=3)
        assert refused.status == 431 or refused.reset_code is not None or streams.closed


def test_a_head_that_never_ends_is_cut_off_within_its_bound(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    with edge.raw() as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n")
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(2000):
                client.send("x-flood: " + "a" * 1000 + "\r\n")
        assert client.closed_within(3)
    assert edge.sekisho.process.resident_bytes() - before < 8 * MIB


def test_a_target_over_the_bound_is_refused(edge: Edge) -> None:
    with edge.raw() as client:
        assert client.request("GET", "/" + "a" * 10_000, host=HOST).status in {414, 431}


def test_streams_over_the_bound_are_refused_alone(edge: Edge) -> None:
    with edge.http2() as client:
        client.pump(lambda: client.connection.remote_settings.max_concurrent_streams == 10)
        streams = [client.open("/", host=HOST, headers=[("x-do", "delay=0.5")]) for _ in range(10)]
        assert [client.finished(stream).status for stream in streams] == [200] * 10


def test_connections_over_the_bound_are_refused(directory: Path, manifests: list[Manifest]) -> None:
    limits = {"maxConnections": 20, "maxConnectionsPerListener": 10}
    with open_edge(directory / "few", manifests, limits=limits) as edge:
        held = [edge.raw() for _ in range(10)]
        assert all(client.request("GET", "/", host=HOST).status == 200 for client in held)
        with edge.raw(timeout=3) as over:
            with contextlib.suppress(ConnectionError):
                over.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            data = over.read_to_end()
            assert data == b"" or b" 503 " in data.split(b"\r\n")[0]
        for client in held:
            client.close()
        eventually(lambda: serves(edge), what="serving again once connections are free")


def test_resets_in_rapid_succession_end_the_connection(edge: Edge, origin: Http1Backend) -> None:
    before = len(origin.journal.received)
    with edge.http2() as client:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            for _ in range(500):
                client.reset(client.open("/rapid", host=HOST))
        assert client.closed_within(5)
        assert client.goaway in {11, None}, f"expected ENHANCE_YOUR_CALM, got {client.goaway}"
    assert len(origin.journal.received) - before < 200
    assert serves(edge)


def test_few_resets_are_no_attack(edge: Edge) -> None:
    with edge.http2() as client:
        for _ in range(8):
            client.reset(client.open("/patient", host=HOST, headers=[("x-do", "delay=5")]))
        assert client.request("/", host=HOST).status == 200


def _frames(edge: Edge, frames: list[Frame]) -> Http2Client:
    client = edge.http2()
    with contextlib.suppress(ConnectionError):
        for frame in frames:
            client.send_frame(frame)
    return client


def test_a_flood_of_continuation_frames_ends_the_connection(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    block = b"\x82\x86\x84\x01\x0alimits.com"
    first = HeadersFrame(1, data=block)
    more = ContinuationFrame(1, data=b"\x00\x03x-a" + b"\x7f\xf5\x04" + b"a" * 500)
    with _frames(edge, [first, *[more] * 5000]) as client:
        assert client.closed_within(5)
    assert edge.sekisho.process.resident_bytes() - before < 8 * MIB
    assert serves(edge)


def test_a_flood_of_empty_continuation_frames_ends_the_connection(edge: Edge) -> None:
    frames: list[Frame] = [HeadersFrame(1, data=b"\x82"), *[ContinuationFrame(1, data=b"")] * 20_000]
    with _frames(edge, frames) as client:
        assert client.closed_within(5)
    assert serves(edge)


@pytest.mark.parametrize("frame", [PingFrame(0), SettingsFrame(0)], ids=["ping", "settings"])
def test_a_flood_of_control_frames_does_not_grow_the_process(edge: Edge, frame: Frame) -> None:
    before = edge.sekisho.process.resident_bytes()
    client = edge.http2()
    client.socket.settimeout(0.5)
    with contextlib.suppress(OSError):
        for _ in range(100_000):
            client.socket.sendall(frame.serialize())
    assert edge.sekisho.process.resident_bytes() - before < 16 * MIB
    client.close()
    assert serves(edge)


def test_resets_of_streams_that_were_never_opened_end_the_connection(edge: Edge) -> None:
    with _frames(edge, [RstStreamFrame(99, error_code=8)]) as client:
        assert client.closed_within(5)
    assert serves(edge)


def test_a_client_that_shrinks_its_window_cannot_hold_memory(edge: Edge) -> None:
    before = edge.sekisho.process.resident_bytes()
    clients = []
    for _ in range(20):
        client = edge.http2(stream_window=1, automatic_credit=False)
        for _ in range(10):
            client.open("/window", host=HOST, headers=[("x-do", "size=10000000")])
        clients.append(client)
    time.sleep(0.7)
    assert edge.sekisho.process.resident_bytes() - before < 64 * MIB
    for client in clients:
        client.close()
    assert serves(edge)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_tls_versions_are_refused(edge: Edge) -> None:
    context = shared_authority().client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", edge.https_port), timeout=5) as plain, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(plain, server_hostname=HOST)
