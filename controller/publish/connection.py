"""What the application is told of the connection a request came over, and TLS as discovery needs it."""

from __future__ import annotations

import datetime
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from cryptography import x509

from controller.ca.authority import Issued

_SCOPE_KEY: Final = "sekisho.connection"


@dataclass(frozen=True)
class Connection:
    """One connection of a client."""

    certificate: x509.Certificate | None
    """The client's, its chain verified; None where it showed none."""
    abort: Callable[[], None]
    """Ends the connection at once, whatever is still to be sent."""

    @classmethod
    def of(cls, scope: Any) -> Connection:
        """The connection of an ASGI request."""
        return cast("Connection", scope["extensions"][_SCOPE_KEY])

    def put_into(self, scope: Any) -> None:
        """Has :meth:`of` find it."""
        scope["extensions"][_SCOPE_KEY] = self

    @property
    def certificate_ends(self) -> float:
        """In seconds since the epoch; 0 without one."""
        return self.certificate.not_valid_after_utc.timestamp() if self.certificate is not None else 0.0

    def certificate_holds(self, now: datetime.datetime) -> bool:
        """Whether the certificate is still good: a connection may live longer than it."""
        return self.certificate is not None and now < self.certificate.not_valid_after_utc


def server_context(bundle_pem: str) -> ssl.SSLContext:
    """TLS 1.2 and newer; a client certificate may be shown, and then it must be good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=bundle_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would bring back a certificate without looking at it again.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["h2"])
    return context


def accepting_context(current: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """For a listening socket: each handshake is done with what ``current`` says then, its bundle included.

    A bundle cannot be taken out of a context, and the listening socket keeps the one that it was given.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["h2"])

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = current()

    context.sni_callback = choose
    return context


def load_issued(context: ssl.SSLContext, issued: Issued) -> None:
    """Uses a certificate from the next handshake on. OpenSSL reads keys from files: this one is in memory only."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(issued.chain.encode() + issued.private_key.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
