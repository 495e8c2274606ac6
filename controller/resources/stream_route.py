"""TLSRoute, TCPRoute and UDPRoute (Gateway API: ``tlsroute_types.go`` and its like)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.references import (
    GATEWAY_GROUP,
    BackendObjectReference,
    ParentReference,
    overlapping_parents,
)
from controller.resources.route import Weight
from controller.resources.schema import Hostname, SectionName, Struct, Violation


class BackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of a rule's connections."""

    weight: Weight = 1


class StreamRouteRule(Struct, frozen=True, kw_only=True):
    """Where connections (for UDP, sessions) go."""

    name: SectionName | None = None
    backend_refs: Annotated[tuple[BackendRef, ...], Meta(max_length=16)] = ()


class StreamRouteSpec(Struct, frozen=True, kw_only=True):
    """Where the route attaches, and its one rule; the alpha versions let more pass."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    use_default_gateways: str | None = None
    rules: Annotated[tuple[StreamRouteRule, ...], Meta(min_length=1, max_length=16)]

    def violations(self) -> Iterator[Violation]:
        """Distinct parents."""
        for violation in overlapping_parents(self.parent_refs):
            yield Violation(f"parentRefs{violation.field}", violation.message, violation.remedy)


class TLSRouteSpec(StreamRouteSpec, frozen=True, kw_only=True):
    """``hostnames`` are compared with the server name (SNI) that a client asks for."""

    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=1024)] = ()


class TLSRoute(Resource, frozen=True, kw_only=True):
    """Routes TLS connections by server name."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1alpha3", "v1alpha2")
    kind: ClassVar[str] = "TLSRoute"

    spec: TLSRouteSpec


class TCPRoute(Resource, frozen=True, kw_only=True):
    """Routes the connections of a TCP listener."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1alpha2")
    kind: ClassVar[str] = "TCPRoute"

    spec: StreamRouteSpec


class UDPRoute(Resource, frozen=True, kw_only=True):
    """Routes the datagrams of a UDP listener."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1alpha2")
    kind: ClassVar[str] = "UDPRoute"

    spec: StreamRouteSpec
