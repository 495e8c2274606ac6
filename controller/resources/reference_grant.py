"""ReferenceGrant (Gateway API: ``referencegrant_types.go``)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.references import GATEWAY_GROUP
from controller.resources.schema import Group, Kind, NamespaceName, ObjectName, Struct


class ReferenceGrantFrom(Struct, frozen=True, kw_only=True):
    """Who may refer."""

    group: Group
    kind: Kind
    namespace: NamespaceName


class ReferenceGrantTo(Struct, frozen=True, kw_only=True):
    """To what; ``name`` None: to every object of that kind in the grant's namespace."""

    group: Group
    kind: Kind
    name: ObjectName | None = None


class ReferenceGrantSpec(Struct, frozen=True, kw_only=True):
    """Every one of ``from_`` may refer to every one of ``to``."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], Meta(min_length=1, max_length=16)] = msgspec.field(name="from")
    to: Annotated[tuple[ReferenceGrantTo, ...], Meta(min_length=1, max_length=16)]


class ReferenceGrant(Resource, frozen=True, kw_only=True):
    """Allows references into its namespace."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "ReferenceGrant"

    spec: ReferenceGrantSpec
