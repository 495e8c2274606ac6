"""A key, its certificate, and TLS made of them. The key is in this process's memory and nowhere else.

Owns what is taken for an identity (SPIFFE X.509-SVID): exactly one URI, a leaf, good for both sides of TLS, now.
"""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

_USAGES: Final = {ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth", ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth"}

Extension = TypeVar("Extension", bound=x509.ExtensionType)


class IdentityError(Exception):
    """This gateway has no identity to show now; the text says why, and it is tried again."""


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
        """What others made: leaf first. Raises :class:`IdentityError` where that is no identity."""
        try:
            key = serialization.load_pem_private_key(private_key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise IdentityError("the private key is not PEM without a passphrase") from None
        return cls._checked(chain, private_key, key.public_key(), "the private key does not belong to the certificate")

    @classmethod
    def _checked(cls, chain: str, private_key: str, key: PublicKeyTypes, not_its: str) -> Credentials:
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError as error:
            raise IdentityError("there is no certificate in PEM") from error
        leaf = certificates[0]
        uri = _identity(leaf)
        if leaf.public_key() != key:
            raise IdentityError(not_its)
        return cls(
            chain=chain,
            private_key=private_key,
            uri=uri,
            begins=leaf.not_valid_before_utc,
            ends=leaf.not_valid_after_utc,
            root_key=_issuer_key(certificates[-1]),
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
        self._key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(self._key, hashes.SHA256())
        self.pem = request.public_bytes(serialization.Encoding.PEM)

    def credentials(self, chain: str) -> Credentials:
        """With the chain that was signed for it."""
        private_key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        not_its = "the certificate is not for the key it was asked for"
        return Credentials._checked(chain, private_key.decode(), self._key.public_key(), not_its)  # noqa: SLF001


# --- what is an identity --------------------------------------------------------------------------


def _identity(leaf: x509.Certificate) -> str:
    names = _extension(leaf, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    if len(uris) != 1:
        raise IdentityError(f"the certificate has {len(uris)} URIs; an identity is exactly one")
    uri = uris[0]
    if not uri.startswith("spiffe://") or not uri.removeprefix("spiffe://").partition("/")[0]:
        raise IdentityError(f"the certificate is for {uri!r}, which is no SPIFFE identifier")
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise IdentityError(f"the certificate of {uri} is one that signs others (CA:TRUE), and no identity")
    usages = _extension(leaf, x509.ExtendedKeyUsage)
    missing = [name for usage, name in _USAGES.items() if usages is not None and usage not in usages]
    if missing:
        raise IdentityError(f"the certificate of {uri} may not be used for both sides of TLS: {missing[0]} is missing")
    return uri


def _issuer_key(certificate: x509.Certificate) -> str:
    found = _extension(certificate, x509.AuthorityKeyIdentifier)
    return (found.key_identifier or b"").hex() if found is not None else ""


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise IdentityError("the extensions of the certificate cannot be read") from error
