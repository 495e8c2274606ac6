"""What an authority signs with: a root, or a certificate below a root of somebody else, and its key.

Owns reading and judging them. A certificate that may not sign, has ended, or leads to no root is refused here, where
the text can say so, and not by the first gateway that shows what was signed with it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controller.ca import extensions

ROOT_LIFETIME: Final = datetime.timedelta(days=3650)
SKEW: Final = datetime.timedelta(minutes=5)
"""Certificates begin a little before now: clocks differ."""
_MOST_CERTIFICATES: Final = 32
_SMALLEST_RSA: Final = 2048
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)

Extension = TypeVar("Extension", bound=x509.ExtensionType)
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class AuthorityError(ValueError):
    """An authority that cannot be used; the text says why."""


@dataclass(frozen=True)
class Root:
    """One certificate that signs others, its key, and the way from it to roots that are trusted."""

    certificate: x509.Certificate
    key: SigningKey
    chain: tuple[x509.Certificate, ...]
    """What must be shown along with what it signs: itself and those above it, without a root."""
    anchors: tuple[x509.Certificate, ...]
    """The root it leads to, and others that are to be trusted too."""

    def __repr__(self) -> str:
        return f"Root({self.certificate.subject.rfc4514_string()}, key=<redacted>)"

    @classmethod
    def create(cls, now: datetime.datetime) -> Root:
        """A new one: a P-256 key and its own certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = extensions.root(key, now - SKEW, now + ROOT_LIFETIME)
        return cls(certificate=certificate, key=key, chain=(), anchors=(certificate,))

    @classmethod
    def parse(cls, certificates: str, private_key: str, now: datetime.datetime) -> Root:
        """From PEM. The key's certificate is first; those up to its root, and other roots to be trusted, may follow."""
        found = parse_certificates(certificates)
        key = _signing_key(private_key)
        first = found[0]
        if spki(first.public_key()) != spki(key.public_key()):
            raise AuthorityError("the authority's key does not belong to its certificate")
        path = _path(first, found)
        for below, certificate in enumerate(path):
            _judge(certificate, below, now)
        roots = [certificate for certificate in found if is_root(certificate)]
        return cls(certificate=first, key=key, chain=tuple(path[:-1]), anchors=unique([path[-1], *roots]))

    @property
    def certificates_pem(self) -> str:
        """As :meth:`parse` reads it."""
        return "".join(pem(certificate) for certificate in unique([self.certificate, *self.chain, *self.anchors]))

    @property
    def private_key_pem(self) -> str:
        """For where it is kept, and nothing else."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    @property
    def ends(self) -> datetime.datetime:
        """When the first of its path ends."""
        return min(certificate.not_valid_after_utc for certificate in (*self.chain, self.anchors[0]))

    @property
    def allows_intermediate(self) -> bool:
        """Whether another authority may stand below it."""
        path = (*self.chain, self.anchors[0])
        return all(_room(certificate, below + 1) for below, certificate in enumerate(path))


# --- reading ------------------------------------------------------------------------------------


def parse_certificates(text: str) -> list[x509.Certificate]:
    """All of a text in PEM; at least one."""
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise AuthorityError("the authority's certificate is not PEM") from error
    if len(found) > _MOST_CERTIFICATES:
        raise AuthorityError(f"the authority has more than {_MOST_CERTIFICATES} certificates")
    return found


def split_pem(text: str) -> tuple[str, str]:
    """The certificates of a text in PEM, and its first private key; empty where there is none."""
    found = _PRIVATE_KEY.search(text)
    return (_PRIVATE_KEY.sub("", text), found.group()) if found is not None else (text, "")


def pem(certificate: x509.Certificate) -> str:
    """One certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def spki(key: object) -> bytes:
    """A public key, comparable."""
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise AuthorityError("the authority's certificate is not for an ECDSA or RSA key")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def algorithm_of(key: SigningKey) -> hashes.SHA256 | hashes.SHA384:
    """A digest as strong as the key."""
    strong = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    return hashes.SHA384() if strong else hashes.SHA256()


def unique(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Each once, in their order."""
    return tuple(dict.fromkeys(certificates))


def is_root(certificate: x509.Certificate) -> bool:
    """Whether it is signed by itself."""
    return _signed_by(certificate, certificate)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signing_key(private_key: str) -> SigningKey:
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityError("the authority's private key is not PEM without a passphrase") from None
    match key:
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            return key
        case rsa.RSAPrivateKey() if key.key_size >= _SMALLEST_RSA:
            return key
        case _:
            raise AuthorityError(f"the authority's key must be ECDSA P-256 or P-384, or RSA of {_SMALLEST_RSA} bits up")


# --- judging ------------------------------------------------------------------------------------


def _path(first: x509.Certificate, found: list[x509.Certificate]) -> list[x509.Certificate]:
    """From the certificate that signs to its root, both included."""
    path = [first]
    while not is_root(path[-1]):
        above = next(_issuers(path, found), None)
        if above is None:
            raise AuthorityError(
                f"no root is among the certificates: the issuer of {_name(path[-1])} is missing; append the chain to it"
            )
        path.append(above)
    return path


def _issuers(path: list[x509.Certificate], found: list[x509.Certificate]) -> Iterator[x509.Certificate]:
    return (other for other in found if other not in path and _signed_by(path[-1], other))


def _judge(certificate: x509.Certificate, below: int, now: datetime.datetime) -> None:
    name = _name(certificate)
    if certificate.not_valid_after_utc <= now:
        raise AuthorityError(f"the authority's certificate ended on {certificate.not_valid_after_utc:%F}: {name}")
    if certificate.not_valid_before_utc > now + SKEW:
        raise AuthorityError(f"the authority's certificate begins on {certificate.not_valid_before_utc:%F %T}: {name}")
    try:
        found = certificate.extensions
    except ValueError as error:
        raise AuthorityError(f"the extensions of {name} cannot be read") from error
    constraints = _extension(found, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise AuthorityError(f"{name} is no authority: it is not CA:TRUE")
    usage = _extension(found, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise AuthorityError(f"{name} may not sign certificates: its key usage has no keyCertSign")
    if not _room(certificate, below):
        raise AuthorityError(f"the path length of {name} allows fewer authorities below it than there are")


def _room(certificate: x509.Certificate, below: int) -> bool:
    """Whether so many authorities may stand below it."""
    constraints = _extension(certificate.extensions, x509.BasicConstraints)
    return constraints is not None and (constraints.path_length is None or constraints.path_length >= below)


def _extension(found: x509.Extensions, kind: type[Extension]) -> Extension | None:
    try:
        return found.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"the certificate {certificate.serial_number:x}"
