"""Peers that mean harm, on either side: HTTP/2 that would be another message in HTTP/1.1, floods, endless backends.

Each attack is bounded; afterwards the gateway serves everybody else, and has not grown.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PriorityFrame, SettingsFrame, WindowUpdateFrame

from tests.support.backends.http1 import Http1Backend
from tests.support.backends.raw import RawBackend, answers, read_head
from tests.support.clients.http2 import Http2Client
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, rule

HOST = "hostile.example.com"
MIB = 1024 * 1024
Fields = list[tuple[str, str]]


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    manifests = [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST])]
    limits = {"streamIdleTimeout": "2s", "connectionIdleTimeout": "5s", "maxResetsPerConnection": 20}
    with open_edge(directory, manifests, limits=limits) as running:
        yield running


@pytest.fixture
def grown(edge: Edge) -> Iterator[Callable[[], int]]:
    """Bytes that the process has grown by; at the end it must serve."""
    before = edge.sekisho.process.resident_bytes()
    yield lambda: edge.sekisho.process.resident_bytes() - before
    assert edge.curl(f"http://{HOST}/").status == 200


# --- HTTP/2 that would be another message in HTTP/1.1 ------------------------------------------------


def head(*more: tuple[str, str], method: str = "GET", path: str = "/smuggled", authority: str = HOST) -> Fields:
    return [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *more]


DOWNGRADES: dict[str, Fields] = {
    "a line end in a value": head(("x-a", "1\r\nx-b: 2")),
    "a bare line feed in a value": head(("x-a", "1\nx-b: 2")),
    "a bare carriage return in a value": head(("x-a", "1\rx-b: 2")),
    "NUL in a value": head(("x-a", "1\x002")),
    "a line end in a name": head(("x-a: 1\r\nx-b", "2")),
    "a colon in a name": head(("x-a:", "2")),
    "a space in a name": head(("x-a ", "2")),
    "an empty name": head(("", "2")),
    "a line end in the path": head(path="/ HTTP/1.1\r\nhost: evil.example.com\r\n\r\nGET /x"),
    "a space in the path": head(path="/ HTTP/1.1"),
    "a fragment in the path": head(path="/#x"),
    "no slash in the path": head(path="x"),
    "an empty path": head(path=""),
    "a line end in the method": head(method="GET / HTTP/1.1\r\nx: y\r\n\r\nGET"),
    "a space in the method": head(method="GET /"),
    "a line end in the authority": head(authority=f"{HOST}\r\nx-a: 1"),
    "a path in the authority": head(authority=f"{HOST}/x"),
    "user information": head(authority=f"admin@{HOST}"),
    "another Host": head(("host", "evil.example.com")),
    "two paths": [*head(), (":path", "/other")],
    "a pseudo field behind fields": [*head(("x-a", "1")), (":path", "/other")],
    "an unknown pseudo field": [*head(), (":other", "1")],
    "a status in a request": [*head(), (":status", "200")],
    "a length and no content": head(("content-length", "5"), method="POST"),
    "two lengths": head(("content-length", "0"), ("content-length", "5"), method="POST"),
    "a list of lengths": head(("content-length", "0, 5"), method="POST"),
    "a signed length": head(("content-length", "+0"), method="POST"),
    "a hidden transfer coding": head(("transfer-encoding", "identity")),
    "a proxy's connection field": head(("proxy-connection", "keep-alive")),
    "an extended CONNECT": [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST), (":path", "/"),
    ],
    "CONNECT to a reverse proxy": [(":method", "CONNECT"), (":authority", f"{HOST}:80")],
}  # fmt: skip


@pytest.mark.parametrize("name", DOWNGRADES)
def test_what_would_be_another_message_in_http1_is_refused(edge: Edge, origin: Http1Backend, name: str) -> None:
    before = len(origin.raw_heads)
    with edge.http2() as client:
        stream = client.open_with(DOWNGRADES[name])
        answer = client.responses[stream]
        client.pump(lambda: answer.done or client.closed)
    assert answer.status in {0, *range(400, 600)}, answer.status
    assert len(origin.raw_heads) == before, origin.raw_heads[before:]


@pytest.mark.parametrize(
    "trailer",
    [
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "evil.example.com"),
        (":path", "/other"),
        ("x-a", "1\r\n\r\nGET /smuggled HTTP/1.1"),
        ("connection", "close"),
    ],
    ids=lambda trailer: trailer[0],
)
def test_trailers_add_nothing_to_a_message(edge: Edge, origin: Http1Backend, trailer: tuple[str, str]) -> None:
    path = f"/trailed-{trailer[0].strip(':')}"
    with edge.http2() as client:
        stream = client.open(path, host=HOST, method="POST", end=False)
        client.send(stream, b"content")
        client.connection.send_headers(stream, [trailer], end_stream=True)
        client.flush()
        answer = client.responses[stream]
        client.pump(lambda: answer.done or client.closed)
    # Left out (RFC 9110, 6.5.1), or refused.
    if answer.status == 200:
        assert answer.report.trailers == []
    else:
        assert not any(item.path == path and item.complete for item in origin.journal.received)
    assert not any(item.path == "/smuggled" for item in origin.journal.received)


def test_connection_does_not_name_away_what_the_gateway_says(edge: Edge) -> None:
    """A client that calls the gateway's own fields hop-by-hop would speak for itself."""
    named = "close, x-forwarded-for, x-forwarded-proto, x-request-id, host, content-length, traceparent, forwarded"
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: {named}\r\nContent-Length: 5\r\n\r\nhello")
        report = client.response().report
    assert report.header("x-forwarded-for") == "127.0.0.1"
    assert report.header("x-forwarded-proto") == "http"
    assert report.header("x-request-id")
    assert (report.header("host"), report.body_bytes) == (HOST, 5)


# --- floods ------------------------------------------------------------------------------------------


def flood(edge: Edge, frames: Iterator[Frame] | list[Frame], prelude: Callable[[Http2Client], object]) -> Http2Client:
    client = edge.http2()
    prelude(client)
    with contextlib.suppress(OSError):
        client.socket.settimeout(2)
        for frame in frames:
            client.socket.sendall(frame.serialize())
    return client


OPEN = {"host": HOST, "method": "POST", "end": False}


@pytest.mark.parametrize(
    "frame",
    [
        PriorityFrame(1, depends_on=3),
        WindowUpdateFrame(0, window_increment=1),
        WindowUpdateFrame(1, window_increment=1),
        DataFrame(1, b""),
        SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65_535}),
        SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 0}),
    ],
    ids=["priority", "window", "stream-window", "empty-data", "settings", "table-size"],
)
def test_a_flood_of_frames_that_say_nothing_ends_the_connection(
    edge: Edge, grown: Callable[[], int], frame: Frame
) -> None:
    with flood(edge, [frame] * 20_000, lambda client: client.open("/flood", **OPEN)) as client:  # type: ignore[arg-type]
        assert client.closed_within(5)
    assert grown() < 8 * MIB


def test_a_client_that_makes_the_gateway_reset_its_streams_is_sent_away(
    edge: Edge, origin: Http1Backend, grown: Callable[[], int]
) -> None:
    """Requests go on at the backend while their streams are over at once (CVE-2025-8671)."""
    before = len(origin.journal.received)
    with edge.http2() as client:
        with contextlib.suppress(OSError):
            for _ in range(500):
                stream = client.open("/provoked", host=HOST, headers=[("x-do", "delay=1")])
                client.send_frame(WindowUpdateFrame(stream, window_increment=0x7FFFFFFF))
        assert client.closed_within(5)
    assert len(origin.journal.received) - before < 150
    assert grown() < 8 * MIB


def test_a_small_block_of_a_huge_list_is_not_unfolded(
    edge: Edge, origin: Http1Backend, grown: Callable[[], int]
) -> None:
    """One field in the table, and a byte for each of its repetitions."""
    before = len(origin.raw_heads)
    value = b"a" * 4000
    entry = b"\x40\x03x-a" + b"\x7f" + _integer(len(value) - 127) + value
    block = b"\x82\x86\x84" + b"\x41" + bytes([len(HOST)]) + HOST.encode() + entry + b"\xbe" * 12_000
    with edge.http2() as client:
        for stream in range(1, 41, 2):
            with contextlib.suppress(OSError):
                client.send_frame(HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]))
        with contextlib.suppress(Exception):
            client.pump(lambda: client.closed, within=1)
    assert len(origin.raw_heads) == before
    assert grown() < 8 * MIB


def _integer(rest: int) -> bytes:
    """What stands behind a prefix that is full (RFC 7541, 5.1)."""
    encoded = bytearray()
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest //= 128
    return bytes([*encoded, rest])


# --- backends ----------------------------------------------------------------------------------------


def without_end(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(start)
        for _ in range(64 * MIB // len(piece)):
            connection.sendall(piece)

    return handler


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"a" * 900 + b">\r\n\r\n"
ENDLESS = {
    "informational answers": (b"", HINT * 16),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"a" * 1000 + b"\r\n"),
    "one field": (b"HTTP/1.1 200 OK\r\nx-a: ", b"a" * 4096),
    "a reason": (b"HTTP/1.1 200 ", b"a" * 4096),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x-a: " + b"a" * 1000 + b"\r\n"
    ),
    "an extension of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 4096),
    "empty lines": (b"", b"\r\n" * 2048),
}  # fmt: skip


def one_backend(port: int) -> list[Manifest]:
    return [*backend("bad", port), http_route("bad", rule("bad"), hosts=[HOST])]


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_is_given_up(directory: Path, name: str) -> None:
    with RawBackend(without_end(*ENDLESS[name])) as raw:
        where = directory / f"endless-{name.replace(' ', '-')}"
        with open_edge(where, one_backend(raw.port)) as edge:
            before = edge.sekisho.process.resident_bytes()
            # It reads nothing until the end: what is passed on has to wait, or to be given up.
            with edge.raw(receive_buffer=4096) as client:
                client.send(f"GET /endless HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
                edge.sekisho.logged(lambda item: item.get("path") == "/endless")
            assert edge.sekisho.process.resident_bytes() - before < 16 * MIB


POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
WITH_MORE = {
    "204 with content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(POISON),
    "304 with content": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "204 in chunks": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("name", WITH_MORE)
def test_content_behind_an_answer_that_has_none_is_nobody_s_answer(directory: Path, name: str) -> None:
    with RawBackend(answers(WITH_MORE[name] + POISON, keep_open=5)) as raw:
        where = directory / f"more-{name.replace(' ', '-')}"
        with open_edge(where, one_backend(raw.port), workers=1) as edge, edge.raw() as client:
            found = [client.request("GET", "/", host=HOST) for _ in range(3)]
    assert all(answer.body != b"poison" and answer.status in {204, 304, 502} for answer in found)


def test_an_answer_cannot_add_fields_or_lines_to_the_log(directory: Path) -> None:
    """What peers say is in the log as text: one line a request, whatever they say."""
    answer = b'HTTP/1.1 200 "},{"response_code":"418\r\nServer: \x1b[2J"}\\\xff\r\nContent-Length: 0\r\n\r\n'
    with RawBackend(answers(answer)) as raw, open_edge(directory / "log", one_backend(raw.port)) as edge:
        agent = 'x"}\\ {"response_code":418} \x85\xff\u00e9'.encode("latin-1")
        with edge.raw() as client:
            client.send(b"GET /logged?q=%0a%22%7d HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n")
            client.send(b"User-Agent: " + agent + b"\r\nX-Forwarded-For: 1.2.3.4%0a\r\n\r\n")
            client.read_some()
        edge.sekisho.logged(lambda item: str(item.get("path", "")).startswith("/logged"))
        text = edge.sekisho.log.read_bytes()
    lines = [json.loads(line) for line in text.split(b"\n") if line]
    assert not any(byte < 0x20 and byte != 0x0A for byte in text)
    assert [line["response_code"] for line in lines if line.get("path", "").startswith("/logged")] != [418]
