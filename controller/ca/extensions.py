"""The fixed parts of certificates (RFC 5280, SPIFFE X.509-SVID)."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """An authority signs certificates and nothing else; a leaf everything but that."""
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
    name = _name("authority", x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
    return _authority(key.public_key(), name, begins, ends, path_length=1).issuer_name(name).sign(key, hashes.SHA256())


def intermediate(
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    begins: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    """A certificate that signs leaves alone, to be signed by ``issuer``'s key."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return (
        _authority(key, _name("intermediate", identifier), begins, ends, path_length=0)
        .issuer_name(issuer.subject)
        .add_extension(authority_key(issuer), critical=False)
    )


def authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """How what ``issuer`` signs says which key it was."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _name(what: str, identifier: x509.SubjectKeyIdentifier) -> x509.Name:
    # The name differs from one to the next, or a bundle of two could not be told apart.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sekisho"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Mesh {what} {identifier.digest.hex()[:16]}"),
        ]
    )


def _authority(
    key: ec.EllipticCurvePublicKey,
    name: x509.Name,
    begins: datetime.datetime,
    ends: datetime.datetime,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
