"""Start, change, drain and restart of a gateway that is in use."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.backends.http1 import Http1Backend
from tests.support.backends.websocket import WebSocketBackend
from tests.support.certificates import Authority, serial_number, shared_authority
from tests.support.edge import Edge, edge_manifests, open_edge
from tests.support.manifests import (
    Manifest,
    backend,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    https_listener,
    rule,
    tls_secret,
)
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.sekisho import Sekisho, run_sekisho
from tests.support.waiting import eventually

HOST = "life.example.com"


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend("origin") as server:
        yield server


@pytest.fixture
def manifests(origin: Http1Backend) -> list[Manifest]:
    return [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST])]


def test_drain_lets_requests_in_flight_finish(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge, edge.raw() as slow, edge.http2() as streams, edge.raw() as idle:
        assert idle.request("GET", "/", host=HOST).status == 200
        slow.send(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\nx-do: delay=1.5\r\n\r\n")
        stream = streams.open("/stream", host=HOST, headers=[("x-do", "delay=1.5")])
        time.sleep(0.3)
        edge.sekisho.process.send_signal(signal.SIGTERM)
        assert idle.closed_within(2), "an idle connection holds up the drain"
        streams.pump(lambda: streams.goaway is not None)
        assert streams.goaway == 0
        answer = slow.response()
        assert answer.report.path == "/slow"
        assert (answer.header("connection") or "").lower() == "close"
        assert streams.finished(stream).report.path == "/stream"
        assert edge.sekisho.process.wait(10) == 0


def test_while_draining_nothing_new_is_accepted_and_readiness_says_so(
    tmp_path: Path, manifests: list[Manifest]
) -> None:
    with open_edge(tmp_path, manifests) as edge, edge.raw() as slow:
        slow.send(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\nx-do: delay=2\r\n\r\n")
        time.sleep(0.3)
        edge.sekisho.process.send_signal(signal.SIGTERM)
        eventually(lambda: edge.sekisho.admin("/healthz/ready").status_code == 503, what="readiness turning off")
        eventually(lambda: _is_refused(edge.port), what="connections being refused")
        assert slow.response().status == 200


def _is_refused(port: int) -> bool:
    """Each worker closes its socket when it hears of the drain, which may be a moment after readiness has turned."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_the_drain_is_bounded(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests, arguments=["--drain-timeout", "1"]) as edge, edge.raw() as endless:
        endless.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nx-do: events=1000; pause=0.1\r\n\r\n")
        assert endless.head().status == 200
        started = time.monotonic()
        edge.sekisho.process.send_signal(signal.SIGTERM)
        edge.sekisho.process.wait(10)
        assert 0.8 < time.monotonic() - started < 5


def test_the_last_good_table_is_served_when_no_manifest_is_valid(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        assert edge.curl(f"http://{HOST}/").status == 200
        version = edge.sekisho.version()
    for file in edge.sekisho.manifests.iterdir():
        file.write_text("a: [broken\n")
    with Sekisho(tmp_path) as again:
        assert Edge(again, edge.port, edge.https_port).curl(f"http://{HOST}/").status == 200
        assert again.version() == version
        ready = again.admin("/healthz/ready").json()
        assert ready["restored"] is True
        assert Edge(again, edge.port, edge.https_port).curl(f"https://{HOST}/").status == 200


def test_a_broken_state_file_does_not_stop_the_start(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        pass
    for file in edge.sekisho.state.rglob("*"):
        if file.is_file():
            file.write_bytes(b"\x00garbage")
    with Sekisho(tmp_path) as again:
        eventually(lambda: Edge(again, edge.port, edge.https_port).curl(f"http://{HOST}/").status == 200)


def test_the_state_holds_keys_and_is_private(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        pass
    for file in edge.sekisho.state.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, f"{file} can be read by others"


def test_a_change_does_not_touch_open_connections(tmp_path: Path, origin: Http1Backend) -> None:
    change = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-new", "value": "1"}]}}
    with WebSocketBackend() as websockets:

        def routes(*filters: Manifest) -> list[Manifest]:
            return [
                *backend("origin", origin.port),
                *backend("websockets", websockets.port),
                http_route("all", rule("origin", filters=filters), hosts=[HOST]),
                http_route("ws", rule("websockets"), hosts=["ws.example.com"]),
            ]

        with (
            open_edge(tmp_path, routes()) as edge,
            edge.raw() as client,
            edge.http2() as streams,
            connect("ws://ws.example.com/", sock=edge.plain_socket(), proxy=None) as websocket,
        ):
            stream = streams.open("/slow", host=HOST, headers=[("x-do", "delay=1")])
            client.send(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\nx-do: delay=1\r\n\r\n")
            time.sleep(0.2)
            edge.change(routes(change))
            assert client.response().report.header("x-new") is None, "one request saw two tables"
            assert client.request("GET", "/after", host=HOST).report.header("x-new") == "1"
            assert streams.finished(stream).status == 200
            assert streams.request("/after", host=HOST).report.header("x-new") == "1"
            websocket.send("still open")
            assert websocket.recv(timeout=5) == "still open"


def test_removing_a_route_ends_its_requests_but_not_its_websockets(tmp_path: Path) -> None:
    with WebSocketBackend() as websockets:
        routes = [*backend("ws", websockets.port), http_route("ws", rule("ws"), hosts=["ws.example.com"])]
        with open_edge(tmp_path, routes) as edge:
            with connect("ws://ws.example.com/", sock=edge.plain_socket(), proxy=None) as websocket:
                edge.change(routes[:-1])
                websocket.send("still open")
                assert websocket.recv(timeout=5) == "still open"
            assert edge.curl("http://ws.example.com/").status == 404


def test_certificates_rotate_without_touching_connections(tmp_path: Path, manifests: list[Manifest]) -> None:
    def serial(edge: Edge) -> int:
        with socket.create_connection(("127.0.0.1", edge.https_port), timeout=5) as plain:
            context = shared_authority().client_context()
            with context.wrap_socket(plain, server_hostname=HOST) as session:
                der = session.getpeercert(binary_form=True)
                assert der is not None
                return serial_number(ssl.DER_cert_to_PEM_cert(der))

    with open_edge(tmp_path, manifests) as edge, edge.http2_tls(HOST) as kept:
        assert kept.request("/", host=HOST).status == 200
        issued = shared_authority().issue("*.example.com")
        before = serial(edge)
        ground = edge_manifests(edge.port, edge.https_port)
        edge.sekisho.change([*ground[:-1], tls_secret("edge", issued)], "edge")
        assert serial(edge) == serial_number(issued.chain) != before
        assert kept.request("/", host=HOST).status == 200


def test_a_bad_certificate_keeps_the_good_one_serving(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        stranger = Authority("Other").issue("*.example.com")
        mixed = tls_secret("edge", stranger)
        mixed["data"]["tls.key"] = tls_secret("x", shared_authority().issue("a"))["data"]["tls.key"]
        ground = edge_manifests(edge.port, edge.https_port)
        edge.sekisho.write([*ground[:-1], mixed], "edge")
        time.sleep(1)
        assert edge.curl(f"http://{HOST}/").status == 200
        assert "edge" in edge.sekisho.admin("/status").text


def test_listeners_come_and_go(tmp_path: Path, manifests: list[Manifest]) -> None:
    second = free_port()
    with open_edge(tmp_path, manifests) as edge, edge.raw() as kept:
        assert kept.request("GET", "/", host=HOST).status == 200
        ground = edge_manifests(edge.port, edge.https_port)
        ground[2]["spec"]["listeners"].append(http_listener(second, "second"))
        edge.sekisho.change(ground, "edge")
        assert Edge(edge.sekisho, second, 0).curl(f"http://{HOST}/").status == 200
        edge.sekisho.change(edge_manifests(edge.port, edge.https_port), "edge")
        with pytest.raises(OSError, match=r"refused|reset"):
            socket.create_connection(("127.0.0.1", second), timeout=1)
        assert kept.request("GET", "/", host=HOST).status == 200


def test_a_port_in_use_costs_that_listener_alone(tmp_path: Path, manifests: list[Manifest]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, other = free_port(), taken.getsockname()[1]
        ground = [gateway_class(), gateway(http_listener(port), http_listener(other, "taken"))]
        with Sekisho(tmp_path, [*ground, *manifests]) as sekisho:
            assert Edge(sekisho, port, 0).curl(f"http://{HOST}/").status == 200
            eventually(lambda: str(other) in sekisho.output() and "--port-offset" in sekisho.output())
            assert str(other) in sekisho.admin("/healthz/ready").text


def test_port_offset_moves_listeners_and_redirects_keep_the_public_port(tmp_path: Path, origin: Http1Backend) -> None:
    base = free_port()
    redirect = {
        "type": "RequestRedirect",
        "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}},
    }
    manifests = [
        gateway_class(),
        gateway(http_listener(80), https_listener(443, "edge")),
        tls_secret("edge", shared_authority().issue("*.example.com")),
        *backend("origin", origin.port),
        http_route("all", rule("origin"), hosts=[HOST]),
        http_route("moved", rule(filters=[redirect]), hosts=["moved.example.com"]),
    ]
    offset = base - 80
    with Sekisho(tmp_path, manifests, arguments=["--port-offset", str(offset)]) as sekisho:
        edge = Edge(sekisho, 80 + offset, 443 + offset)
        assert edge.curl(f"http://{HOST}/").status == 200
        assert edge.curl(f"https://{HOST}/").status == 200
        assert edge.curl("http://moved.example.com/a").header("location") == "http://moved.example.com/x"
        assert edge.curl("https://moved.example.com/a").header("location") == "https://moved.example.com/x"


def test_the_admin_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_sekisho("up", "-f", tmp_path, "--admin", address)
    assert done.returncode != 0
    assert address in done.stderr + done.stdout
    assert "--admin" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_terminal_says_what_is_listening_and_what_to_try(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        # It serves a moment before it has told everything.
        eventually(lambda: "watching" in edge.sekisho.output())
        output = edge.sekisho.output()
    for word in (str(edge.port), str(edge.https_port), HOST, "curl"):
        assert word in output


def test_a_start_on_an_empty_folder_waits_for_manifests(tmp_path: Path, manifests: list[Manifest]) -> None:
    sekisho = Sekisho(tmp_path, wait=False)
    port = free_port()
    with sekisho:
        eventually(lambda: sekisho.process.exit_code is None and "/healthz" not in sekisho.output())
        sekisho.write([gateway_class(), gateway(http_listener(port)), *manifests])
        sekisho.wait_until_ready()
        eventually(lambda: Edge(sekisho, port, 0).curl(f"http://{HOST}/").status == 200, within=10)


def test_interrupt_ends_it_as_well(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests) as edge:
        process: ManagedProcess = edge.sekisho.process
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in edge.sekisho.output()


def test_workers_share_the_connections(tmp_path: Path, manifests: list[Manifest]) -> None:
    with open_edge(tmp_path, manifests, workers=2) as edge:
        threads = [threading.Thread(target=edge.curl, args=(f"http://{HOST}/",)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: edge.sekisho.metric("istio_requests_total", response_code="200") == 20)
