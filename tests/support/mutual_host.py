"""A host that speaks TLS with those alone who show a certificate, and tells each of them whose it was."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography import x509


@contextmanager
def serving(
    address: tuple[str, int],
    context: ssl.SSLContext,
    make: Callable[[Callable[[], socket.socket]], socket.socket],
) -> Iterator[None]:
    """``make`` calls what it is given where the socket is to be, such as in a network namespace."""
    listener = make(lambda: socket.create_server(address))
    thread = threading.Thread(target=_accept, args=(listener, context), daemon=True)
    thread.start()
    try:
        yield
    finally:
        # A thread that accepts is not woken by closing the socket alone.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_talk, args=(connection, context), daemon=True).start()


def _talk(connection: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(30)
        with context.wrap_socket(connection, server_side=True) as stream:
            shown = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True) or b"")
            names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            body = f"hello {' '.join(names.get_values_for_type(x509.DNSName))}".encode()
            while stream.recv(65536):
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
