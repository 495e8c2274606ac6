"""The fixed parts of certificates (RFC 5280, SPIFFE X.509-SVID)."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """A root signs certificates and nothing else; a leaf everything but that."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def host(name: str) -> x509.GeneralName:
    """A host by its name or address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def root(key: ec.EllipticCurvePrivateKey, begins: datetime.datetime, ends: datetime.datetime) -> x509.Certificate:
    """A certificate that ``key`` signs for itself."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The name differs from one root to the next, or a bundle of two could not be told apart.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sekisho"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Mesh authority {identifier.digest.hex()[:16]}"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
