"""ListenerSet (Gateway API: ``listenerset_types.go``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.gateway import Listener, same_listeners
from controller.resources.metadata import Resource
from controller.resources.references import GATEWAY_GROUP
from controller.resources.schema import Group, Kind, NamespaceName, ObjectName, Struct, Violation


class ParentGatewayReference(Struct, frozen=True, kw_only=True):
    """The Gateway to add listeners to. ``namespace`` None: the set's own."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    name: ObjectName
    namespace: NamespaceName | None = None


class ListenerSetSpec(Struct, frozen=True, kw_only=True):
    """The desired state of a ListenerSet."""

    parent_ref: ParentGatewayReference
    listeners: Annotated[tuple[Listener, ...], Meta(min_length=1, max_length=64, extra={"unique": "name"})]

    def violations(self) -> Iterator[Violation]:
        """Listeners are distinct."""
        yield from same_listeners(self.listeners)


class ListenerSet(Resource, frozen=True, kw_only=True):
    """More listeners for a Gateway that allows them."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "ListenerSet"

    spec: ListenerSetSpec
