"""Routes attached to a port of a Service, as a client of some namespace sees it.

Owns who wins (GEP-1426): routes of the client's own namespace (consumer routes) over those of the Service's (producer
routes), and of several kinds of route the most specific. Must not know sidecars: whoever makes their tables asks
:func:`routes_of_service`, puts the answer on a listener and places the backends.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from controller.store import Key
from controller.translate.backend_view import BackendId
from controller.translate.graph import Reads, Stage
from controller.translate.hostnames import ANY
from controller.translate.indexes import PARENT_SERVICES
from controller.translate.mesh_route import MESH_ROUTE, MeshRoute
from controller.translate.route_rules import Kind
from controller.translate.stages import Rank
from gateway.routing_table import model

_PRECEDENCE: tuple[Kind, ...] = ("GRPCRoute", "HTTPRoute", "TLSRoute", "TCPRoute")
_PROTOCOLS: dict[Kind, Literal["HTTP", "TLS", "TCP"]] = {
    "GRPCRoute": "HTTP",
    "HTTPRoute": "HTTP",
    "TLSRoute": "TLS",
    "TCPRoute": "TCP",
}


class ServicePort(NamedTuple):
    """A port of a Service, and the namespace of the routes that are asked for."""

    service: Key
    port: int
    namespace: str


class ServiceRoutes(msgspec.Struct, frozen=True):
    """The routes of a port. They stand in place of the Service itself: what none of them matches is not found."""

    kind: Kind
    protocol: Literal["HTTP", "TLS", "TCP"]
    """What the listener has to be that they attach to; TLS is passed through."""
    routes: tuple[model.Route, ...]
    """Attached nowhere: see :meth:`attached`."""
    backends: tuple[BackendId, ...]
    """What they send traffic to: to be placed in the table that gets them."""

    def attached(self, listener: str) -> tuple[model.Route, ...]:
        """The routes on a listener of a table, by keys that no other listener's copies have."""
        attachments = (model.Attachment(listener=listener, hostnames=(ANY,)),)
        return tuple(
            msgspec.structs.replace(route, key=f"{route.key}@{listener}", attachments=attachments)
            for route in self.routes
        )


def routes_of_service(reads: Reads, service: Key, port: int, client_namespace: str) -> ServiceRoutes | None:
    """What requests to a port go by that a client of ``client_namespace`` makes; None: no route is attached."""
    consumer = reads.result(SERVICE_ROUTES, ServicePort(service, port, client_namespace))
    if consumer is not None or client_namespace == service.namespace:
        return consumer
    return reads.result(SERVICE_ROUTES, ServicePort(service, port, service.namespace))


def _service_routes(wanted: ServicePort, reads: Reads) -> ServiceRoutes | None:
    found: list[MeshRoute] = []
    for key in reads.referring(PARENT_SERVICES, (wanted.service.namespace, wanted.service.name)):
        if key.namespace != wanted.namespace:
            continue
        route = reads.result(MESH_ROUTE, key)
        if route is not None and route.attaches(wanted.service, wanted.port):
            found.append(route)
    kind = next((kind for kind in _PRECEDENCE if any(route.kind == kind for route in found)), None)
    if kind is None:
        return None
    winners = [route for route in found if route.kind == kind]
    usable = [rule for route in winners for rule in route.rules if not rule.dropped]
    return ServiceRoutes(
        kind=kind,
        protocol=_PROTOCOLS[kind],
        routes=tuple(resource for route in winners for resource in route.resources),
        backends=tuple(dict.fromkeys(backend for rule in usable for backend in rule.backends)),
    )


SERVICE_ROUTES: Stage[ServicePort, ServiceRoutes | None] = Stage(Rank.SERVICE_ROUTES, _service_routes)
"""By port of a Service and namespace of routes: shared by all clients of a namespace."""
