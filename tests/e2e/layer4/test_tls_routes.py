"""TLS listeners, passed through and terminated, through the engine itself."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from gateway.routing_table import model
from tests.support.certificates import Authority
from tests.support.layer4 import (
    Edge,
    StreamBackend,
    Table,
    dial,
    handshake,
    listener,
    ports,
    route,
    said,
    share,
)

CERTIFICATE = "Secret/default/www"


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
