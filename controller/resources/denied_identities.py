"""DeniedIdentities: who is denied by the mesh's authority. Nobody writes one: it stands for the authority's list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from controller.resources.metadata import ObjectMeta, Resource


class DeniedIdentities(Resource, frozen=True, kw_only=True):
    """The only one of its kind, called :data:`DENIED_IDENTITIES`."""

    namespaced: ClassVar[bool] = False
    kind: ClassVar[str] = "DeniedIdentities"

    identities: tuple[str, ...] = ()
    """``spiffe://trust-domain/ns/namespace/sa/service-account``, sorted."""

    @classmethod
    def of(cls, identities: Iterable[str]) -> DeniedIdentities:
        """The object for a list."""
        return cls(metadata=ObjectMeta(name=DENIED_IDENTITIES), identities=tuple(sorted(identities)))


DENIED_IDENTITIES: Final = "denied-identities"
