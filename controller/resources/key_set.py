"""KeySet: public keys that the controller has fetched. Nobody writes one: it stands for a document elsewhere."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from controller.resources.metadata import ObjectMeta, Resource

DISCOVERY = "/.well-known/openid-configuration"
"""Behind an issuer: the document that says where its keys are (OpenID Connect Discovery, section 4)."""


class KeySet(Resource, frozen=True, kw_only=True):
    """What was last fetched from ``location``."""

    namespaced: ClassVar[bool] = False
    kind: ClassVar[str] = "KeySet"

    location: str
    keys: str = ""
    """A JSON Web Key Set, the last good one; empty until there is one."""
    problem: str = ""
    """Why fetching failed lately."""

    @classmethod
    def at(cls, location: str, keys: str = "", problem: str = "") -> KeySet:
        """The object for a location."""
        return cls(metadata=ObjectMeta(name=key_set_name(location)), location=location, keys=keys, problem=problem)


def key_set_name(location: str) -> str:
    """The name of the object: locations are no names."""
    return hashlib.sha256(location.encode()).hexdigest()
