"""TCP listeners and their routes, through the engine itself."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.routing_table import model
from tests.support.layer4 import (
    Edge,
    StreamBackend,
    Table,
    converse,
    dial,
    failing_share,
    is_refused,
    listener,
    ports,
    route,
    share,
)
from tests.support.waiting import eventually


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
