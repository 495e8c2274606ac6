"""Everything an authority is made of, as it is kept: what it signs with, what is to be trusted, who is denied.

Owns the phases of a change of roots. A root is trusted everywhere before anything is signed with it, and is trusted
until nothing that it signed is in use: so nobody ever meets a certificate that he cannot verify. It holds no clock and
no place; files (``directory``) and a cluster's Secret keep the same texts.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from cryptography import x509

from controller.ca.root import AuthorityError, Root, is_root, parse_certificates, pem, unique
from gateway.routing_table.discovery import trust_digest

CERTIFICATE: Final = "ca.crt"
PRIVATE_KEY: Final = "ca.key"
NEXT_CERTIFICATE: Final = "next.crt"
NEXT_PRIVATE_KEY: Final = "next.key"
PREVIOUS: Final = "previous.crt"
DENIED: Final = "denied"
_MOST_DENIED: Final = 10_000


class Phase(Enum):
    """Where a change of roots stands."""

    STABLE = "stable"
    """One root is signed with, and nothing is on its way."""
    INTRODUCED = "introduced"
    """The next root is trusted; the one before still signs."""
    SWITCHED = "switched"
    """The new root signs; the one before is still trusted."""


@dataclass(frozen=True)
class Material:
    """What there is of one authority at a time."""

    signing: Root
    following: Root | None = None
    previous: tuple[x509.Certificate, ...] = ()
    denied: frozenset[str] = field(default_factory=frozenset)
    """SPIFFE identifiers that get no certificate any more."""

    @property
    def phase(self) -> Phase:
        """Where a change of roots stands."""
        if self.following is not None:
            return Phase.INTRODUCED
        return Phase.SWITCHED if self.previous else Phase.STABLE

    @property
    def bundle_pem(self) -> str:
        """What others need to believe everything that is signed in this phase."""
        following = self.following.anchors if self.following is not None else ()
        return "".join(pem(root) for root in unique([*self.signing.anchors, *following, *self.previous]))

    @property
    def digest(self) -> str:
        """Of the bundle."""
        return trust_digest(self.bundle_pem)

    # --- the phases -----------------------------------------------------------------------------

    def introduced(self, following: Root) -> Material:
        """The first phase: another root is trusted as well."""
        if self.phase is not Phase.STABLE:
            raise AuthorityError(f"a change of roots is on its way already: {self.phase.value}")
        if following.certificate == self.signing.certificate:
            raise AuthorityError("the next root is the one that signs already")
        return replace(self, following=following)

    def switched(self) -> Material:
        """The second phase: the other root signs."""
        if self.following is None:
            raise AuthorityError("no root was introduced that could be changed to")
        kept = [root for root in self.signing.anchors if root not in self.following.anchors]
        return replace(self, signing=self.following, following=None, previous=tuple(kept))

    def dropped(self) -> Material:
        """The third phase: the root before is trusted no more."""
        if self.phase is not Phase.SWITCHED:
            raise AuthorityError("there is no root before this one that is still trusted")
        return replace(self, previous=())

    # --- as it is kept --------------------------------------------------------------------------

    def texts(self) -> dict[str, str]:
        """By name, what :meth:`parse` reads."""
        found = {CERTIFICATE: self.signing.certificates_pem, PRIVATE_KEY: self.signing.private_key_pem}
        if self.following is not None:
            found[NEXT_CERTIFICATE] = self.following.certificates_pem
            found[NEXT_PRIVATE_KEY] = self.following.private_key_pem
        if self.previous:
            found[PREVIOUS] = "".join(pem(root) for root in self.previous)
        if self.denied:
            found[DENIED] = "".join(f"{identity}\n" for identity in sorted(self.denied))
        return found

    @classmethod
    def parse(cls, texts: Mapping[str, str], now: datetime.datetime) -> Material:
        """From its texts; raises :class:`AuthorityError`, and ``KeyError`` where one of the first two is missing."""
        signing = Root.parse(texts[CERTIFICATE], texts[PRIVATE_KEY], now)
        following = _following(texts, signing, now)
        previous = parse_certificates(texts[PREVIOUS]) if texts.get(PREVIOUS, "").strip() else []
        if not all(is_root(certificate) for certificate in previous):
            raise AuthorityError(f"{PREVIOUS} holds a certificate that is no root")
        return cls(
            signing=signing,
            following=following,
            previous=tuple(root for root in unique(previous) if root not in signing.anchors),
            denied=parse_denied(texts.get(DENIED, "").splitlines()),
        )


def _following(texts: Mapping[str, str], signing: Root, now: datetime.datetime) -> Root | None:
    """Both of its texts or none: a pair that is half written is no next root yet."""
    certificate, key = (texts.get(name, "").strip() for name in (NEXT_CERTIFICATE, NEXT_PRIVATE_KEY))
    if not (certificate and key):
        return None
    try:
        found = Root.parse(certificate, key, now)
    except AuthorityError as error:
        raise AuthorityError(f"the next root: {error}") from error
    return found if found.certificate != signing.certificate else None


def parse_denied(lines: Iterable[str]) -> frozenset[str]:
    """One SPIFFE identifier a line; ``#`` begins a remark."""
    found = {line.partition("#")[0].strip() for line in lines} - {""}
    if len(found) > _MOST_DENIED:
        raise AuthorityError(f"more than {_MOST_DENIED} identities are denied")
    for identity in sorted(found):
        if not identity.startswith("spiffe://"):
            raise AuthorityError(f"{identity!r} in the list of denied identities is no SPIFFE identifier")
    return frozenset(found)
