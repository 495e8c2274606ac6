"""Whole tables, changes of them, and what a reader answers."""

from __future__ import annotations

import msgspec

from gateway.routing_table.model.authentication import RequestAuthentication
from gateway.routing_table.model.authorization import AuthorizationPolicy
from gateway.routing_table.model.backends import Backend, Endpoints
from gateway.routing_table.model.certificates import Certificate, TrustBundle
from gateway.routing_table.model.egress import EgressPolicy
from gateway.routing_table.model.gateways import Gateway
from gateway.routing_table.model.listeners import Listener
from gateway.routing_table.model.routes import Route
from gateway.routing_table.model.schema import FORMAT, Struct

Resource = (
    TrustBundle
    | Certificate
    | Endpoints
    | Backend
    | Gateway
    | AuthorizationPolicy
    | RequestAuthentication
    | EgressPolicy
    | Listener
    | Route
)
"""What a table holds, one kind a field of :class:`Resources`."""


class Resources(Struct):
    """Resources by kind. Kinds are applied in this order and removed in the reverse one."""

    trust_bundles: tuple[TrustBundle, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    backends: tuple[Backend, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    authorization_policies: tuple[AuthorizationPolicy, ...] = ()
    request_authentications: tuple[RequestAuthentication, ...] = ()
    egress_policies: tuple[EgressPolicy, ...] = ()
    listeners: tuple[Listener, ...] = ()
    routes: tuple[Route, ...] = ()


class Snapshot(Struct, tag="snapshot", kw_only=True, omit_defaults=False):
    """Everything a gateway should hold; what is not named is removed."""

    format: int = msgspec.field(default=FORMAT)
    version: str
    resources: Resources


class Removed(Struct):
    """Keys removed, by kind."""

    trust_bundles: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    authorization_policies: tuple[str, ...] = ()
    request_authentications: tuple[str, ...] = ()
    egress_policies: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


class Delta(Struct, tag="delta", kw_only=True, omit_defaults=False):
    """A change from version ``base`` to ``version``. A reader not at ``base`` asks for a snapshot."""

    format: int = msgspec.field(default=FORMAT)
    version: str
    base: str
    upsert: Resources = Resources()
    remove: Removed = Removed()


Update = Snapshot | Delta


class Rejection(Struct):
    """A resource that was refused: its previous good version, if any, keeps serving.

    Except for a policy of authorization, authentication or egress: its previous version goes too, and what it applies
    to is denied.
    """

    kind: str
    """Field name in :class:`Resources`, for example ``routes``."""
    key: str
    reason: str


class ListenerState(Struct):
    """Whether the data plane serves a listener, and why not."""

    key: str
    bound: bool
    error: str = ""


class Applied(Struct):
    """The data plane's answer to an :data:`Update`: an ACK where ``rejected`` is empty."""

    version: str
    rejected: tuple[Rejection, ...] = ()
    listeners: tuple[ListenerState, ...] = ()
    error: str = ""
    """Set when the whole update was refused (unknown format, wrong base); ``version`` is then the one still served."""
