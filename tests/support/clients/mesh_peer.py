"""A client of the mesh with a certificate of its own: mutual TLS by a server name, and tunnels (HBONE)."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

_SECONDS = 10.0


@dataclass(frozen=True)
class Peer:
    """Who the client is, and by whom it knows others; PEM."""

    chain: str
    private_key: str
    bundle: str

    def context(self, *protocols: str) -> ssl.SSLContext:
        """TLS that offers these protocols. Identities are URIs, so no host name is checked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.bundle)
        context.set_alpn_protocols(list(protocols))
        descriptor = os.memfd_create("peer", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(self.chain.encode() + self.private_key.encode())
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return context


def identity_of(connection: ssl.SSLSocket) -> str:
    """The URI of the peer's certificate."""
    encoded = connection.getpeercert(binary_form=True)
    assert encoded is not None
    names = x509.load_der_x509_certificate(encoded).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    (uri,) = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return str(uri)


@contextmanager
def mutual_tls(peer: Peer, address: str, port: int, *protocols: str, name: str = "") -> Iterator[ssl.SSLSocket]:
    """A connection; ``name`` is the server name that is asked for."""
    plain = socket.create_connection((address, port), timeout=_SECONDS)
    with plain, peer.context(*protocols).wrap_socket(plain, server_hostname=name or None) as connection:
        yield connection


def refuses(context: ssl.SSLContext, address: str, port: int, name: str = "") -> bool:
    """Whether no handshake is completed, or the connection is closed right after it."""
    try:
        plain = socket.create_connection((address, port), timeout=_SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=name or None) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            return not connection.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True


def exchange(connection: ssl.SSLSocket, request: bytes) -> bytes:
    """One HTTP/1.1 request that ends the connection, and all of the answer."""
    connection.sendall(request)
    answer = bytearray()
    while piece := connection.recv(65_536):
        answer += piece
    return bytes(answer)


def through_tunnel(connection: ssl.SSLSocket, authority: str, request: bytes) -> tuple[int, bytes]:
    """The status of a CONNECT, and what comes back for the bytes that are sent through it."""
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    h2.initiate_connection()
    stream = h2.get_next_available_stream_id()
    h2.send_headers(stream, [(":method", "CONNECT"), (":authority", authority)])
    connection.sendall(h2.data_to_send())
    status, answer = 0, bytearray()
    while piece := connection.recv(65_536):
        for event in h2.receive_data(piece):
            if isinstance(event, ResponseReceived):
                status = next(int(value) for name, value in event.headers or () if str(name) == ":status")
                if status == 200:
                    h2.send_data(stream, request, end_stream=False)
            elif isinstance(event, DataReceived):
                answer += event.data or b""
                h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                return status, bytes(answer)
        connection.sendall(h2.data_to_send())
    return status, bytes(answer)
