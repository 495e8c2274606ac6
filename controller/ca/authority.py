"""The authority of the mesh: signs who a service account is.

Owns the root's private key, in memory, and what may stand in a certificate. Of a request it takes the
public key alone: names, usages and lifetimes that it asks for count for nothing. It does not decide who
somebody is: the caller has verified that.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca import extensions
from controller.ca.service_account import DEFAULT_TRUST_DOMAIN, ServiceAccount, check_trust_domain

ROOT_LIFETIME: Final = datetime.timedelta(days=3650)
LEAF_LIFETIME: Final = datetime.timedelta(hours=24)
_SKEW: Final = datetime.timedelta(minutes=5)
"""Certificates begin a little before now: clocks differ."""
_SHORTEST: Final = datetime.timedelta(seconds=2)
_RSA_BITS: Final = range(2048, 4097)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
Now = Callable[[], datetime.datetime]


class RequestError(ValueError):
    """A certificate request that is not signed; the text says why."""


class AuthorityError(ValueError):
    """An authority that cannot be used; the text says why."""


def utc_now() -> datetime.datetime:
    """The machine's time."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate with a key of its own, PEM."""

    chain: str
    private_key: str
    ends: datetime.datetime

    def __repr__(self) -> str:
        return f"Issued(ends={self.ends.isoformat()}, chain=…, private_key=<redacted>)"


@dataclass(frozen=True)
class AuthoritySettings:
    """What is the same for all certificates."""

    trust_domain: str = DEFAULT_TRUST_DOMAIN
    lifetime: datetime.timedelta = LEAF_LIFETIME

    def __post_init__(self) -> None:
        check_trust_domain(self.trust_domain)
        if not _SHORTEST <= self.lifetime <= ROOT_LIFETIME:
            raise AuthorityError(f"certificates cannot live for {self.lifetime}")


class Authority:
    """One root: a P-256 key and its certificate."""

    def __init__(
        self,
        certificates: str,
        private_key: str,
        settings: AuthoritySettings | None = None,
        now: Now = utc_now,
    ) -> None:
        """``certificates``, PEM: the root whose key it is first; others that are to be trusted too may follow."""
        self.settings = settings or AuthoritySettings()
        self._now = now
        self._key = _signing_key(private_key)
        try:
            trusted = x509.load_pem_x509_certificates(certificates.encode())
        except ValueError as error:
            raise AuthorityError("the authority's certificate is not PEM") from error
        self._certificate = trusted[0]
        self._bundle = "".join(_pem(certificate) for certificate in trusted)
        if _spki(self._certificate.public_key()) != _spki(self._key.public_key()):
            raise AuthorityError("the authority's key does not belong to its certificate")
        if self._certificate.not_valid_after_utc <= now():
            raise AuthorityError(f"the authority's certificate ended on {self._certificate.not_valid_after_utc:%F}")

    def __repr__(self) -> str:
        return f"Authority({self._certificate.subject.rfc4514_string()}, private_key=<redacted>)"

    @classmethod
    def create(cls, settings: AuthoritySettings | None = None, now: Now = utc_now) -> Authority:
        """A new root."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = extensions.root(key, now() - _SKEW, now() + ROOT_LIFETIME)
        return cls(_pem(certificate), _private_pem(key), settings, now)

    @property
    def bundle_pem(self) -> str:
        """What others need to believe this authority."""
        return self._bundle

    @property
    def private_key_pem(self) -> str:
        """For the Secret it is kept in, and nothing else."""
        return _private_pem(self._key)

    @property
    def trust_domain(self) -> str:
        """The trust domain of all identities."""
        return self.settings.trust_domain

    def sign(self, request_pem: bytes, account: ServiceAccount) -> str:
        """The chain, PEM, for the key of a certificate request; raises :class:`RequestError`."""
        return self._chain(_requested_key(request_pem), account, ())[0]

    def issue(self, account: ServiceAccount, hosts: Iterable[str] = ()) -> Issued:
        """A certificate with a new key, for the controller itself: client, and server of these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain, ends = self._chain(key.public_key(), account, tuple(hosts))
        return Issued(chain=chain, private_key=_private_pem(key), ends=ends)

    def identity(self, certificate: x509.Certificate) -> ServiceAccount:
        """Whose certificate it is; the chain was verified when the connection began."""
        return ServiceAccount.of_certificate(certificate, self.trust_domain)

    def _chain(self, key: PublicKey, account: ServiceAccount, hosts: tuple[str, ...]) -> tuple[str, datetime.datetime]:
        now = self._now()
        ends = min(now + self.settings.lifetime, self._certificate.not_valid_after_utc)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(account.uri(self.trust_domain))]
        names += [extensions.host(name) for name in hosts]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _SKEW, self._certificate.not_valid_before_utc))
            .not_valid_after(ends)
            # Critical, since the subject is empty (RFC 5280, 4.2.1.6).
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(extensions.key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return _pem(builder.sign(self._key, hashes.SHA256())), ends


def _requested_key(request_pem: bytes) -> PublicKey:
    try:
        request = x509.load_pem_x509_csr(request_pem)
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise RequestError("not a certificate request in PEM with a key of a known kind") from error
    if not signed:
        raise RequestError("the certificate request is not signed by its own key")
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            return key
        case ed25519.Ed25519PublicKey():
            return key
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            return key
        case _:
            raise RequestError("the key must be ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")


def _signing_key(private_key: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityError("the authority's private key is not PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError("the authority's private key is not ECDSA")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AuthorityError("the authority's certificate is not for an ECDSA key")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
