"""Authorization policies of streams."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path

from gateway.routing_table import model, wire
from tests.support.certificates import Authority
from tests.support.layer4 import (
    Edge,
    StreamBackend,
    Table,
    converse,
    dial,
    is_refused,
    listener,
    ports,
    route,
    said,
    share,
)
from tests.support.ports import free_port

CERTIFICATE = "Secret/default/www"
CLIENTS = "ConfigMap/default/clients"


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


def denies(*sources: str) -> model.AuthorizationPolicy:
    """Everybody is let in but these addresses."""
    origin = model.AuthorizationSource(ip_blocks=sources)
    rules = (model.AuthorizationRule(sources=(origin,)),) if sources else ()
    return model.AuthorizationPolicy(key="shop/guard", action="DENY", rules=rules)


def from_address(address: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))


def test_an_open_connection_is_closed_once_its_client_is_denied_and_others_stay(
    edge: Edge, streams: dict[str, StreamBackend], port: int
) -> None:
    table = Table(
        listeners=(listener("tcp", "TCP", port, authorization=("shop/guard",)),),
        routes=(route("TCPRoute", "db", "tcp", share("one")),),
        backends=ports(streams),
        policies=(denies(),),
    )
    edge.apply(table)
    with closing(from_address("127.0.0.7", port)) as denied, closing(from_address("127.0.0.8", port)) as stays:
        for stream in (denied, stays):
            assert echoed(stream, b"open") == b"one:open"
        table.policies = (denies("127.0.0.9"),)
        edge.apply(table)
        assert echoed(denied, b"still") == b"still"
        table.policies = (denies("127.0.0.7"),)
        edge.apply(table)
        denied.settimeout(1.0)
        assert is_ended(denied), "closed within a second, without a byte of its own"
        assert echoed(stays, b"here") == b"here"
    line = next(line for line in edge.lines(2) if line["downstream_remote_address"].startswith("127.0.0.7:"))
    assert line["response_code_details"] == "authorization_denied[shop/guard/0]"
    assert line["bytes_received"] == len(b"openstill")


def echoed(stream: socket.socket, message: bytes) -> bytes:
    """What has come when the message is back."""
    stream.sendall(message)
    data = b""
    while not data.endswith(message) and (piece := stream.recv(100)):
        data += piece
    return data


def is_ended(stream: socket.socket) -> bool:
    try:
        return stream.recv(1) == b""
    except ConnectionResetError:
        return True
