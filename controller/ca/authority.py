"""The authority of the mesh: signs who a service account is.

Owns the keys that sign, in memory, and what may stand in a certificate. Of a request it takes the public key alone:
names, usages and lifetimes that it asks for count for nothing. It does not decide who somebody is: the caller has
verified that. What it is made of may change while it runs (:meth:`Authority.take`).

Leaves are signed by an intermediate, which every process makes for itself and makes anew long before it ends: the
root's key signs a few times a month. A root that allows none below it signs leaves itself.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca import extensions
from controller.ca.material import Material
from controller.ca.root import ROOT_LIFETIME, SKEW, AuthorityError, Root, SigningKey, algorithm_of, pem
from controller.ca.service_account import DEFAULT_TRUST_DOMAIN, ServiceAccount, check_trust_domain

__all__ = ["Authority", "AuthorityError", "AuthoritySettings", "DeniedError", "Issued", "RequestError", "utc_now"]

LEAF_LIFETIME: Final = datetime.timedelta(hours=24)
_INTERMEDIATE_LIFETIME: Final = datetime.timedelta(days=14)
_INTERMEDIATE_LEAVES: Final = 4
"""An intermediate outlives what it signs at least by so much, so that half of its life is enough for a leaf."""
_SHORTEST: Final = datetime.timedelta(seconds=2)
_RSA_BITS: Final = range(2048, 4097)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
Now = Callable[[], datetime.datetime]

logger = logging.getLogger(__name__)


class RequestError(ValueError):
    """A certificate request that is not signed; the text says why."""


class DeniedError(RequestError):
    """Who asks is on the list of those who get no certificate."""


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

    @property
    def intermediate_lifetime(self) -> datetime.timedelta:
        """Of the certificates that sign."""
        return max(_INTERMEDIATE_LIFETIME, _INTERMEDIATE_LEAVES * self.lifetime)


@dataclass(frozen=True)
class _Signer:
    """What signs leaves now."""

    certificate: x509.Certificate
    key: SigningKey
    chain: tuple[x509.Certificate, ...]
    """Shown after the leaf."""
    ends: datetime.datetime
    renew_at: datetime.datetime


class Authority:
    """Signs with what it was given, from any thread."""

    def __init__(
        self,
        certificates: str,
        private_key: str,
        settings: AuthoritySettings | None = None,
        now: Now = utc_now,
    ) -> None:
        """``certificates``, PEM: that of the key first, then its chain, and other roots that are to be trusted too."""
        self.settings = settings or AuthoritySettings()
        self._now = now
        self._material = Material(Root.parse(certificates, private_key, now()))
        self._signer: _Signer | None = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"Authority({self._material.signing.certificate.subject.rfc4514_string()}, private_key=<redacted>)"

    @classmethod
    def of(cls, material: Material, settings: AuthoritySettings | None = None, now: Now = utc_now) -> Authority:
        """What was kept."""
        authority = cls(material.signing.certificates_pem, material.signing.private_key_pem, settings, now)
        authority.take(material)
        return authority

    @classmethod
    def create(cls, settings: AuthoritySettings | None = None, now: Now = utc_now) -> Authority:
        """A new root."""
        return cls.of(Material(Root.create(now())), settings, now)

    # --- what it is made of ---------------------------------------------------------------------

    @property
    def material(self) -> Material:
        """All of it, as it is now."""
        return self._material

    def take(self, material: Material) -> None:
        """From now on it is made of this. Whoever listens is told, on this thread."""
        if material.texts() == self._material.texts():
            return
        with self._lock:
            if material.signing.certificate != self._material.signing.certificate:
                self._signer = None
            self._material = material
        for listener in self._listeners:
            listener()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Called after every :meth:`take` that changed something."""
        self._listeners.append(listener)

    @property
    def bundle_pem(self) -> str:
        """What others need to believe this authority."""
        return self._material.bundle_pem

    @property
    def private_key_pem(self) -> str:
        """For the place it is kept in, and nothing else."""
        return self._material.signing.private_key_pem

    @property
    def trust_domain(self) -> str:
        """The trust domain of all identities."""
        return self.settings.trust_domain

    @property
    def root_key(self) -> str:
        """The identifier of the key of the root that everything signed now leads to: hexadecimal."""
        identifier = extensions.authority_key(self._material.signing.anchors[0]).key_identifier or b""
        return identifier.hex()

    # --- certificates ---------------------------------------------------------------------------

    def sign(self, request_pem: bytes, account: ServiceAccount) -> str:
        """The chain, PEM, for the key of a certificate request; raises :class:`RequestError`."""
        if self.denies(account):
            raise DeniedError(f"{account.uri(self.trust_domain)} is denied: it gets no certificate any more")
        return self._chain(requested_key(request_pem), account, ())[0]

    def issue(self, account: ServiceAccount, hosts: Iterable[str] = ()) -> Issued:
        """A certificate with a new key, for the controller itself: client, and server of these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain, ends = self._chain(key.public_key(), account, tuple(hosts))
        form = serialization.PrivateFormat.PKCS8
        private_key = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        return Issued(chain=chain, private_key=private_key, ends=ends)

    def identity(self, certificate: x509.Certificate) -> ServiceAccount:
        """Whose certificate it is; the chain was verified when the connection began."""
        return ServiceAccount.of_certificate(certificate, self.trust_domain)

    def denies(self, account: ServiceAccount) -> bool:
        """Whether this identity is on the list of those who get no certificate any more."""
        return account.uri(self.trust_domain) in self._material.denied

    def _chain(self, key: PublicKey, account: ServiceAccount, hosts: tuple[str, ...]) -> tuple[str, datetime.datetime]:
        now = self._now()
        signer = self._signs(now)
        ends = min(now + self.settings.lifetime, signer.ends)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(account.uri(self.trust_domain))]
        names += [extensions.host(name) for name in hosts]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(signer.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - SKEW, signer.certificate.not_valid_before_utc))
            .not_valid_after(ends)
            # Critical, since the subject is empty (RFC 5280, 4.2.1.6).
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(extensions.key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(extensions.authority_key(signer.certificate), critical=False)
        )
        leaf = builder.sign(signer.key, algorithm_of(signer.key))
        return "".join(pem(certificate) for certificate in (leaf, *signer.chain)), ends

    # --- the intermediate -----------------------------------------------------------------------

    def _signs(self, now: datetime.datetime) -> _Signer:
        with self._lock:
            if self._signer is None or now >= self._signer.renew_at:
                self._signer = self._new_signer(self._material.signing, now)
            return self._signer

    def _new_signer(self, root: Root, now: datetime.datetime) -> _Signer:
        if root.ends <= now:
            raise AuthorityError(f"the authority's certificate ended on {root.ends:%F}: give it another root")
        if not root.allows_intermediate:
            return _Signer(root.certificate, root.key, root.chain, root.ends, root.ends)
        ends = min(now + self.settings.intermediate_lifetime, root.ends)
        key = ec.generate_private_key(ec.SECP256R1())
        begins = max(now - SKEW, root.certificate.not_valid_before_utc)
        builder = extensions.intermediate(key.public_key(), root.certificate, begins, ends)
        certificate = builder.sign(root.key, algorithm_of(root.key))
        logger.info("certificates are signed by a new intermediate until %s", ends.isoformat(timespec="seconds"))
        return _Signer(certificate, key, (certificate, *root.chain), ends, now + (ends - now) / 2)


def requested_key(request_pem: bytes) -> PublicKey:
    """The public key of a certificate request; raises :class:`RequestError`."""
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
