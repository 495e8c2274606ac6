"""A server may ask for a second ``ClientHello``, and goes by the name in that one: it has to be the same."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.egress.test_attacks import ended, hello
from tests.support.certificates import Authority
from tests.support.egress import PROXY, EgressGateway, egress_policy, status_of
from tests.support.manifests import gateway as gateway_manifest
from tests.support.manifests import gateway_class, manifest
from tests.support.outside import NAME_SERVER, PUBLIC, Outside
from tests.support.waiting import eventually

PORT = 9443
ALLOWED, OTHER = "ok.example", "no.example"
"""Of one length: one is put in the other's place."""
Opening = Callable[[EgressGateway], socket.socket]


class PickyServer:
    """Asks every client for another key share, and keeps the names that it was asked for."""

    def __init__(self, outside: Outside, context: ssl.SSLContext) -> None:
        self.names: list[str | None] = []
        self._context = context
        # Clients send a share for another curve unasked.
        context.set_ecdh_curve("secp384r1")
        context.sni_callback = lambda _connection, name, _context: self.names.append(name)
        self.listener = outside.beyond.run(lambda: socket.create_server((PUBLIC, PORT), backlog=16))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            with self._context.wrap_socket(connection, server_side=True) as stream:
                stream.sendall(b"heard " + stream.recv(64))


@pytest.fixture(scope="module")
def server(outside: Outside, authority: Authority, directory: Path) -> Iterator[PickyServer]:
    picky = PickyServer(outside, authority.issue(ALLOWED, OTHER).server_context(directory))
    yield picky
    picky.listener.close()


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    listeners = (
        {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "tls", "port": PORT, "protocol": "sekisho.dev/EgressTLS"},
    )
    manifests = [
        gateway_class(),
        gateway_manifest(*listeners, parameters="edge"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        egress_policy("base", {"name": "ok", "to": [{"names": [ALLOWED], "ports": [PORT]}]}),
    ]
    with EgressGateway(outside, directory / "later", manifests) as running:
        yield running


def by_proxy(gateway: EgressGateway) -> socket.socket:
    client, answer = gateway.tunnel(f"{ALLOWED}:{PORT}")
    assert status_of(answer) == 200, answer
    return client


def redirected(gateway: EgressGateway) -> socket.socket:
    return gateway.connect(PORT)


def mismatch_since(gateway: EgressGateway, records: int) -> bool:
    return "egress_name_mismatch" in [one["reason"] for one in gateway.records()[records:]]


WAYS = pytest.mark.parametrize("opening", [by_proxy, redirected])


@WAYS
def test_a_server_may_ask_for_another_hello(
    gateway: EgressGateway, server: PickyServer, authority: Authority, opening: Opening
) -> None:
    with opening(gateway) as client:
        stream = authority.client_context().wrap_socket(client, server_hostname=ALLOWED)
        stream.sendall(b"hello")
        assert stream.recv(64) == b"heard hello"
    assert set(server.names) == {ALLOWED}


@WAYS
def test_a_second_hello_with_another_name_does_not_go_out(
    gateway: EgressGateway, server: PickyServer, authority: Authority, opening: Opening
) -> None:
    records = len(gateway.records())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = authority.client_context().wrap_bio(incoming, outgoing, server_hostname=ALLOWED)
    with opening(gateway) as client:
        with pytest.raises(ssl.SSLWantReadError):
            inner.do_handshake()
        client.sendall(outgoing.read())
        incoming.write(client.recv(65536))
        with pytest.raises(ssl.SSLWantReadError):
            inner.do_handshake()
        second = outgoing.read()
        assert second.count(ALLOWED.encode()) == 1
        client.sendall(second.replace(ALLOWED.encode(), OTHER.encode()))
        ended(client)
    assert OTHER not in server.names
    eventually(lambda: mismatch_since(gateway, records), within=5, what="a record that names do not agree")


@WAYS
def test_a_second_hello_right_behind_the_first_is_read_as_well(
    gateway: EgressGateway, server: PickyServer, opening: Opening
) -> None:
    records = len(gateway.records())
    with opening(gateway) as client:
        client.sendall(hello(ALLOWED) + b"\x14\x03\x03\x00\x01\x01" + hello(OTHER))
        ended(client)
    assert OTHER not in server.names
    eventually(lambda: mismatch_since(gateway, records), within=5, what="a record that names do not agree")
