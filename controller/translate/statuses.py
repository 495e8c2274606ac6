"""What a controller writes into ``status``, kind by kind.

Owns the shapes of the Gateway API's status stanzas, named and nested like the API's, so that they
encode to it. Must not decide what goes in. A status holds this controller's entries alone: merging
with what others wrote is the writer's.
"""

from __future__ import annotations

import msgspec

from controller.resources import ParentReference, RouteGroupKind
from controller.translate.conditions import Condition


class _Status(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of every status value."""


class SupportedFeature(_Status, frozen=True, kw_only=True):
    """A conformance feature."""

    name: str


class GatewayClassStatus(_Status, frozen=True, kw_only=True):
    """Status of a GatewayClass."""

    conditions: tuple[Condition, ...]
    supported_features: tuple[SupportedFeature, ...] = ()


class GatewayStatusAddress(_Status, frozen=True, kw_only=True):
    """An address the Gateway answers at."""

    type: str
    value: str


class ListenerStatus(_Status, frozen=True, kw_only=True):
    """Status of one listener."""

    name: str
    supported_kinds: tuple[RouteGroupKind, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(_Status, frozen=True, kw_only=True):
    """Status of a Gateway."""

    addresses: tuple[GatewayStatusAddress, ...]
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]
    attached_listener_sets: int | None = None
    """None where the Gateway says nothing about ListenerSets, which is a refusal."""


class ListenerSetStatus(_Status, frozen=True, kw_only=True):
    """Status of a ListenerSet."""

    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]


class RouteParentStatus(_Status, frozen=True, kw_only=True):
    """How a route stands with one parent."""

    parent_ref: ParentReference
    controller_name: str
    conditions: tuple[Condition, ...]


class RouteStatus(_Status, frozen=True, kw_only=True):
    """Status of a route of any kind."""

    parents: tuple[RouteParentStatus, ...]


class PolicyAncestorStatus(_Status, frozen=True, kw_only=True):
    """How a policy stands with one Gateway."""

    ancestor_ref: ParentReference
    controller_name: str
    conditions: tuple[Condition, ...]


class PolicyStatus(_Status, frozen=True, kw_only=True):
    """Status of a BackendTLSPolicy."""

    ancestors: tuple[PolicyAncestorStatus, ...]


class BackendAncestorStatus(_Status, frozen=True, kw_only=True):
    """How an XBackend stands with one Gateway."""

    controller_name: str
    ancestor_ref: ParentReference = msgspec.field(name="parentRef")
    conditions: tuple[Condition, ...]


class BackendStatus(_Status, frozen=True, kw_only=True):
    """Status of an XBackend; the API calls its ancestors ``parents``."""

    ancestors: tuple[BackendAncestorStatus, ...] = msgspec.field(name="parents")


class IngressLoadBalancerIngress(_Status, frozen=True, kw_only=True, omit_defaults=True):
    """An address that an Ingress answers at: one of the two."""

    ip: str = ""
    hostname: str = ""


class IngressLoadBalancerStatus(_Status, frozen=True, kw_only=True):
    """The addresses that an Ingress answers at."""

    ingress: tuple[IngressLoadBalancerIngress, ...] = ()


class IngressStatus(_Status, frozen=True, kw_only=True):
    """Status of an Ingress. The API has no ``conditions`` for it: they are for reports and Events, and not written."""

    load_balancer: IngressLoadBalancerStatus
    conditions: tuple[Condition, ...]


Status = (
    GatewayClassStatus | GatewayStatus | ListenerSetStatus | RouteStatus | PolicyStatus | BackendStatus | IngressStatus
)
