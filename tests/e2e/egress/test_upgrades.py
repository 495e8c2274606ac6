"""WebSocket on the ways out in the clear: decided as the request that asks for it, bounded and followed as a tunnel."""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.websocket import WebSocketBackend
from tests.support.egress import PROXY, EgressGateway, egress_policy, read_answer, status_of
from tests.support.manifests import (
    Manifest,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    http_route,
    manifest,
    path_match,
    rule,
)
from tests.support.outside import NAME_SERVER, PUBLIC, THIRD_PUBLIC, Outside
from tests.support.waiting import eventually

WEB, PORT = 8080, 8460
WAYS = {"proxy": "Proxy", "redirected": "HTTP", "routed": "Route"}
NAMES = ("chat", "kept", "bytes", "time", "private", "denied")
MOST = 20_000


def _to(name: str, **more: Any) -> Manifest:
    return {"names": [f"{name}.ws.example"], "ports": [PORT], "pathPrefixes": ["/chat"], **more}


RULES: tuple[Manifest, ...] = (
    {"name": "chat", "to": [_to("chat"), _to("private")]},
    {"name": "kept", "to": [_to("kept")]},
    {"name": "bytes", "to": [_to("bytes")], "limits": {"bytes": MOST}},
    {"name": "time", "to": [_to("time")], "limits": {"duration": "1s"}},
    {"name": "web", "to": [{"names": ["ok.example"], "ports": [80]}]},
)


def manifests(*rules: Manifest) -> list[Manifest]:
    listeners = (
        {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "redirected", "port": PORT, "protocol": "sekisho.dev/EgressHTTP"},
        {"name": "web", "port": WEB, "protocol": "HTTP"},
    )
    routes = [rule(external_ref(name), matches=[path_match(f"/chat/{name}")]) for name in NAMES]
    return [
        gateway_class(),
        gateway(*listeners, parameters="edge"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        http_route("chat", *routes),
        *(external_backend(name, f"{name}.ws.example", PORT) for name in NAMES),
        egress_policy("base", *rules),
    ]


@pytest.fixture(scope="module")
def chat(outside: Outside) -> Iterator[WebSocketBackend]:
    server = WebSocketBackend("chat", port=PORT)
    server.address, server.enter = THIRD_PUBLIC, outside.beyond.enter
    with server:
        yield server


@pytest.fixture(scope="module")
def edge(outside: Outside, directory: Path, chat: WebSocketBackend) -> Iterator[EgressGateway]:
    outside.zone.update({f"{name}.ws.example": [chat.address] for name in NAMES})
    outside.zone["private.ws.example"] = ["10.9.9.9"]
    with EgressGateway(outside, directory / "upgrades", manifests(*RULES)) as running:
        yield running


class Chat:
    """A client that sends short messages, each in a frame (RFC 6455, 5.2)."""

    def __init__(self, edge: EgressGateway, way: str, name: str, *, path: str = "/chat/", upgrade: str = "websocket"):
        self.socket = edge.connect({"proxy": PROXY, "redirected": PORT, "routed": WEB}[way])
        host, path = f"{name}.ws.example:{PORT}", f"{path}{name}"
        target = f"http://{host}{path}" if way == "proxy" else path
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.answer = read_answer(self.socket)

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def says(self, text: bytes) -> bytes:
        """What comes back; empty where the connection ended."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        try:
            self.socket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
            frame = self._read(2)
            return self._read(frame[1]) if frame else b""
        except OSError:
            return b""

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length and (piece := self.socket.recv(length - len(data))):
            data += piece
        return data if len(data) == length else b""


def ends(edge: EgressGateway, **wanted: Any) -> list[dict[str, Any]]:
    found = [record for record in edge.records() if record["record"] == "egress_end"]
    return [end for end in found if all(end[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize("way", WAYS)
def test_messages_go_both_ways(edge: EgressGateway, way: str) -> None:
    before = len(edge.records())
    with Chat(edge, way, "chat") as chat:
        assert status_of(chat.answer) == 101
        assert [chat.says(text) for text in (b"hello", b"again")] == [b"hello", b"again"]
    record = edge.decision(after=before, host="chat.ws.example", port=PORT, way=WAYS[way])
    assert (record["decision"], record["rule"], record["method"]) == ("allow", "chat", "GET")
    assert record["dialled"] == f"{THIRD_PUBLIC}:{PORT}"
    [end] = eventually(lambda: ends(edge, id=record["id"]), within=5, what="the record of the end")
    # Two frames of each side besides the heads.
    assert end["bytes_received"] > 22
    assert end["bytes_sent"] >= 14


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("denied", "/chat/", "egress_denied"),
        ("private", "/chat/", "egress_address_prohibited"),
        ("chat", "/chatter/", "egress_denied"),
    ],
)
def test_what_is_denied_switches_to_nothing(
    edge: EgressGateway, chat: WebSocketBackend, way: str, name: str, path: str, reason: str
) -> None:
    opened, before = chat.opened, len(edge.records())
    with Chat(edge, way, name, path=path) as client:
        # No route leads to another path.
        routeless = way == "routed" and path != "/chat/"
        assert status_of(client.answer) == (404 if routeless else 403)
    if not routeless:
        edge.decision(after=before, host=f"{name}.ws.example", way=WAYS[way], decision="deny", reason=reason)
    assert chat.opened == opened


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_bounds_bytes(edge: EgressGateway, way: str) -> None:
    sent = 0
    with Chat(edge, way, "bytes") as chat:
        assert status_of(chat.answer) == 101
        while sent < 10 * MOST and chat.says(b"x" * 120):
            sent += 120
    assert MOST / 4 < sent < MOST
    eventually(lambda: ends(edge, rule="bytes", way=WAYS[way], reason="egress_limit"), within=5, what="the end")


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_bounds_time(edge: EgressGateway, way: str) -> None:
    began = time.monotonic()
    with Chat(edge, way, "time") as chat:
        assert chat.says(b"hello") == b"hello"
        assert chat.socket.recv(1) == b""
    assert 0.5 < time.monotonic() - began < 6
    eventually(lambda: ends(edge, rule="time", way=WAYS[way], reason="egress_limit"), within=5, what="the end")


@pytest.mark.parametrize("protocol", ["h2c", "websocket, h2c", "anything"])
def test_no_other_protocol_is_asked_for(edge: EgressGateway, outside: Outside, protocol: str) -> None:
    """What a client of HTTP/2 asks for in a stream of its own, nobody would decide about."""
    before = len(outside.requests)
    ask = f"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    assert status_of(edge.ask(ask.encode())) == 200
    [(address, head)] = outside.requests[before:]
    assert address == PUBLIC
    assert "upgrade" not in head.lower()


def test_what_is_no_longer_allowed_is_closed_and_the_rest_goes_on(edge: EgressGateway) -> None:
    cut, kept = [Chat(edge, way, "chat") for way in WAYS], [Chat(edge, way, "kept") for way in WAYS]
    for one in cut + kept:
        assert one.says(b"hello") == b"hello"
    edge.write(manifests(*RULES[1:]))
    began = time.monotonic()
    for one in cut:
        with one:
            assert closed(one.socket)
    # The manifests are read in that time as well.
    assert time.monotonic() - began < 1
    for one in kept:
        with one:
            assert one.says(b"still here") == b"still here"
    revoked = eventually(lambda: len(ends(edge, reason="egress_revoked")) == len(WAYS), within=5, what="their ends")
    assert revoked
    assert {end["way"] for end in ends(edge, reason="egress_revoked")} == set(WAYS.values())
    with Chat(edge, "proxy", "chat") as again:
        assert status_of(again.answer) == 403
    edge.write(manifests(*RULES))


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
