"""A key, its certificate, and TLS made of them. The key is in this process's memory and nowhere else.

The engine says what an identity is (SPIFFE X.509-SVID): exactly one URI, a leaf, good for both sides of TLS. This
module owns that it is good now. A library for certificates would take as much memory as the engine: none is loaded.
"""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass

import msgspec

from gateway.compiled import engine


class IdentityError(Exception):
    """This gateway has no identity to show now; the text says why, and it is tried again."""


class _Read(msgspec.Struct, frozen=True):
    """What the engine says of a certificate; times in seconds since the epoch."""

    uri: str
    begins: int
    ends: int
    root_key: str


@dataclass(frozen=True)
class Credentials:
    """One certificate and the key it is for."""

    chain: str
    private_key: str
    uri: str
    begins: datetime.datetime
    ends: datetime.datetime
    root_key: str = ""
    """The key identifier, hexadecimal, of the root that the chain leads to."""

    def __repr__(self) -> str:
        return f"Credentials(uri={self.uri!r}, ends={self.ends.isoformat()}, private_key=<redacted>)"

    @classmethod
    def of(cls, chain: str, private_key: str) -> Credentials:
        """Leaf first, both PEM. Raises :class:`IdentityError` where that is no identity."""
        try:
            read = msgspec.json.decode(engine.read_identity(chain, private_key), type=_Read)
        except ValueError as error:
            raise IdentityError(str(error)) from None
        return cls(
            chain=chain,
            private_key=private_key,
            uri=read.uri,
            begins=datetime.datetime.fromtimestamp(read.begins, datetime.UTC),
            ends=datetime.datetime.fromtimestamp(read.ends, datetime.UTC),
            root_key=read.root_key,
        )

    def check(self, now: datetime.datetime) -> None:
        """Raises :class:`IdentityError` where it is not good now."""
        clock = "maybe this machine's clock is wrong"
        if now >= self.ends:
            raise IdentityError(f"the certificate of {self.uri} has ended on {self.ends:%F %T}; {clock}")
        if now < self.begins:
            raise IdentityError(f"the certificate of {self.uri} begins on {self.begins:%F %T} only; {clock}")

    def context(self, bundle: str) -> ssl.SSLContext:
        """TLS of a client that shows this certificate, and believes the bundle alone."""
        context = client_context(bundle)
        # OpenSSL reads keys from files: this one is in memory only.
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(self.chain.encode() + self.private_key.encode())
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return context


def trust_domain_of(uri: str) -> str:
    """The trust domain of a SPIFFE identifier."""
    return uri.removeprefix("spiffe://").partition("/")[0]


def client_context(bundle: str) -> ssl.SSLContext:
    """TLS 1.2 and newer, the server verified by name against the bundle alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError) as error:
        raise IdentityError(f"the trust bundle is no PEM of certificates: {error}") from error
    return context


class CertificateRequest:
    """A new key, and the request for its certificate. It names nobody: the proof does."""

    def __init__(self) -> None:
        request, self._private_key = engine.certificate_request()
        self.pem = request.encode()

    def credentials(self, chain: str) -> Credentials:
        """With the chain that was signed for it."""
        return Credentials.of(chain, self._private_key)
