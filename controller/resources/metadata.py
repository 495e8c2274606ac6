"""Object metadata, and the base of every kind (Kubernetes API conventions, "Metadata")."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from controller.resources.schema import DNS_SUBDOMAIN_PATTERN, Struct

NO_TIME = datetime.datetime.fromtimestamp(0, datetime.UTC)
"""Stands for a creation timestamp that was not given."""


class ObjectMeta(Struct, frozen=True, kw_only=True):
    """What Sekisho reads of an object's metadata.

    A source without an API server leaves ``generation`` 0, ``creation_timestamp`` :data:`NO_TIME`
    and ``uid`` empty, and the store fills them in.
    """

    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
        }
    )

    name: str
    namespace: str = ""
    uid: str = ""
    generation: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    creation_timestamp: Annotated[datetime.datetime, Meta(tz=True)] = NO_TIME
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Resource(Struct, frozen=True, kw_only=True):
    """Base of every kind."""

    ignored: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "status"})
    group: ClassVar[str] = ""
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    """Versions that are read, the preferred one first. Their fields are the same where there are several."""
    kind: ClassVar[str] = ""
    namespaced: ClassVar[bool] = True
    name_pattern: ClassVar[str] = DNS_SUBDOMAIN_PATTERN
    name_length: ClassVar[int] = 253

    metadata: ObjectMeta

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The document in the form that the fields describe."""
        return document
