"""A key, its certificate, and TLS made of them. The key is in this process's memory and nowhere else."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


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

    def __repr__(self) -> str:
        return f"Credentials(uri={self.uri!r}, ends={self.ends.isoformat()}, private_key=<redacted>)"

    def context(self, bundle: str) -> ssl.SSLContext:
        """TLS of a client that shows this certificate, and believes the bundle alone."""
        context = client_context(bundle)
        # OpenSSL reads keys from files: this one is in memory only.
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(self.chain.encode() + self.private_key.encode())
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return context


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
    """A new key, and the request for its certificate. It names nobody: the token does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(self._key, hashes.SHA256())
        self.pem = request.public_bytes(serialization.Encoding.PEM)

    def credentials(self, chain: str) -> Credentials:
        """With the chain that was signed for it."""
        try:
            certificate = x509.load_pem_x509_certificates(chain.encode())[0]
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound) as error:
            raise IdentityError("the controller answered with something that is no certificate") from error
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1:
            raise IdentityError(f"the certificate has {len(uris)} URIs; an identity is exactly one")
        if certificate.public_key() != self._key.public_key():
            raise IdentityError("the certificate is not for the key it was asked for")
        private_key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Credentials(
            chain=chain,
            private_key=private_key.decode(),
            uri=uris[0],
            begins=certificate.not_valid_before_utc,
            ends=certificate.not_valid_after_utc,
        )
