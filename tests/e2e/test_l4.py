"""TCP, TLS and UDP listeners, and client certificates, through the engine itself."""

from __future__ import annotations

import json
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.routing_table import model, wire
from tests.support.certificates import Authority
from tests.support.layer4 import (
    DatagramBackend,
    Edge,
    StreamBackend,
    Table,
    converse,
    datagram_client,
    dial,
    failing_share,
    is_refused,
    listener,
    route,
    share,
)
from tests.support.ports import free_port
from tests.support.waiting import eventually

CERTIFICATE = "Secret/default/www"
CLIENTS = "ConfigMap/default/clients"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path / "access.log")
    yield edge
    edge.engine.close()


@pytest.fixture
def streams() -> Iterator[dict[str, StreamBackend]]:
    """Two plain backends."""
    backends = {name: StreamBackend(name) for name in ("one", "two")}
    yield backends
    for backend in backends.values():
        backend.close()


@pytest.fixture
def port() -> int:
    return free_port()


def ports(backends: dict[str, StreamBackend]) -> dict[str, tuple[int, ...]]:
    return {name: (backend.port,) for name, backend in backends.items()}


def handshake(port: int, context: ssl.SSLContext, name: str | None) -> ssl.SSLSocket:
    return context.wrap_socket(dial(port), server_hostname=name)


def said(port: int, context: ssl.SSLContext, name: str, message: bytes = b"hello") -> bytes:
    return converse(handshake(port, context, name), message)


# --- TCP ------------------------------------------------------------------------------------------


def test_a_tcp_connection_reaches_its_backend_and_is_told_at_its_end(
    edge: Edge, streams: dict[str, StreamBackend], port: int
) -> None:
    edge.apply(
        Table(
            listeners=(listener("tcp", "TCP", port),),
            routes=(route("TCPRoute", "db", "tcp", share("one")),),
            backends=ports(streams),
        )
    )
    assert converse(dial(port), b"hello" * 20_000) == b"one:" + b"hello" * 20_000
    [line] = edge.lines()
    assert line["protocol"] == "TCP"
    assert line["response_code_details"] == "via_upstream"
    assert (line["bytes_received"], line["bytes_sent"]) == (100_000, 100_004)
    assert line["listener"] == "default/edge/tcp"
    assert line["route_name"] == "TCPRoute/default/db/0"
    assert line["upstream_cluster"] == "Service/default/one/80"
    assert line["upstream_host"] == f"127.0.0.1:{streams['one'].port}"
    explained = edge.explain(f"tcp://127.0.0.1:{port}")
    assert (explained["listener"], explained["route"]) == ("default/edge/tcp", "TCPRoute/default/db/0")
    assert edge.explain(f"http://127.0.0.1:{port}/")["decision"] == "no_listener"
    assert edge.connections("one") == {"opened": 1, "closed": 1, "received_bytes": 100_000, "sent_bytes": 100_004}


def test_tcp_connections_are_shared_out_by_weight_and_an_invalid_share_is_closed(
    edge: Edge, streams: dict[str, StreamBackend], port: int
) -> None:
    edge.apply(
        Table(
            listeners=(listener("tcp", "TCP", port),),
            routes=(route("TCPRoute", "db", "tcp", share("one", 6), share("two", 2), failing_share(2)),),
            backends=ports(streams),
        )
    )
    counts: Counter[str] = Counter()
    for _ in range(200):
        with dial(port) as stream:
            try:
                counts[stream.recv(4).decode()] += 1
            except ConnectionResetError:
                counts[""] += 1
    assert set(counts) == {"one:", "two:", ""}
    assert 90 <= counts["one:"] <= 150
    assert 20 <= counts["two:"] <= 65
    refused = [line for line in edge.lines(200) if line["response_code_details"] == "backend_not_found"]
    assert len(refused) == counts[""]


@pytest.mark.parametrize(
    ("backends", "routes", "code"),
    [
        ({"one": ()}, (route("TCPRoute", "db", "tcp", share("one")),), "no_healthy_upstream"),
        ({}, (route("TCPRoute", "db", "tcp"),), "no_backends"),
        ({}, (), "route_not_found"),
        ({"one": (1,)}, (route("TCPRoute", "db", "tcp", share("one")),), "upstream_connect_failed"),
    ],
)
def test_a_connection_with_nowhere_to_go_is_closed(
    edge: Edge, port: int, backends: dict[str, tuple[int, ...]], routes: tuple[model.Route, ...], code: str
) -> None:
    edge.apply(Table(listeners=(listener("tcp", "TCP", port),), routes=routes, backends=backends))
    assert is_refused(port)
    [line] = edge.lines()
    assert line["response_code_details"] == code


def test_a_silent_connection_ends_after_the_idle_time(edge: Edge, streams: dict[str, StreamBackend], port: int) -> None:
    edge.apply(
        Table(
            listeners=(listener("tcp", "TCP", port),),
            routes=(route("TCPRoute", "db", "tcp", share("one")),),
            backends=ports(streams),
            limits=model.Limits(connection_idle_timeout_ms=200),
        )
    )
    with dial(port) as stream:
        assert stream.recv(4) == b"one:"
        assert stream.recv(1) == b""
    assert edge.lines()[0]["response_code_details"] == "stream_idle_timeout"


def test_a_drain_lets_connections_go_on_for_its_time_and_no_longer(
    edge: Edge, streams: dict[str, StreamBackend], port: int
) -> None:
    edge.apply(
        Table(
            listeners=(listener("tcp", "TCP", port),),
            routes=(route("TCPRoute", "db", "tcp", share("one")),),
            backends=ports(streams),
            limits=model.Limits(drain_timeout_ms=500),
        )
    )
    with dial(port) as stream:
        assert stream.recv(4) == b"one:"
        edge.engine.drain()
        stream.sendall(b"still here")
        assert stream.recv(10) == b"still here"
        assert stream.recv(1) == b""
    eventually(lambda: edge.engine.active() == 0)


def test_connections_over_the_bound_are_refused(edge: Edge, streams: dict[str, StreamBackend], port: int) -> None:
    edge.apply(
        Table(
            listeners=(listener("tcp", "TCP", port),),
            routes=(route("TCPRoute", "db", "tcp", share("one")),),
            backends=ports(streams),
            limits=model.Limits(max_connections_per_listener=1),
        )
    )
    with dial(port) as stream:
        assert stream.recv(4) == b"one:"
        assert is_refused(port)


# --- TLS ------------------------------------------------------------------------------------------


def test_one_port_passes_through_terminates_and_serves_https_by_server_name(
    edge: Edge, streams: dict[str, StreamBackend], port: int, authority: Authority, directory: Path
) -> None:
    own = authority.issue("pass.example.com", "x.deep.example.com").server_context(directory)
    with closing(StreamBackend("own", tls=own)) as hidden, closing(StreamBackend("wild", tls=own)) as wild:
        edge.apply(
            Table(
                listeners=(
                    listener("pass", "TLS", port, hostname="*.example.com", tls_mode="Passthrough"),
                    listener("end", "TLS", port, hostname="end.example.com", certificates=(CERTIFICATE,)),
                    listener("web", "HTTPS", port, hostname="web.example.com", certificates=(CERTIFICATE,)),
                ),
                routes=(
                    route("TLSRoute", "exact", "pass=pass.example.com", share("own")),
                    route("TLSRoute", "wild", "pass=*.deep.example.com", share("wild")),
                    route("TLSRoute", "end", "end=end.example.com", share("one")),
                    route("HTTPRoute", "web", "web"),
                ),
                backends={**ports(streams), "own": (hidden.port,), "wild": (wild.port,)},
                certificates={CERTIFICATE: authority.issue("end.example.com", "web.example.com")},
            )
        )
        client = authority.client_context()
        assert said(port, client, "pass.example.com") == b"own:hello"
        assert said(port, client, "x.deep.example.com") == b"wild:hello"
        assert said(port, client, "end.example.com") == b"one:hello"
        request = b"GET / HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n"
        with handshake(port, client, "web.example.com") as stream:
            stream.sendall(request)
            assert stream.recv(12) == b"HTTP/1.1 500"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, client, "nobody.test")
        explained = {
            name: edge.explain(f"tls://{name}:{port}")
            for name in ("x.deep.example.com", "other.example.com", "nobody.test")
        }
        assert explained["x.deep.example.com"]["route"] == "TLSRoute/default/wild/0"
        assert explained["other.example.com"]["listener"] == "default/edge/pass"
        assert explained["other.example.com"]["decision"] == "not_found"
        assert explained["nobody.test"]["decision"] == "no_listener"
        lines = {line["requested_server_name"]: line for line in edge.lines(4)}
        assert lines["pass.example.com"]["protocol"] == "TLS"
        assert lines["pass.example.com"]["listener"] == "default/edge/pass"
        assert lines["x.deep.example.com"]["route_name"] == "TLSRoute/default/wild/0"
        assert (lines["end.example.com"]["bytes_received"], lines["end.example.com"]["bytes_sent"]) == (5, 9)


def test_a_client_hello_in_small_pieces_still_finds_its_way(
    edge: Edge, port: int, authority: Authority, directory: Path
) -> None:
    context = authority.issue("pass.example.com").server_context(directory)
    with closing(StreamBackend("own", tls=context)) as backend:
        edge.apply(
            Table(
                listeners=(listener("pass", "TLS", port, tls_mode="Passthrough"),),
                routes=(route("TLSRoute", "pass", "pass=pass.example.com", share("own")),),
                backends={"own": (backend.port,)},
            )
        )
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="pass.example.com")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with dial(port) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in outgoing.read():
                stream.send(bytes([byte]))
            assert stream.recv(1) == b"\x16"


def test_what_is_not_tls_is_closed_and_a_slow_hello_is_given_up(edge: Edge, port: int) -> None:
    edge.apply(
        Table(
            listeners=(listener("pass", "TLS", port, tls_mode="Passthrough"),),
            limits=model.Limits(tls_handshake_timeout_ms=300),
        )
    )
    with dial(port) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while stream.recv(1024):
            pass
    with dial(port) as stream:
        stream.sendall(b"\x16\x03\x01")
        assert stream.recv(1024) == b""


def test_a_server_name_without_route_is_closed(
    edge: Edge, streams: dict[str, StreamBackend], port: int, authority: Authority
) -> None:
    edge.apply(
        Table(
            listeners=(listener("pass", "TLS", port, tls_mode="Passthrough"),),
            routes=(route("TLSRoute", "pass", "pass=pass.example.com", share("one")),),
            backends=ports(streams),
        )
    )
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(port, authority.client_context(), "other.example.com")
    [line] = edge.lines()
    assert line["response_code_details"] == "route_not_found"
    assert line["requested_server_name"] == "other.example.com"


# --- client certificates --------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["HTTPS", "TLS"])
@pytest.mark.parametrize("fallback", [False, True])
def test_client_certificates_are_required_unless_the_listener_falls_back(
    edge: Edge,
    streams: dict[str, StreamBackend],
    port: int,
    authority: Authority,
    directory: Path,
    protocol: str,
    fallback: bool,
) -> None:
    clients, strangers = Authority("Clients"), Authority("Strangers")
    validation = model.ClientValidation(trust_bundles=(CLIENTS,), allow_insecure_fallback=fallback)
    strict = listener(
        "strict",
        "HTTPS" if protocol == "HTTPS" else "TLS",
        port,
        hostname="strict.example.com",
        certificates=(CERTIFICATE,),
        client_validation=validation,
    )
    edge.apply(
        Table(
            listeners=(strict, listener("open", "TLS", port, hostname="open.example.com", certificates=(CERTIFICATE,))),
            routes=(
                route("HTTPRoute", "strict", "strict")
                if protocol == "HTTPS"
                else route("TLSRoute", "strict", "strict", share("one")),
                route("TLSRoute", "open", "open", share("two")),
            ),
            backends=ports(streams),
            certificates={CERTIFICATE: authority.issue("strict.example.com", "open.example.com")},
            trust_bundles={CLIENTS: clients.pem},
        )
    )

    def is_taken(issuer: Authority | None, name: str = "strict.example.com") -> bool:
        context = authority.client_context()
        if issuer is not None:
            context.load_cert_chain(*issuer.issue("client").write(directory, f"client-{id(issuer)}"))
        try:
            with handshake(port, context, name) as stream:
                stream.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                return stream.recv(4) in (b"HTTP", b"one:", b"two:")
        except OSError:
            return False

    assert is_taken(clients)
    assert is_taken(None) is fallback
    assert is_taken(strangers) is fallback
    assert is_taken(None, "open.example.com")


def test_a_connection_older_than_client_validation_does_not_escape_it(
    edge: Edge, port: int, authority: Authority
) -> None:
    table = Table(
        listeners=(listener("web", "HTTPS", port, hostname="web.example.com", certificates=(CERTIFICATE,)),),
        routes=(route("HTTPRoute", "web", "web"),),
        certificates={CERTIFICATE: authority.issue("web.example.com")},
        trust_bundles={CLIENTS: Authority("Clients").pem},
    )
    edge.apply(table)
    request = b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n"
    with handshake(port, authority.client_context(), "web.example.com") as stream:
        stream.sendall(request)
        assert stream.recv(65536).startswith(b"HTTP/1.1 500")
        validation = model.ClientValidation(trust_bundles=(CLIENTS,))
        table.listeners = (
            listener(
                "web",
                "HTTPS",
                port,
                hostname="web.example.com",
                certificates=(CERTIFICATE,),
                client_validation=validation,
            ),
        )
        edge.apply(table)
        stream.sendall(request)
        assert stream.recv(65536).startswith(b"HTTP/1.1 421")


# --- authorization --------------------------------------------------------------------------------


def test_a_listener_whose_policy_is_not_in_the_table_lets_nobody_in(
    edge: Edge, streams: dict[str, StreamBackend], port: int
) -> None:
    other = free_port()
    table = Table(
        listeners=(
            listener("tcp", "TCP", port, authorization=("shop/gone",)),
            listener("web", "HTTP", other, authorization=("shop/gone",)),
        ),
        routes=(route("TCPRoute", "db", "tcp", share("one")), route("HTTPRoute", "web", "web", share("one"))),
        backends=ports(streams),
    )
    edge.apply(table)
    assert is_refused(port)
    with closing(dial(other)) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = stream.recv(4096)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"authorization_unavailable" in answer
    details = {line["response_code_details"] for line in edge.lines(2)}
    assert details == {"authorization_unavailable[shop/gone]"}
    table.policies = (model.AuthorizationPolicy(key="shop/gone", rules=(model.AuthorizationRule(),)),)
    edge.apply(table)
    assert converse(dial(port), b"hello") == b"one:hello"


def test_a_policy_that_is_refused_denies_at_once(edge: Edge, streams: dict[str, StreamBackend], port: int) -> None:
    table = Table(
        listeners=(listener("tcp", "TCP", port, authorization=("shop/p",)),),
        routes=(route("TCPRoute", "db", "tcp", share("one")),),
        backends=ports(streams),
        policies=(model.AuthorizationPolicy(key="shop/p", rules=(model.AuthorizationRule(),)),),
    )
    edge.apply(table)
    assert converse(dial(port), b"hello") == b"one:hello"
    unknown = model.AuthorizationCondition(key="unknown", values=("x",))
    rules = (model.AuthorizationRule(conditions=(unknown,)),)
    table.policies = (model.AuthorizationPolicy(key="shop/p", rules=rules),)
    answer = json.loads(edge.engine.apply(wire.encode(table.snapshot("next"))))
    assert [item["kind"] for item in answer["rejected"]] == ["authorization_policies"]
    assert is_refused(port)


def test_policies_know_the_client_of_a_terminated_stream_and_the_server_name_of_one_passed_through(
    edge: Edge, streams: dict[str, StreamBackend], port: int, authority: Authority, directory: Path
) -> None:
    clients = Authority("Clients")
    source = model.AuthorizationSource(principals=("cluster.local/ns/shop/sa/cart",))
    name = model.AuthorizationCondition(key="connection.sni", values=("open.example.com",))
    edge.apply(
        Table(
            listeners=(
                listener(
                    "strict",
                    "TLS",
                    port,
                    hostname="strict.example.com",
                    certificates=(CERTIFICATE,),
                    client_validation=model.ClientValidation(trust_bundles=(CLIENTS,)),
                    authorization=("shop/cart",),
                ),
                listener(
                    "wild",
                    "TLS",
                    port,
                    hostname="*.example.com",
                    certificates=(CERTIFICATE,),
                    authorization=("shop/name",),
                ),
            ),
            routes=(
                route("TLSRoute", "strict", "strict", share("one")),
                route("TLSRoute", "wild", "wild", share("two")),
            ),
            backends=ports(streams),
            certificates={CERTIFICATE: authority.issue("*.example.com")},
            trust_bundles={CLIENTS: clients.pem},
            policies=(
                model.AuthorizationPolicy(key="shop/cart", rules=(model.AuthorizationRule(sources=(source,)),)),
                model.AuthorizationPolicy(key="shop/name", rules=(model.AuthorizationRule(conditions=(name,)),)),
            ),
        )
    )

    def answer(server_name: str, uri: str = "") -> bytes:
        context = authority.client_context()
        if uri:
            context.load_cert_chain(*clients.issue("client", uris=[uri]).write(directory, uri.rpartition("/")[2]))
        try:
            return said(port, context, server_name)
        except OSError:
            return b""

    assert answer("strict.example.com", "spiffe://cluster.local/ns/shop/sa/cart") == b"one:hello"
    assert answer("strict.example.com", "spiffe://cluster.local/ns/pay/sa/pay") == b""
    assert answer("open.example.com") == b"two:hello"
    assert answer("other.example.com") == b""


# --- UDP ------------------------------------------------------------------------------------------


@pytest.fixture
def datagrams() -> Iterator[dict[str, DatagramBackend]]:
    backends = {name: DatagramBackend(name) for name in ("one", "two")}
    yield backends
    for backend in backends.values():
        backend.close()


def test_a_udp_client_keeps_its_session_and_shares_the_port_with_tcp(
    edge: Edge, streams: dict[str, StreamBackend], datagrams: dict[str, DatagramBackend], port: int
) -> None:
    edge.apply(
        Table(
            listeners=(listener("udp", "UDP", port), listener("tcp", "TCP", port)),
            routes=(
                route("UDPRoute", "dns", "udp", share("one")),
                route("TCPRoute", "dns", "tcp", share("two")),
            ),
            backends={"one": (datagrams["one"].port,), "two": (streams["two"].port,)},
            limits=model.Limits(connection_idle_timeout_ms=300),
        )
    )
    with datagram_client(port) as ask:
        answers = [ask(f"question {number}".encode()) for number in range(5)]
    assert [answer.rpartition(b":")[2] for answer in answers] == [f"question {number}".encode() for number in range(5)]
    assert len({answer.split(b":")[1] for answer in answers}) == 1, "one session, one port towards the backend"
    assert converse(dial(port), b"") == b"two:"
    line = next(line for line in edge.lines(2) if line["protocol"] == "UDP")
    assert line["response_code_details"] == "via_upstream"
    assert line["bytes_received"] == 50
    assert line["bytes_sent"] == sum(len(answer) for answer in answers)
    assert edge.connections("one")["closed"] == 1
    eventually(lambda: edge.engine.active() == 0)


def test_udp_sessions_are_shared_out_and_follow_the_table(
    edge: Edge, datagrams: dict[str, DatagramBackend], port: int
) -> None:
    table = Table(
        listeners=(listener("udp", "UDP", port),),
        routes=(route("UDPRoute", "dns", "udp", share("one"), share("two")),),
        backends={name: (backend.port,) for name, backend in datagrams.items()},
    )
    edge.apply(table)
    with ExitStack() as clients:
        asks = [clients.enter_context(datagram_client(port)) for _ in range(30)]
        assert {ask(b"x").partition(b":")[0] for ask in asks} == {b"one", b"two"}
        table.routes = (route("UDPRoute", "dns", "udp", share("two")),)
        edge.apply(table)
        assert {ask(b"x").partition(b":")[0] for ask in asks} == {b"two"}
        table.listeners = ()
        table.routes = ()
        edge.apply(table)
        eventually(lambda: edge.engine.active() == 0)
    table.listeners = (listener("udp", "UDP", port),)
    table.routes = (route("UDPRoute", "dns", "udp", share("one")),)
    edge.apply(table)
    with datagram_client(port) as ask:
        assert ask(b"back").startswith(b"one:")


def test_udp_sessions_are_bounded(edge: Edge, datagrams: dict[str, DatagramBackend], port: int) -> None:
    edge.apply(
        Table(
            listeners=(listener("udp", "UDP", port),),
            routes=(route("UDPRoute", "dns", "udp", share("one")),),
            backends={"one": (datagrams["one"].port,)},
            limits=model.Limits(max_connections_per_listener=1),
        )
    )
    with datagram_client(port) as first:
        assert first(b"x").startswith(b"one:")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
            second.settimeout(0.5)
            second.connect(("127.0.0.1", port))
            second.send(b"x")
            with pytest.raises(TimeoutError):
                second.recv(1)
        assert first(b"y").startswith(b"one:")


def test_datagrams_to_nowhere_cost_one_line_for_each_client(edge: Edge, port: int) -> None:
    edge.apply(
        Table(
            listeners=(listener("udp", "UDP", port),),
            routes=(route("UDPRoute", "dns", "udp", failing_share()),),
        )
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        for _ in range(20):
            client.send(b"x")
        [line] = edge.lines()
    assert line["response_code_details"] == "backend_not_found"
