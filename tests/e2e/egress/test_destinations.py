"""What a destination that may be reached can do: lead elsewhere, or say things without end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.backends.raw import read_head
from tests.support.egress import HTTP, PROXY, EgressGateway, egress_policy, read_answer, status_of, ways_out
from tests.support.manifests import external_backend, external_ref, http_listener, http_route, path_match, rule
from tests.support.outside import METADATA, PRIVATE, PUBLIC, Outside

WEB, PORT = 8080, 9080
LEADING = [
    f"http://{METADATA}/latest/meta-data/", f"http://{PRIVATE}/", "http://intranet.corp.example/",
    "http://metadata.special.example/", "http://2852039166/", "http://[::ffff:169.254.169.254]/", "//evil.example/",
    "http://ok.example@evil.example/",
]  # fmt: skip
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"a" * 900 + b">\r\n\r\n"
ENDLESS = {"hints": HINT * 16, "fields": b"x-a: " + b"a" * 1000 + b"\r\n", "a line": b"a" * 4096}


def destination(connection: socket.socket) -> None:
    """Leads whoever asks for ``/to/NUMBER`` to that place; says everything else without end."""
    head = read_head(connection).decode("latin-1")
    path = head.split(" ")[1]
    if path.startswith("/to/"):
        place = LEADING[int(path.removeprefix("/to/"))]
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n".encode())
        connection.sendall(b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        return
    if path == "/once":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh")
        return
    piece = ENDLESS[path.removeprefix("/").replace("%20", " ")]
    connection.sendall(b"" if piece.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
    for _ in range(64 * 1024 * 1024 // len(piece)):
        connection.sendall(piece)


def serve(listener: socket.socket, handler: Callable[[socket.socket], None]) -> None:
    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(20)
            handler(connection)

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=talk, args=(connection,), daemon=True).start()


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    names = {"names": ["ok.example", "**.special.example", "**.corp.example"], "protocols": ["HTTP"]}
    manifests = ways_out(
        egress_policy("base", {"name": "all", "to": [names | {"ports": [80, PORT]}]}),
        external_backend("destination", "ok.example", PORT),
        http_route("out", rule(external_ref("destination"), matches=[path_match("/")])),
    )
    next(one for one in manifests if one["kind"] == "Gateway")["spec"]["listeners"] += [http_listener(WEB, "web")]
    listener = outside.beyond.run(lambda: socket.create_server((PUBLIC, PORT), backlog=16))
    threading.Thread(target=serve, args=(listener, destination), daemon=True).start()
    with listener, EgressGateway(outside, directory / "destinations", manifests) as running:
        yield running


@pytest.mark.parametrize("number", range(len(LEADING)), ids=LEADING)
def test_a_destination_that_leads_to_another_is_followed_by_nobody(
    gateway: EgressGateway, outside: Outside, number: int
) -> None:
    """The client hears where to; that it goes there is decided like anything else."""
    before = len(outside.reached)
    by_proxy = gateway.ask(
        f"GET http://ok.example:{PORT}/to/{number} HTTP/1.1\r\nHost: ok.example:{PORT}\r\n\r\n".encode()
    )
    by_route = gateway.ask(f"GET /to/{number} HTTP/1.1\r\nHost: api.internal\r\n\r\n".encode(), WEB)
    place = LEADING[number]
    for answer in (by_proxy, by_route):
        assert status_of(answer) == 302
        assert place.encode() in answer
    url = place if place.startswith("http") else f"http:{place}"
    host = url.removeprefix("http://").partition("/")[0]
    assert status_of(gateway.ask(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())) in (400, 403)
    assert status_of(gateway.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), HTTP)) in (400, 403)
    assert len(outside.reached) == before


@pytest.mark.parametrize("port", [PROXY, WEB])
@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_end_costs_a_bounded_amount(gateway: EgressGateway, what: str, port: int) -> None:
    before = gateway.process.resident_bytes()
    target, host = (f"http://ok.example:{PORT}", f"ok.example:{PORT}") if port == PROXY else ("", "api.internal")
    with gateway.connect(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"{target}/{what.replace(' ', '%20')}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        # It reads nothing until the gateway has given up.
        records = gateway.decision(host="ok.example", port=PORT)
        assert records["decision"] == "allow"
        client.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while client.recv(65536):
                pass
    assert gateway.process.resident_bytes() - before < 16 * 1024 * 1024
    answer = gateway.ask(f"GET http://ok.example:{PORT}/to/0 HTTP/1.1\r\nHost: ok.example:{PORT}\r\n\r\n".encode())
    assert status_of(answer) == 302


def test_the_proxy_passes_on_what_follows_a_head_as_content_alone(gateway: EgressGateway) -> None:
    """Requests one behind the other are each decided, and answered in their order."""
    ok = f"GET http://ok.example:{PORT}/to/0 HTTP/1.1\r\nHost: ok.example:{PORT}\r\n\r\n".encode()
    with gateway.connect() as client:
        client.sendall(ok + b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n" + ok)
        client.settimeout(5)
        data = b""
        while data.count(b"HTTP/1.1 ") < 3 and (piece := read_answer(client)):
            data += piece
    heads = [part.split(b" ", 1)[0] for part in data.split(b"HTTP/1.1 ")[1:]]
    assert heads == [b"302", b"403", b"302"]


@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_a_connection_that_the_destination_closed_meanwhile_costs_no_request(
    gateway: EgressGateway, pause: float
) -> None:
    """It promised to keep it, and did not: another connection is made, for a request that may be repeated."""
    once = f"GET http://ok.example:{PORT}/once HTTP/1.1\r\nHost: ok.example:{PORT}\r\n\r\n".encode()
    with gateway.connect() as client:
        client.settimeout(5)
        for number in range(30):
            client.sendall(once)
            answer = read_answer(client)
            while not answer.endswith(b"fresh") and (piece := client.recv(100)):
                answer += piece
            assert status_of(answer) == 200, f"request {number}: {answer!r}"
            time.sleep(pause)
