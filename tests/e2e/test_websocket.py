"""WebSockets through the gateway: upgrades of HTTP/1.1, plain and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.backends.exchange import generated
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.raw import RawBackend, read_head
from tests.support.backends.websocket import WebSocketBackend
from tests.support.certificates import shared_authority
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, http_route, path_match, rule
from tests.support.waiting import eventually

HOST = "ws.example.com"


@pytest.fixture(scope="module")
def origin() -> Iterator[WebSocketBackend]:
    with WebSocketBackend() as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: WebSocketBackend, plain: Http1Backend) -> Iterator[Edge]:
    rewrite = {
        "type": "URLRewrite",
        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/inner"}},
    }
    manifests = [
        *backend("origin", origin.port, app_protocol="kubernetes.io/ws"),
        *backend("undeclared", origin.port),
        *backend("plain", plain.port),
        *backend("empty"),
        http_route(
            "websocket",
            rule("origin"),
            rule("undeclared", matches=[path_match("/undeclared")]),
            rule("origin", matches=[path_match("/rewritten")], filters=[rewrite]),
            rule("plain", matches=[path_match("/plain")]),
            rule("empty", matches=[path_match("/empty")]),
            rule("origin", matches=[path_match("/timed")], timeouts={"request": "1s"}),
            hosts=[HOST],
        ),
    ]
    with open_edge(directory, manifests) as running:
        yield running


def open_websocket(edge: Edge, path: str = "/", *, host: str = HOST, **options: Any) -> ClientConnection:
    options |= {"proxy": None, "ping_interval": None, "open_timeout": 10, "close_timeout": 5}
    options["sock"] = edge.plain_socket()
    opened: ClientConnection = connect(f"ws://{host}{path}", **options)
    return opened


MESSAGES = ("text", "ünïcode", b"\x00\xff", "", generated(300_000))


def test_messages_go_both_ways(edge: Edge) -> None:
    with open_websocket(edge) as websocket:
        for message in MESSAGES:
            websocket.send(message)
            assert websocket.recv(timeout=10) == message


async def test_messages_go_both_ways_over_tls(edge: Edge) -> None:
    # Not the client with threads: with it two threads use one TLS session, which ssl does not allow for.
    async with async_connect(
        f"wss://{HOST}/",
        ssl=shared_authority().client_context(),
        server_hostname=HOST,
        sock=edge.plain_socket(tls=True),
        proxy=None,
    ) as websocket:
        for message in MESSAGES:
            await websocket.send(message)
            assert await asyncio.wait_for(websocket.recv(), 10) == message


def test_the_opening_request_reaches_the_backend_whole(edge: Edge) -> None:
    headers = {"x-custom": "1", "Origin": "https://ws.example.com"}
    with open_websocket(
        edge, "/chat?room=1", additional_headers=headers, subprotocols=[Subprotocol("superchat")]
    ) as websocket:
        assert websocket.subprotocol == "superchat"
        websocket.send("report")
        report = json.loads(websocket.recv(timeout=10))
    names = {name.lower(): value for name, value in report["headers"]}
    assert report["path"] == "/chat?room=1"
    assert names["x-custom"] == "1"
    assert names["upgrade"].lower() == "websocket"
    assert names["connection"].lower() == "upgrade"


def test_a_backend_that_does_not_declare_websockets_gets_them_too(edge: Edge) -> None:
    with open_websocket(edge, "/undeclared") as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=10) == "hello"


def test_filters_apply_to_the_opening_request(edge: Edge) -> None:
    with open_websocket(edge, "/rewritten/room") as websocket:
        websocket.send("report")
        assert json.loads(websocket.recv(timeout=10))["path"] == "/inner/room"


def test_the_backends_close_code_reaches_the_client(edge: Edge) -> None:
    with open_websocket(edge) as websocket:
        websocket.send("close 4321")
        with pytest.raises(ConnectionClosed):
            websocket.recv(timeout=10)
        assert (websocket.close_code, websocket.close_reason) == (4321, "as ordered")


def test_the_clients_close_code_reaches_the_backend(edge: Edge, origin: WebSocketBackend) -> None:
    with open_websocket(edge) as websocket:
        websocket.send("hello")
        websocket.recv(timeout=10)
        websocket.close(4999, "bye")
    eventually(lambda: 4999 in origin.closed_codes)


def test_an_upgrade_that_the_backend_refuses_is_passed_on(edge: Edge) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        open_websocket(edge, "/plain", additional_headers={"x-do": "status=403"}),
    ):
        pass
    assert caught.value.response.status_code == 403


def test_an_upgrade_without_a_ready_endpoint_is_a_503(edge: Edge) -> None:
    with pytest.raises(InvalidStatus) as caught, open_websocket(edge, "/empty"):
        pass
    assert caught.value.response.status_code == 503


def test_an_upgrade_without_a_route_is_a_404(edge: Edge) -> None:
    with pytest.raises(InvalidStatus) as caught, open_websocket(edge, host="nobody.example.com"):
        pass
    assert caught.value.response.status_code == 404


def test_a_request_timeout_does_not_cut_an_open_websocket(edge: Edge) -> None:
    with open_websocket(edge, "/timed") as websocket:
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            websocket.send("still here")
            assert websocket.recv(timeout=5) == "still here"
            time.sleep(0.25)


def test_a_backend_that_dies_closes_the_clients_side(directory: Path) -> None:
    die = threading.Event()

    def upgrade_then_die(connection: Any) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst bytes"
        )
        die.wait(10)

    with RawBackend(upgrade_then_die) as raw:
        manifests = [*backend("dying", raw.port), http_route("dying", rule("dying"))]
        with open_edge(directory / "dying", manifests) as edge, edge.raw() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            answer = client.head()
            assert (answer.status, (answer.header("upgrade") or "").lower()) == (101, "websocket")
            assert client.read(11) == b"first bytes"
            die.set()
            assert client.closed_within(3)


def test_bytes_sent_right_behind_the_upgrade_are_not_lost(edge: Edge) -> None:
    head = (
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    masked_hello = b"\x81\x85\x00\x00\x00\x00hello"
    with edge.raw() as client:
        client.send(head, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", masked_hello)
        assert client.head().status == 101
        assert client.read(7) == b"\x81\x05hello"


def test_many_websockets_at_once(edge: Edge) -> None:
    with contextlib.ExitStack() as stack:
        websockets = [stack.enter_context(open_websocket(edge)) for _ in range(100)]
        for number, websocket in enumerate(websockets):
            websocket.send(str(number))
        assert [websocket.recv(timeout=10) for websocket in websockets] == [str(number) for number in range(100)]


def test_a_websocket_is_logged_once_when_it_ends(edge: Edge) -> None:
    with open_websocket(edge, "/logged-once") as websocket:
        websocket.send("hello")
        websocket.recv(timeout=10)
    record = edge.sekisho.logged(lambda item: item.get("path") == "/logged-once")
    assert record["response_code"] == 101
