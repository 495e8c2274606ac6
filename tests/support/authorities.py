"""Authorities and certificates such as the product itself never makes: the wrong ones, and other people's."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.ca.authority import Authority, Issued

HOUR = datetime.timedelta(hours=1)
BOTH = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def key_pem(key: Key) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def key_pem(self) -> str:
        return key_pem(self.key)


def signing(
    name: str,
    issuer: Made | None = None,
    *,
    ca: bool = True,
    path_length: int | None = None,
    begins: datetime.datetime | None = None,
    ends: datetime.datetime | None = None,
    usage: bool = True,
    key: Key | None = None,
) -> Made:
    """A root, or what an issuer has signed, with whatever is wrong about it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    bits = dict.fromkeys(
        ("key_encipherment", "content_commitment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    key_usage = x509.KeyUsage(
        digital_signature=not usage, key_cert_sign=usage, crl_sign=usage, decipher_only=False, **bits
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or utc_now() - HOUR)
        .not_valid_after(ends or utc_now() + 1000 * HOUR)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signer = issuer.key if issuer else key
    return Made(builder.sign(signer, hashes.SHA256()), key)


@dataclass(frozen=True)
class LeafPlan:
    """What stands in a leaf."""

    uris: Sequence[str] = ()
    hosts: Sequence[str] = ()
    begins: datetime.timedelta = field(default=-2 * HOUR)
    """From now."""
    ends: datetime.timedelta = HOUR
    usages: Sequence[x509.ObjectIdentifier] | None = BOTH
    ca: bool = False
    names: bool = True
    """Whether there is an alternative name at all."""


def leaf(plan: LeafPlan, issuer: Made | None) -> Issued:
    """A leaf that an issuer has signed; signed by itself without one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = utc_now()
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer.certificate.subject if issuer else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + plan.begins)
        .not_valid_after(now + plan.ends)
        .add_extension(x509.BasicConstraints(ca=plan.ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        builder = builder.add_extension(above, critical=False)
    if plan.usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(plan.usages), critical=False)
    if plan.names:
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in plan.uris]
        names += [x509.DNSName(host) for host in plan.hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Issued(chain=pem(signed), private_key=key_pem(key), ends=now + plan.ends)


def root_of(authority: Authority) -> Made:
    """What an authority of ours signs with, for certificates that it never signs itself."""
    signing_root = authority.material.signing
    return Made(signing_root.certificate, signing_root.key)
