"""Traps of listeners and their names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge
from tests.support.manifests import (
    backend,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    https_listener,
    parent,
    rule,
    tls_secret,
)
from tests.support.marked_rules import marked
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho

# --- trap 6: conflicting listeners -------------------------------------------------------------------


def test_trap_6_conflicting_listeners_have_no_winner(tmp_path: Path, origin: Http1Backend) -> None:
    """All listeners in a conflict are Conflicted and none of them is served; the others are."""
    good, bad = free_port(), free_port()
    manifests = [
        gateway_class(),
        gateway(http_listener(good, "good"), http_listener(bad, "one"), https_listener(bad, "edge", name="two")),
        tls_secret("edge", shared_authority().issue("*.test")),
        *backend("origin", origin.port),
        http_route("all", rule("origin")),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        assert Edge(sekisho, good, 0).curl("http://t6.test/").status == 200
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", bad), timeout=1)


# --- trap 8: misdirected requests --------------------------------------------------------------------


@pytest.fixture(scope="module")
def misdirected(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    port, plain = free_port(), free_port()
    issued = shared_authority().issue("*.t8.test", "one.t8.test", "t8.test")
    manifests = [
        gateway_class(),
        gateway(
            https_listener(port, "t8", name="wild", hostname="*.t8.test"),
            https_listener(port, "t8", name="one", hostname="one.t8.test"),
            https_listener(port, "t8", name="two", hostname="two.t8.test"),
        ),
        tls_secret("t8", issued),
        *backend("origin", origin.port),
        http_route("wild", marked("wild"), hosts=["*.t8.test"], parents=[parent(section="wild")]),
        http_route("one", marked("one"), parents=[parent(section="one")]),
        http_route("two", marked("two"), parents=[parent(section="two")]),
    ]
    with Sekisho(directory / "t8", manifests) as sekisho:
        yield Edge(sekisho, plain, port)


@pytest.mark.parametrize(
    ("sni", "host", "status"),
    [
        ("one.t8.test", "one.t8.test", 200),
        ("one.t8.test", "two.t8.test", 421),
        ("one.t8.test", "three.t8.test", 421),
        ("three.t8.test", "one.t8.test", 421),
        ("three.t8.test", "four.t8.test", 200),
        ("one.t8.test", "nobody.test", 404),
        ("three.t8.test", "nobody.test", 404),
    ],
)
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_trap_8_misdirected_requests(misdirected: Edge, sni: str, host: str, status: int, version: str) -> None:
    """On a connection for listener A, an authority of listener B is 421, and one that nobody owns is 404."""
    if version == "2":
        with misdirected.http2_tls(sni) as streams:
            assert streams.request("/", host=host).status == status
    else:
        context = shared_authority().client_context()
        with RawClient(misdirected.https_port, tls=context, server_name=sni) as client:
            assert client.request("GET", "/", host=host).status == status


def test_trap_8_a_name_that_no_listener_owns_gets_no_certificate(misdirected: Edge) -> None:
    """Without a listener for the name the handshake is refused."""
    with pytest.raises(ssl.SSLError):
        RawClient(misdirected.https_port, tls=shared_authority().client_context(), server_name="nobody.test")


# --- trap 10: attachedRoutes -------------------------------------------------------------------------


def test_trap_10_attached_routes_count_accepted_routes_alone(tmp_path: Path, origin: Http1Backend) -> None:
    """attachedRoutes is set even on a listener that is not accepted, and counts only accepted routes."""
    manifests = [
        gateway_class(),
        gateway(http_listener(free_port(), "good", "*.t10.test"), https_listener(free_port(), "absent", name="bad")),
        *backend("origin", origin.port),
        http_route("accepted", rule("origin"), hosts=["a.t10.test"]),
        http_route("missing", rule("nobody"), hosts=["b.t10.test"]),
        http_route("elsewhere", rule("origin"), hosts=["other.test"], parents=[parent(section="good")]),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        output = sekisho.admin("/status").json()
        text = str(output)
        counts = {item["name"]: item for item in _listeners(output)}
    assert "NoMatchingListenerHostname" in text
    assert _attached(counts["good"]) == 2, counts
    assert _attached(counts["bad"]) == 2, counts


def _listeners(document: Any) -> list[dict[str, Any]]:
    """Every object of the status document that tells how many routes a listener has."""
    found = []
    if isinstance(document, dict):
        if any("attached" in str(key).lower() for key in document) and "name" in document:
            found.append(document)
        for value in document.values():
            found += _listeners(value)
    elif isinstance(document, list):
        for value in document:
            found += _listeners(value)
    return found


def _attached(listener: dict[str, Any]) -> int:
    return next(int(value) for key, value in listener.items() if "attached" in key.lower())
