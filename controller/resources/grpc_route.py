"""GRPCRoute (Gateway API: ``grpcroute_types.go``)."""

from __future__ import annotations

import re
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
from controller.resources.route import SessionPersistence, Weight, rule_list_violations
from controller.resources.route_filters import UNIQUE_NAMES, GRPCRouteFilter, repeated_filters
from controller.resources.schema import HeaderName, Hostname, SectionName, Struct, Violation

_SERVICE = re.compile(r"^\.?[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*\Z")
_METHOD = re.compile(r"^[A-Za-z_][A-Za-z_0-9]*\Z")


class GRPCMethodMatch(Struct, frozen=True, kw_only=True):
    """``type`` is Exact or RegularExpression; an absent service or method matches every one."""

    type: str = "Exact"
    service: Annotated[str, Meta(max_length=1024)] | None = None
    method: Annotated[str, Meta(max_length=1024)] | None = None

    def violations(self) -> Iterator[Violation]:
        """At least one of the two, in the characters that Protocol Buffers allow."""
        if self.service is None and self.method is None:
            yield Violation("", "neither service nor method is given", "set one of the two, or remove the method match")
        if self.type != "Exact":
            return
        if self.service is not None and not _SERVICE.match(self.service):
            yield Violation("service", f"{self.service!r} is not a gRPC service name", "write it as package.Service")
        if self.method is not None and not _METHOD.match(self.method):
            yield Violation("method", f"{self.method!r} is not a gRPC method name", "write the method's name alone")


class GRPCHeaderMatch(Struct, frozen=True, kw_only=True):
    """``type`` is Exact or RegularExpression."""

    type: str = "Exact"
    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=4096)]


class GRPCRouteMatch(Struct, frozen=True, kw_only=True):
    """Predicates that must all hold. ``method`` None: every method of every service."""

    method: GRPCMethodMatch | None = None
    headers: Annotated[tuple[GRPCHeaderMatch, ...], Meta(max_length=16, extra=UNIQUE_NAMES)] = ()


class GRPCBackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of a rule's traffic, with filters of its own."""

    weight: Weight = 1
    filters: Annotated[tuple[GRPCRouteFilter, ...], Meta(max_length=16)] = ()

    def violations(self) -> Iterator[Violation]:
        """The rules of a backend reference and of a list of filters."""
        yield from BackendObjectReference.violations(self)
        yield from repeated_filters(self.filters)


class GRPCRouteRule(Struct, frozen=True, kw_only=True):
    """Matches (any of them; none at all: every request), filters in order, and weighted backends."""

    name: SectionName | None = None
    matches: Annotated[tuple[GRPCRouteMatch, ...], Meta(max_length=64)] = ()
    filters: Annotated[tuple[GRPCRouteFilter, ...], Meta(max_length=16)] = ()
    backend_refs: Annotated[tuple[GRPCBackendRef, ...], Meta(max_length=16)] = ()
    session_persistence: SessionPersistence | None = None

    def violations(self) -> Iterator[Violation]:
        """The rules of a list of filters."""
        yield from repeated_filters(self.filters)


class GRPCRouteSpec(Struct, frozen=True, kw_only=True):
    """Where the route attaches, for which hosts, and its rules."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    use_default_gateways: str | None = None
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=16)] = ()
    rules: Annotated[tuple[GRPCRouteRule, ...], Meta(max_length=16)] = ()

    def violations(self) -> Iterator[Violation]:
        """Distinct parents, distinct rule names, a bounded number of matches."""
        for violation in overlapping_parents(self.parent_refs):
            yield Violation(f"parentRefs{violation.field}", violation.message, violation.remedy)
        yield from rule_list_violations([rule.name for rule in self.rules], [len(rule.matches) for rule in self.rules])


class GRPCRoute(Resource, frozen=True, kw_only=True):
    """Routes gRPC requests."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "GRPCRoute"

    spec: GRPCRouteSpec
