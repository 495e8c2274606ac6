"""Which objects refer to which: the look-ups that translation needs beyond "the object of this name".

Owns the reverse references: EndpointSlices of a Service, policies that target a Service, grants of
a namespace, ListenerSets of a Gateway, routes of a Service. Must not judge whether a reference is valid.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from controller.resources import (
    SERVICE_NAME_LABEL,
    AuthorizationPolicy,
    BackendTLSPolicy,
    EgressPolicy,
    EndpointSlice,
    GRPCRoute,
    HTTPRoute,
    IngressClass,
    ListenerSet,
    LocalPolicyTargetReferenceWithSectionName,
    ParentReference,
    PeerAuthentication,
    Pod,
    ReferenceGrant,
    RequestAuthentication,
    Resource,
    Service,
    TCPRoute,
    TLSRoute,
    UDPRoute,
    WorkloadEntry,
)
from controller.store import Key

SLICES = "slices"
"""EndpointSlices by the Service (namespace, name) they belong to."""
POLICIES = "policies"
"""BackendTLSPolicies by the Service (namespace, name) they target."""
GRANTS = "grants"
"""ReferenceGrants by namespace."""

SETS = "sets"
"""ListenerSets by the Gateway (namespace, name) they belong to."""

AUTHORIZATIONS = "authorizations"
"""AuthorizationPolicies by namespace."""

AUTHENTICATIONS = "authentications"
"""RequestAuthentications by namespace."""
EGRESS_POLICIES = "egress-policies"
"""EgressPolicies by the Gateway (namespace, name) they target."""

PEER_AUTHENTICATIONS = "peer-authentications"
"""PeerAuthentications by namespace."""

SERVICES = "services"
"""Services by namespace."""

WORKLOADS = "workloads"
"""Pods and WorkloadEntries by IP address."""

MACHINES = "machines"
"""WorkloadEntries by namespace."""

PARENT_SERVICES = "parent-services"
"""Routes by the Services (namespace, name) that they name as parents."""

INGRESS_CLASSES = "ingress-classes"
"""All IngressClasses, under the empty key."""

_NAMESPACED: Mapping[type[Resource], str] = {
    AuthorizationPolicy: AUTHORIZATIONS,
    PeerAuthentication: PEER_AUTHENTICATIONS,
    ReferenceGrant: GRANTS,
    RequestAuthentication: AUTHENTICATIONS,
    Service: SERVICES,
    WorkloadEntry: MACHINES,
}
"""Kinds that are looked for by their namespace."""

Entry = tuple[str, Hashable]


def entries_of(resource: Resource) -> Iterator[Entry]:
    """Where an object is to be found."""
    namespace = resource.metadata.namespace
    match resource:
        case EndpointSlice():
            service = resource.metadata.labels.get(SERVICE_NAME_LABEL)
            if service:
                yield SLICES, (namespace, service)
        case BackendTLSPolicy():
            yield from _targeted_services(namespace, resource.spec.target_refs)
        case EgressPolicy():
            for target in resource.spec.target_refs:
                yield EGRESS_POLICIES, (target.namespace or namespace, target.name)
        case ListenerSet():
            parent = resource.spec.parent_ref
            yield SETS, (parent.namespace or namespace, parent.name)
        case HTTPRoute() | GRPCRoute() | TLSRoute() | TCPRoute() | UDPRoute():
            yield from _parent_services(namespace, resource.spec.parent_refs)
        case IngressClass():
            yield INGRESS_CLASSES, ""
        case _:
            yield from _by_namespace(resource, namespace)
            yield from _by_address(resource)


def _by_namespace(resource: Resource, namespace: str) -> Iterator[Entry]:
    index = _NAMESPACED.get(type(resource))
    if index is not None:
        yield index, namespace


def _by_address(resource: Resource) -> Iterator[Entry]:
    match resource:
        case Pod():
            for address in resource.status.addresses:
                yield WORKLOADS, address
        case WorkloadEntry():
            yield WORKLOADS, resource.spec.address
        case _:
            return


def _targeted_services(
    namespace: str, references: Iterable[LocalPolicyTargetReferenceWithSectionName]
) -> Iterator[Entry]:
    for reference in references:
        if (reference.group, reference.kind) == ("", "Service"):
            yield POLICIES, (namespace, reference.name)


def _parent_services(namespace: str, references: Iterable[ParentReference]) -> Iterator[Entry]:
    for reference in references:
        if (reference.group, reference.kind) == ("", "Service"):
            yield PARENT_SERVICES, (reference.namespace or namespace, reference.name)


class Indexes:
    """Entries of all objects, kept up to date object by object."""

    def __init__(self) -> None:
        self._entries: dict[Key, frozenset[Entry]] = {}
        self._keys: dict[Entry, set[Key]] = {}

    def update(self, key: Key, resource: Resource | None) -> Iterable[Entry]:
        """Take over a changed (or removed) object; the entries that gained or lost it are returned."""
        before = self._entries.pop(key, frozenset())
        after = frozenset(entries_of(resource)) if resource is not None else frozenset()
        if after:
            self._entries[key] = after
        for entry in before - after:
            self._keys[entry].discard(key)
            if not self._keys[entry]:
                del self._keys[entry]
        for entry in after - before:
            self._keys.setdefault(entry, set()).add(key)
        return before ^ after

    def referring(self, index: str, key: Hashable) -> Sequence[Key]:
        """Keys under an entry, in a stable order."""
        keys = self._keys.get((index, key))
        return sorted(keys) if keys else ()
