"""Waypoints: gateways that stand before Services of ambient workloads, reached by tunnels (HBONE).

Owns which Services use a waypoint (Istio's label ``istio.io/use-waypoint`` on the Service or its namespace), and what
stands behind the waypoint's HBONE listener for each of them: the routes attached to the Service by its own namespace,
or the Service itself, decided about by the policies of the waypoint and of the Service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from controller.resources import Namespace, Service, ServicePort
from controller.store import Key
from controller.translate.authorization import AUTHORIZATION, ParsedAuthorization, Selecting
from controller.translate.backend_view import PLACEMENTS, BackendId
from controller.translate.backends import BACKEND
from controller.translate.destinations import cluster_addresses
from controller.translate.gateway import (
    AUTHORIZED,
    GATEWAY,
    TOKENS_LOOKED_AT,
    WAYPOINT_INNER,
    Governed,
    ServedGateway,
)
from controller.translate.graph import NOTHING, Published, Reads, Stage, TableResource
from controller.translate.hostnames import ANY
from controller.translate.indexes import AUTHENTICATIONS, AUTHORIZATIONS
from controller.translate.names import backend_key, object_name, waypoint_listener_key
from controller.translate.request_authentication import AUTHENTICATION
from controller.translate.service_port import carried
from controller.translate.service_routes import ServiceRoutes, routes_of_service
from controller.translate.stages import Rank
from gateway.routing_table import model
from gateway.routing_table.validate import is_ip_address

USE_LABEL: Final = "istio.io/use-waypoint"
USE_NAMESPACE_LABEL: Final = "istio.io/use-waypoint-namespace"
_NONE: Final = "none"


class Guarded(msgspec.Struct, frozen=True):
    """What a Service is in the table of its waypoint."""

    table: str = ""
    resources: tuple[tuple[str, TableResource], ...] = ()
    backends: tuple[BackendId, ...] = ()
    targeted: tuple[tuple[str, Governed], ...] = ()
    """Policies that target the Service, and where they count."""
    looked_at: tuple[str, ...] = ()
    """The same of policies about tokens."""


def waypoint_of(reads: Reads, key: Key, service: Service) -> Key | None:
    """The Gateway that a Service wants before it; the Service's own label goes before its namespace's."""
    own = service.metadata.labels
    if own.get(USE_LABEL):
        return _named(key.namespace, own)
    namespace = reads.get(Namespace, "", key.namespace)
    labels = namespace.metadata.labels if namespace is not None else {}
    return _named(key.namespace, labels) if labels.get(USE_LABEL) else None


def _named(namespace: str, labels: Mapping[str, str]) -> Key | None:
    name = labels[USE_LABEL]
    return None if name == _NONE else Key("Gateway", labels.get(USE_NAMESPACE_LABEL) or namespace, name)


def _guarded(key: Key, reads: Reads) -> Guarded:
    service = reads.get(Service, key.namespace, key.name) if reads.options.mesh else None
    waypoint = waypoint_of(reads, key, service) if service is not None else None
    served = reads.result(GATEWAY, waypoint) if waypoint is not None else None
    if service is None or waypoint is None or served is None or not _tunnels(served):
        return Guarded()
    addresses = tuple(address for address in cluster_addresses(service) if is_ip_address(address))
    if not addresses:
        return Guarded()
    made = _Made(reads, key, waypoint, served)
    resources: list[tuple[str, TableResource]] = [("authorization_policies", policy) for policy in made.policies]
    resources += [("request_authentications", policy) for policy in made.authentications]
    ports = [port for port in service.spec.ports if port.protocol == "TCP"]
    every = [*resources, *(resource for port in ports for resource in made.listening(port, addresses))]
    streams = tuple(str(port.port) for port in ports if carried(port) == "TCP")
    governed = Governed(object_name(key), streams, without_identity=())
    targeted = tuple((policy.key, governed) for policy in made.targeting)
    looked_at = tuple(policy.key for policy in made.targeting_tokens)
    return Guarded(served.table, tuple(every), tuple(dict.fromkeys(made.backends)), targeted, looked_at)


def _tunnels(served: ServedGateway) -> bool:
    return any(listener.keys and listener.parsed.protocol == "HBONE" for listener in served.every_listener())


class _Made:
    """Makes the resources of one Service, and remembers the backends that they need."""

    def __init__(self, reads: Reads, key: Key, waypoint: Key, served: ServedGateway) -> None:
        self._reads = reads
        self._key = key
        self._waypoint = waypoint
        targeting = tuple(_targeting(reads, key))
        self.targeting = tuple(parsed.policy for parsed in targeting)
        self.policies = (*served.parsed.authorization, *self.targeting)
        self.targeting_tokens = tuple(_targeting_tokens(reads, key))
        self.authentications = (*served.parsed.authentication, *self.targeting_tokens)
        self.backends: list[BackendId] = [parsed.backend for parsed in targeting if parsed.backend is not None]

    def listening(self, port: ServicePort, addresses: tuple[str, ...]) -> Iterator[tuple[str, TableResource]]:
        """A port's listener behind the tunnels, with what is behind it."""
        routes = routes_of_service(self._reads, self._key, port.port, self._key.namespace)
        backend = self._backend(port)
        protocol = routes.protocol if routes is not None else "HTTP" if backend.transport == "" else "TCP"
        listener = self._listener(port.port, protocol, addresses)
        yield "listeners", listener
        yield from (("routes", route) for route in self._routes(routes, listener.key, backend))

    def _listener(
        self, port: int, protocol: Literal["HTTP", "TLS", "TCP"], addresses: tuple[str, ...]
    ) -> model.Listener:
        address, inner = WAYPOINT_INNER
        return model.Listener(
            key=waypoint_listener_key(self._waypoint, self._key, port),
            gateway=object_name(self._waypoint),
            address=address,
            port=port,
            bind_port=inner,
            protocol=protocol,
            tls_mode="Passthrough" if protocol == "TLS" else "Terminate",
            captured=model.Captured(addresses=addresses),
            authorization=tuple(sorted({policy.key for policy in self.policies})),
            authentication=tuple(sorted({policy.key for policy in self.authentications})),
        )

    def _routes(self, routes: ServiceRoutes | None, listener: str, backend: BackendId) -> Iterator[model.Route]:
        if routes is not None:
            self.backends += routes.backends
            yield from routes.attached(listener)
            return
        self.backends.append(backend)
        http = backend.transport == ""
        yield model.Route(
            key=f"Service/{object_name(self._key)}/{backend.port}@waypoint",
            kind="HTTPRoute" if http else "TCPRoute",
            object=object_name(self._key),
            rule=0,
            attachments=(model.Attachment(listener=listener, hostnames=(ANY,)),),
            matches=(model.Match(),) if http else (),
            backends=(
                model.WeightedBackend(
                    backend=backend_key(backend.target, backend.port, backend.variant, backend.transport)
                ),
            ),
        )

    def _backend(self, port: ServicePort) -> BackendId:
        if carried(port) != "TCP":
            backend = BackendId(self._key, port.port)
            if self._reads.result(BACKEND, backend).problem is None:
                return backend
        return BackendId(self._key, port.port, transport="TCP")


def _targeting(reads: Reads, key: Key) -> Iterator[ParsedAuthorization]:
    """Policies whose ``targetRefs`` name the Service."""
    for policy_key in reads.referring(AUTHORIZATIONS, key.namespace):
        parsed = reads.result(AUTHORIZATION, policy_key)
        if parsed is not None and _names(parsed, key):
            yield parsed


def _targeting_tokens(reads: Reads, key: Key) -> Iterator[model.RequestAuthentication]:
    """The same of policies about tokens."""
    for policy_key in reads.referring(AUTHENTICATIONS, key.namespace):
        parsed = reads.result(AUTHENTICATION, policy_key)
        if parsed is not None and _names(parsed, key):
            yield parsed.policy


def _names(policy: Selecting, service: Key) -> bool:
    return any(
        (target.group, target.kind, target.name) == ("", Service.kind, service.name)
        and target.namespace in (None, service.namespace)
        for target in policy.targets
    )


def _publish(key: Key, guarded: Guarded) -> Published:
    if not guarded.resources:
        return NOTHING
    return Published(
        members=(
            *(((PLACEMENTS, ""), (guarded.table, backend)) for backend in guarded.backends),
            *(((AUTHORIZED, policy), governed) for policy, governed in guarded.targeted),
            *(((TOKENS_LOOKED_AT, policy), object_name(key)) for policy in guarded.looked_at),
        ),
        resources=tuple((guarded.table, field, resource) for field, resource in guarded.resources),
    )


WAYPOINT: Stage[Key, Guarded] = Stage(Rank.WAYPOINT, _guarded, _publish)
"""By Service; nothing for one that no waypoint stands before."""
