"""Backend references of routes: what they lead to, and the backends' place in tables.

Owns the rules that make a ``backendRef`` invalid (Gateway API: ``HTTPBackendRef``), in the order:
kind, permission, existence, port, protocol. An invalid one never loses its share of the traffic to
the others: the share is answered with 500.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from controller.resources import EXPERIMENTAL_GROUP, GATEWAY_GROUP, BackendObjectReference, Service, XBackend
from controller.store import Key
from controller.translate.backend_view import BackendId, BackendView, Transport, failing
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.endpoints import ENDPOINTS, MESH_ENDPOINTS
from controller.translate.graph import Published, Reads, Stage, TableResource
from controller.translate.reference_grant import is_permitted, missing_grant
from controller.translate.service_backend import service_backend, service_protocol
from controller.translate.stages import Rank
from controller.translate.xbackend import external_backend
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason

_KINDS = {("", Service.kind), (EXPERIMENTAL_GROUP, XBackend.kind)}
_TLS_IN_TLS = (
    "{} asks for TLS that the gateway begins, and a listener of the route passes the client's own through: "
    "set the listener's tls.mode to Terminate, or leave tls out of the XBackend"
)


def _backend(backend: BackendId, reads: Reads) -> BackendView:
    if backend.target.kind == XBackend.kind:
        return external_backend(reads, backend)
    return service_backend(reads, backend)


BACKEND: Stage[BackendId, BackendView] = Stage(Rank.BACKEND, _backend)


class Referrer(NamedTuple):
    """The route that refers, what it carries, and the client certificate that its Gateway presents.

    ``passthrough``: TLS of clients goes on as it is, by one listener at least. ``grants`` False: it may refer to any
    namespace (see ``mesh_route``).
    """

    route: Key
    client_certificate: Key | None = None
    variant: str = ""
    transport: Transport = ""
    passthrough: bool = False
    grants: bool = True


class Resolved(NamedTuple):
    """Where a reference leads. ``backend`` is None where nothing can be sent; ``target`` once it is permitted."""

    view: BackendView
    backend: BackendId | None = None
    target: Key | None = None


def resolve_backend(reads: Reads, referrer: Referrer, reference: BackendObjectReference) -> Resolved:
    """The backend a reference names."""
    transport = referrer.transport
    known = (reference.group, reference.kind) in _KINDS
    if not known or (transport == "UDP" and reference.kind == XBackend.kind):
        group = f" of group {reference.group}" if reference.group else ""
        possible = (
            f"for a {referrer.route.kind} only a Service can" if transport == "UDP" else "Service and XBackend can"
        )
        message = f"{reference.kind} {reference.name}{group} cannot be a backend: {possible}"
        return Resolved(failing(Problem(ConditionReason.INVALID_KIND, message), Reason.BACKEND_KIND_UNSUPPORTED))
    target = Key(reference.kind, reference.namespace or referrer.route.namespace, reference.name)
    refusal = _refusal(reads, referrer, target, reference.group)
    if refusal:
        return Resolved(failing(Problem(ConditionReason.REF_NOT_PERMITTED, refusal), Reason.BACKEND_NOT_PERMITTED))
    port = _port(reads, target, reference)
    if port is None:
        problem = Problem(ConditionReason.BACKEND_NOT_FOUND, f"the reference to {target} has no port")
        return Resolved(failing(problem, Reason.BACKEND_PORT_INVALID), None, target)
    backend = BackendId(target, port, referrer.client_certificate, referrer.variant, transport)
    view = reads.result(BACKEND, backend)
    if view.resource is not None and view.resource.protocol == "WS" and referrer.route.kind == "GRPCRoute":
        problem = Problem(ConditionReason.UNSUPPORTED_PROTOCOL, f"{target} speaks WebSocket on port {port}, not gRPC")
        return Resolved(failing(problem, Reason.BACKEND_PORT_INVALID), None, target)
    if referrer.passthrough and target.kind == XBackend.kind and view.resource is not None and view.resource.tls:
        problem = Problem(ConditionReason.INVALID_BACKEND_TLS, _TLS_IN_TLS.format(target))
        return Resolved(failing(problem, Reason.BACKEND_TLS_INVALID), None, target)
    return Resolved(view, backend if view.resource is not None else None, target)


def _refusal(reads: Reads, referrer: Referrer, target: Key, group: str) -> str:
    route = referrer.route
    if target.kind == XBackend.kind and target.namespace != route.namespace:
        return f"{route} may not refer to {target}: an XBackend serves routes of its own namespace only"
    if not referrer.grants:
        return ""
    return "" if is_permitted(reads, route, GATEWAY_GROUP, target, group) else missing_grant(route, target)


def _port(reads: Reads, target: Key, reference: BackendObjectReference) -> int | None:
    if reference.port is not None or target.kind != XBackend.kind:
        return reference.port
    backend = reads.get(XBackend, target.namespace, target.name)
    return backend.spec.port.port if backend else 0


Place = tuple[str, BackendId]


class Placed(NamedTuple):
    """A backend with its endpoints, as a table holds it."""

    view: BackendView
    endpoints: tuple[model.Endpoint, ...]


def placed(reads: Reads, backend: BackendId) -> Placed:
    """What a table needs that sends traffic to a backend."""
    view = reads.result(BACKEND, backend)
    if view.resource is None or view.resource.failure is not None:
        return Placed(view, ())
    target = (backend.target, backend.port, service_protocol(backend.transport))
    # TLS that a policy asks for goes before the mesh's.
    if not reads.options.mesh or view.resource.tls is not None or backend.transport == "UDP":
        return Placed(view, reads.result(ENDPOINTS, target))
    endpoints = reads.result(MESH_ENDPOINTS, target)
    return Placed(msgspec.structs.replace(view, resource=named_for(view.resource, backend.port, endpoints)), endpoints)


def named_for(resource: model.Backend, port: int, endpoints: Sequence[model.Endpoint]) -> model.Backend:
    """The backend with the name that sidecars before its endpoints are asked for, if there are any (Istio's SNI)."""
    if not any(endpoint.peer is not None and not endpoint.peer.tunnel for endpoint in endpoints):
        return resource
    return msgspec.structs.replace(resource, mesh_server_name=f"outbound_.{port}_._.{resource.destination.service}")


def placed_resources(found: Placed) -> Iterator[tuple[str, TableResource]]:
    """By field of :class:`~gateway.routing_table.model.Resources`."""
    backend = found.view.resource
    if backend is None:
        return
    yield "endpoints", model.Endpoints(key=backend.key, endpoints=found.endpoints)
    yield "backends", backend
    for bundle in found.view.trust_bundles:
        yield "trust_bundles", bundle
    for certificate in found.view.certificates:
        yield "certificates", certificate


def _place(place: Place, reads: Reads) -> Placed:
    return placed(reads, place[1])


def _publish(place: Place, found: Placed) -> Published:
    return Published(resources=tuple((place[0], field, resource) for field, resource in placed_resources(found)))


PLACEMENT: Stage[Place, Placed] = Stage(Rank.PLACEMENT, _place, _publish)
"""By table and backend: a backend whose last route goes leaves the table with it."""
