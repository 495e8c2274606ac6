"""The translation as a whole: a snapshot in, tables and statuses out, afresh or change by change.

Owns the wiring of the stages and what of the result changed. Pure apart from its own memory: the
result depends on the snapshot and the options alone, whatever came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from controller.resources import (
    AuthorizationPolicy,
    BackendTLSPolicy,
    EgressPolicy,
    Gateway,
    GatewayClass,
    Ingress,
    ListenerSet,
    PeerAuthentication,
    Pod,
    RequestAuthentication,
    Service,
    WorkloadEntry,
    XBackend,
)
from controller.store import Key, Snapshot
from controller.translate.authorization import AUTHORIZATION
from controller.translate.authorization_notices import AUTHORIZATION_NOTICES
from controller.translate.backend_tls_policy import TLS_POLICY, TLS_POLICY_STATUS
from controller.translate.backend_view import PLACEMENTS
from controller.translate.backends import BACKEND, PLACEMENT
from controller.translate.certificates import CERTIFICATE, TRUST_BUNDLE
from controller.translate.denied_identities import DENIED
from controller.translate.destinations import DESTINATIONS, OUTBOUND
from controller.translate.east_west import EAST_WEST
from controller.translate.egress_policy import EGRESS_POLICY
from controller.translate.egress_policy_status import EGRESS_POLICY_STATUS
from controller.translate.egress_standing import EGRESS_OUTLETS, EGRESS_STANDING
from controller.translate.endpoints import ENDPOINTS, MESH_ENDPOINTS
from controller.translate.gateway import GATEWAY, PARSED_GATEWAY, PORT, TABLES
from controller.translate.gateway_class import GATEWAY_CLASS, GATEWAY_CLASS_STATUS
from controller.translate.gateway_status import GATEWAY_STATUS
from controller.translate.graph import CellId, Graph, Published, Stage
from controller.translate.implied_gateway import WANTED
from controller.translate.indexes import Indexes
from controller.translate.infrastructure import INFRASTRUCTURE, Infrastructure
from controller.translate.ingress import PARSED_INGRESS
from controller.translate.ingress_class import INGRESS_CLASS
from controller.translate.ingress_gateway import INGRESS_GATEWAY, WANTED_GATEWAY
from controller.translate.ingress_outcome import INGRESS
from controller.translate.ingress_status import INGRESS_STATUS
from controller.translate.ingress_tls import INGRESS_TLS, TLS_HOSTS
from controller.translate.listener_set import LISTENER_SET
from controller.translate.listener_set_status import LISTENER_SET_STATUS
from controller.translate.mesh_route import MESH_ROUTE
from controller.translate.options import STANDALONE_TABLE, Options
from controller.translate.parent import PARENT
from controller.translate.peer_authentication_notices import PEER_AUTHENTICATION_NOTICES
from controller.translate.request_authentication import AUTHENTICATION
from controller.translate.request_authentication_notices import AUTHENTICATION_NOTICES
from controller.translate.route import ROUTE
from controller.translate.route_rules import ROUTES
from controller.translate.service_routes import SERVICE_ROUTES
from controller.translate.sidecar import CLIENT_NAMESPACES, SIDECAR
from controller.translate.sidecar_outbound import CALLED, CALLED_BACKEND, CALLS
from controller.translate.sidecar_way_out import WAY_OUT
from controller.translate.statuses import Status
from controller.translate.tables import Change, Tables
from controller.translate.waypoint import WAYPOINT
from controller.translate.workload import SIDECARS, WORKLOAD, SidecarPlace, sidecar_table
from controller.translate.xbackend import XBACKEND_STATUS
from gateway.routing_table.model import Resources

_STAGES: tuple[Stage[Any, Any], ...] = (
    CERTIFICATE,
    TRUST_BUNDLE,
    GATEWAY_CLASS,
    INGRESS_CLASS,
    PARSED_INGRESS,
    LISTENER_SET,
    DENIED,
    WORKLOAD,
    AUTHORIZATION,
    AUTHENTICATION,
    EGRESS_POLICY,
    PARSED_GATEWAY,
    WANTED_GATEWAY,
    PORT,
    GATEWAY,
    PARENT,
    INGRESS_GATEWAY,
    INGRESS_TLS,
    TLS_POLICY,
    ENDPOINTS,
    MESH_ENDPOINTS,
    BACKEND,
    MESH_ROUTE,
    SERVICE_ROUTES,
    ROUTE,
    EAST_WEST,
    WAYPOINT,
    INGRESS,
    SIDECAR,
    DESTINATIONS,
    CALLS,
    WAY_OUT,
    CALLED_BACKEND,
    PLACEMENT,
    GATEWAY_STATUS,
    LISTENER_SET_STATUS,
    INGRESS_STATUS,
    TLS_POLICY_STATUS,
    XBACKEND_STATUS,
    GATEWAY_CLASS_STATUS,
    EGRESS_STANDING,
    EGRESS_OUTLETS,
    EGRESS_POLICY_STATUS,
    AUTHORIZATION_NOTICES,
    AUTHENTICATION_NOTICES,
    PEER_AUTHENTICATION_NOTICES,
    INFRASTRUCTURE,
)
_ROOTS: dict[str, tuple[Stage[Key, Any], ...]] = {
    GatewayClass.kind: (GATEWAY_CLASS_STATUS,),
    Gateway.kind: (PARSED_GATEWAY, GATEWAY, GATEWAY_STATUS, INFRASTRUCTURE),
    ListenerSet.kind: (LISTENER_SET_STATUS,),
    **{type_.kind: (ROUTE,) for type_ in ROUTES},
    BackendTLSPolicy.kind: (TLS_POLICY_STATUS,),
    XBackend.kind: (XBACKEND_STATUS,),
    Ingress.kind: (PARSED_INGRESS, INGRESS, INGRESS_STATUS),
    EgressPolicy.kind: (EGRESS_POLICY_STATUS,),
    AuthorizationPolicy.kind: (AUTHORIZATION_NOTICES,),
    RequestAuthentication.kind: (AUTHENTICATION_NOTICES,),
    PeerAuthentication.kind: (PEER_AUTHENTICATION_NOTICES,),
}
"""Stages that every object of a kind goes through."""
_MESH_ROOTS: dict[str, tuple[Stage[Key, Any], ...]] = {
    Pod.kind: (WORKLOAD,),
    WorkloadEntry.kind: (WORKLOAD,),
    Service.kind: (DESTINATIONS, EAST_WEST, WAYPOINT),
}
"""Those that come to nothing where there is no mesh."""
_ROOTING: dict[str, Stage[Any, Any]] = {
    PLACEMENTS: PLACEMENT,
    WANTED: WANTED_GATEWAY,
    TLS_HOSTS: INGRESS_TLS,
    SIDECARS: SIDECAR,
    CLIENT_NAMESPACES: WAY_OUT,
    OUTBOUND: CALLS,
    CALLED: CALLED_BACKEND,
}
"""Collections whose members go through a stage."""


class Translation(msgspec.Struct, frozen=True):
    """What a snapshot means.

    ``notices`` are for objects that no status can speak for (nothing of ours refers to them, so the
    specification forbids to write one) and for settings without effect.
    """

    tables: Mapping[str, Resources]
    statuses: Mapping[Key, Status]
    notices: Mapping[Key, tuple[str, ...]]
    infrastructure: Mapping[Key, Infrastructure] = MappingProxyType({})
    """What is to be provisioned, by Gateway; nothing unless the options ask for it."""
    sidecars: Mapping[Key, SidecarPlace] = MappingProxyType({})
    """Where the sidecar of a Pod or WorkloadEntry gets its table."""


class Update(msgspec.Struct, frozen=True):
    """A translation, and what is different from the one before."""

    translation: Translation
    changes: Mapping[str, Change]
    """By table; a table that is not here is as it was."""
    changed_statuses: frozenset[Key]
    """Keys whose status is new, different or gone."""
    changed_infrastructure: frozenset[Key] = frozenset()
    """Gateways whose infrastructure is new, different or gone."""


class Translator:
    """Keeps every result with what it read, so that a change redoes only what read it."""

    def __init__(self, options: Options) -> None:
        self._indexes = Indexes()
        self._outputs = _Outputs()
        self._graph = Graph(options, _STAGES, self._indexes.referring, _ROOTING, self._outputs)
        self._options = options
        self._roots = {**_ROOTS, **_MESH_ROOTS} if options.mesh else _ROOTS

    def update(self, snapshot: Snapshot, changed: Iterable[Key]) -> Update:
        """The translation of ``snapshot``, in which ``changed`` differ from the snapshot before."""
        touched: set[Any] = set()
        for key in changed:
            resource = snapshot.find(key)
            touched.add(key)
            touched.update(self._indexes.update(key, resource))
            for stage in self._roots.get(key.kind, ()):
                self._graph.set_root(stage, key, resource is not None)
        self._graph.update(snapshot, touched)
        names = self._graph.members_of((TABLES, ""))
        if self._options.merge:
            names = {STANDALONE_TABLE: 1, **{name: 1 for name in names if sidecar_table(name)}}
        return self._outputs.settle(list(names))


def translate(snapshot: Snapshot, options: Options) -> Translation:
    """The translation of a snapshot from scratch."""
    return Translator(options).update(snapshot, snapshot.keys()).translation


class _Outputs:
    """Collects what cells publish."""

    def __init__(self) -> None:
        self._tables = Tables()
        self._statuses: dict[Key, Status] = {}
        self._notices: dict[Key, dict[CellId, tuple[str, ...]]] = {}
        self._infrastructure: dict[Key, Infrastructure] = {}
        self._sidecars: dict[Key, SidecarPlace] = {}
        self._moved = False
        """Whether a sidecar has another place than before."""
        self._changed: dict[Key, Status | None] = {}
        self._changed_infrastructure: dict[Key, Infrastructure | None] = {}
        self._noticed: set[Key] = set()
        self._last = Translation({}, MappingProxyType({}), MappingProxyType({}))

    def replace(self, cell: CellId, old: Published, new: Published) -> None:
        self._tables.replace(cell, old, new)
        if old.status != new.status:
            if old.status is not None:
                self._set_status(old.status[0], None)
            if new.status is not None:
                self._set_status(*new.status)
        if old.infrastructure != new.infrastructure:
            if old.infrastructure is not None:
                self._set_infrastructure(old.infrastructure[0], None)
            if new.infrastructure is not None:
                self._set_infrastructure(*new.infrastructure)
        if old.sidecar != new.sidecar:
            self._move(old.sidecar, new.sidecar)
        if old.notices != new.notices:
            self._notice(cell, old.notices, new.notices)

    def _move(self, old: tuple[Key, SidecarPlace] | None, new: tuple[Key, SidecarPlace] | None) -> None:
        self._moved = True
        if old is not None:
            self._sidecars.pop(old[0], None)
        if new is not None:
            self._sidecars[new[0]] = new[1]

    def _notice(self, cell: CellId, old: Sequence[tuple[Key, str]], new: Sequence[tuple[Key, str]]) -> None:
        for key, _ in old:
            self._notices.get(key, {}).pop(cell, None)
            self._noticed.add(key)
        for key in dict.fromkeys(key for key, _ in new):
            texts = tuple(text for about, text in new if about == key)
            self._notices.setdefault(key, {})[cell] = texts
            self._noticed.add(key)

    def _set_status(self, key: Key, status: Status | None) -> None:
        self._changed.setdefault(key, self._statuses.get(key))
        if status is None:
            self._statuses.pop(key, None)
        else:
            self._statuses[key] = status

    def _set_infrastructure(self, key: Key, infrastructure: Infrastructure | None) -> None:
        self._changed_infrastructure.setdefault(key, self._infrastructure.get(key))
        if infrastructure is None:
            self._infrastructure.pop(key, None)
        else:
            self._infrastructure[key] = infrastructure

    def settle(self, tables: list[str]) -> Update:
        changes = self._tables.settle()
        self._tables.set_names(tables)
        changed = _different(self._changed, self._statuses)
        provisioned = _different(self._changed_infrastructure, self._infrastructure)
        self._last = Translation(
            tables=MappingProxyType(self._tables.resources()),
            statuses=MappingProxyType(self._statuses.copy()) if changed else self._last.statuses,
            notices=self._settled_notices() if self._noticed else self._last.notices,
            infrastructure=MappingProxyType(self._infrastructure.copy()) if provisioned else self._last.infrastructure,
            sidecars=self._settled_sidecars(),
        )
        self._changed.clear()
        self._changed_infrastructure.clear()
        return Update(self._last, MappingProxyType(changes), changed, provisioned)

    def _settled_sidecars(self) -> Mapping[Key, SidecarPlace]:
        if not self._moved:
            return self._last.sidecars
        self._moved = False
        return MappingProxyType(self._sidecars.copy())

    def _settled_notices(self) -> Mapping[Key, tuple[str, ...]]:
        for key in self._noticed:
            if not self._notices.get(key):
                self._notices.pop(key, None)
        self._noticed.clear()
        return MappingProxyType(
            {
                key: tuple(text for cell in sorted(texts, key=_rank) for text in texts[cell])
                for key, texts in sorted(self._notices.items())
            }
        )


def _different(before: Mapping[Key, object], now: Mapping[Key, object]) -> frozenset[Key]:
    return frozenset(key for key, value in before.items() if now.get(key) != value)


def _rank(cell: CellId) -> int:
    return cell[0]
