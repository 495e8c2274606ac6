"""Client certificates that listeners ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.routing_table import model
from tests.support.certificates import Authority
from tests.support.layer4 import (
    Edge,
    StreamBackend,
    Table,
    handshake,
    listener,
    ports,
    route,
    share,
)

CERTIFICATE = "Secret/default/www"
CLIENTS = "ConfigMap/default/clients"


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
