"""Certificate authorities and the certificates they issue, for listeners, backends and clients."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BOTH_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate chain (leaf first) and the leaf's private key, both PEM."""

    chain: str
    private_key: str

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write both to files, and return the paths of the chain and the key."""
        chain, key = directory / f"{name}.crt", directory / f"{name}.key"
        chain.write_text(self.chain)
        key.write_text(self.private_key)
        return chain, key

    def server_context(self, directory: Path, protocols: Sequence[str] = ()) -> ssl.SSLContext:
        """A server's TLS settings; ``protocols`` is the list that ALPN chooses from."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.write(directory, f"server-{id(self)}"))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


class Authority:
    """A certificate authority; ``parent`` makes it an intermediate one."""

    def __init__(self, name: str = "Test authority", parent: Authority | None = None) -> None:
        self._key: ec.EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP256R1())
        self._parent = parent
        subject = _name(name)
        builder = _builder(subject, parent.certificate.subject if parent else subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        self.certificate: x509.Certificate = builder.sign(parent._key if parent else self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(self, path: Path) -> Path:
        path.write_text(self.pem)
        return path

    def issue(
        self,
        *hosts: str,
        uris: Sequence[str] = (),
        days: int = 30,
        started_days_ago: int = 1,
        key_type: str = "ecdsa",
        purposes: Sequence[x509.ObjectIdentifier] = _BOTH_PURPOSES,
        common_name: str = "",
    ) -> Issued:
        """Issue a leaf for host names or addresses, and for URIs; negative ``days`` makes it expired."""
        key = _new_key(key_type)
        names: list[x509.GeneralName] = [_host(host) for host in hosts]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = _builder(
            _name(common_name or (hosts[0] if hosts else "leaf")),
            self.certificate.subject,
            key.public_key(),
            days=days,
            started_days_ago=started_days_ago,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        leaf = builder.sign(self._key, hashes.SHA256())
        chain = leaf.public_bytes(serialization.Encoding.PEM).decode()
        authority: Authority | None = self
        while authority is not None and authority._parent is not None:
            chain += authority.pem
            authority = authority._parent
        private_key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Issued(chain=chain, private_key=private_key.decode())

    def client_context(self, protocols: Sequence[str] = ()) -> ssl.SSLContext:
        """A client's TLS settings that trust this authority alone."""
        context = ssl.create_default_context(cadata=self.pem)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@functools.cache
def shared_authority() -> Authority:
    """One authority for the tests of this process that do not care which."""
    return Authority()


def serial_number(chain: str) -> int:
    """Serial number of the first certificate of a PEM chain."""
    return x509.load_pem_x509_certificate(chain.encode()).serial_number


def _new_key(key_type: str) -> Key:
    """``ecdsa``, ``rsa``, or ``p521``: a curve that OpenSSL knows and the gateway's TLS does not."""
    if key_type == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP521R1() if key_type == "p521" else ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    *,
    days: int = 30,
    started_days_ago: int = 1,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=started_days_ago))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
