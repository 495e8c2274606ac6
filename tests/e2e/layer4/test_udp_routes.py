"""UDP listeners and their sessions, through the engine itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from gateway.routing_table import model
from tests.support.layer4 import (
    DatagramBackend,
    Edge,
    StreamBackend,
    Table,
    converse,
    datagram_client,
    dial,
    failing_share,
    listener,
    route,
    share,
)
from tests.support.waiting import eventually


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


def test_a_session_ends_once_its_client_is_denied(edge: Edge, datagrams: dict[str, DatagramBackend], port: int) -> None:
    everybody = model.AuthorizationPolicy(key="shop/guard", action="DENY")
    table = Table(
        listeners=(listener("udp", "UDP", port, authorization=("shop/guard",)),),
        routes=(route("UDPRoute", "dns", "udp", share("one")),),
        backends={"one": (datagrams["one"].port,)},
        policies=(everybody,),
    )
    edge.apply(table)
    denied = model.AuthorizationPolicy(key="shop/guard", action="DENY", rules=(model.AuthorizationRule(),))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.send(b"before")
        assert client.recv(100).startswith(b"one:")
        table.policies = (denied,)
        edge.apply(table)
        client.settimeout(0.5)
        client.send(b"after")
        with pytest.raises(TimeoutError):
            client.recv(100)
    first = edge.lines(2)[0]
    assert first["response_code_details"] == "authorization_denied[shop/guard/0]"
    assert (first["bytes_received"], first["bytes_sent"] > 0) == (len(b"before"), True)
