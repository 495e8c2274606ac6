"""Who somebody is in a cluster: a service account, and its SPIFFE identifier.

The identifier is ``spiffe://<trust domain>/ns/<namespace>/sa/<service account>``; a certificate that says
anything else, or two of them, proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509

DEFAULT_TRUST_DOMAIN: Final = "cluster.local"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9._]{0,253}[a-z0-9])?")
_USER: Final = "system:serviceaccount:"


class IdentityError(ValueError):
    """What was shown proves no identity; the text says why."""


class UnverifiableError(Exception):
    """Whether a token is good cannot be found out now."""


@dataclass(frozen=True, order=True)
class ServiceAccount:
    """A service account of the cluster."""

    namespace: str
    name: str

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.namespace) and _NAME.fullmatch(self.name)):
            raise IdentityError(f"{self.namespace!r}/{self.name!r} is no service account")

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def uri(self, trust_domain: str) -> str:
        """The SPIFFE identifier."""
        return f"spiffe://{trust_domain}/ns/{self.namespace}/sa/{self.name}"

    @classmethod
    def of_user(cls, user: str) -> ServiceAccount:
        """From the name under which the API server knows it."""
        namespace, colon, name = user.removeprefix(_USER).partition(":")
        if not user.startswith(_USER) or not colon:
            raise IdentityError(f"{user!r} is no service account")
        return cls(namespace, name)

    @classmethod
    def of_uri(cls, uri: str, trust_domain: str) -> ServiceAccount:
        """From a SPIFFE identifier of this trust domain."""
        begin = f"spiffe://{trust_domain}/ns/"
        namespace, separator, name = uri.removeprefix(begin).partition("/sa/")
        if not uri.startswith(begin) or not separator:
            raise IdentityError(f"{uri!r} is no service account of the trust domain {trust_domain}")
        return cls(namespace, name)

    @classmethod
    def of_certificate(cls, certificate: x509.Certificate, trust_domain: str) -> ServiceAccount:
        """From a certificate whose chain was verified before."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError) as error:
            raise IdentityError("the certificate has no usable alternative name") from error
        if _signs(certificate):
            raise IdentityError("the certificate is one that signs others, and proves nobody's identity")
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1:
            raise IdentityError(f"the certificate has {len(uris)} URIs; an identity is exactly one")
        return cls.of_uri(uris[0], trust_domain)


def _signs(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def check_trust_domain(trust_domain: str) -> str:
    """The trust domain, if it is one."""
    if not _TRUST_DOMAIN.fullmatch(trust_domain):
        raise IdentityError(f"{trust_domain!r} is no trust domain: lower-case letters, digits, '-', '.' and '_'")
    return trust_domain
