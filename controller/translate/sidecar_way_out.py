"""Sidecars whose namespace has a way out: what their workloads send to no Service goes there, as who they are.

Owns the annotation of the Namespace, and which ports it is about: those of the Service that say (``appProtocol``) that
they find the destination by server name or by Host. The rest goes on as it was. What cannot be honoured closes the
usual ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from controller.resources import Namespace, Service
from controller.store import Key
from controller.translate.backend_view import BackendId, internal_error
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.hostnames import ANY
from controller.translate.names import backend_key, object_name
from controller.translate.sidecar import CLIENTS, IPV4, IPV6, OUTBOUND_PORT, Client, Resource, gateway_key
from controller.translate.sidecar_outbound import CALLED
from controller.translate.stages import Rank
from controller.translate.ways_out import EGRESS_HTTP, EGRESS_TLS
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason

WAY_OUT_ANNOTATION: Final = "sekisho.dev/way-out"
"""Of a Namespace: ``namespace/name`` of the Service before the egress gateway."""
TRANSPARENT: Final = (EGRESS_TLS, EGRESS_HTTP)
"""Values of ``appProtocol`` of ports that find the destination in what is carried."""
_USUAL: Final = (80, 443)


class WayOut(msgspec.Struct, frozen=True):
    """What is in the tables of a namespace for its way out."""

    clients: tuple[Client, ...] = ()
    ipv4: tuple[Resource, ...] = ()
    ipv6: tuple[Resource, ...] = ()
    backends: tuple[BackendId, ...] = ()
    problem: str = ""
    """Why the annotation cannot be honoured."""


def _way_out(namespace: str, reads: Reads) -> WayOut:
    found = reads.get(Namespace, "", namespace)
    named = found.metadata.annotations.get(WAY_OUT_ANNOTATION, "") if found is not None else ""
    clients = tuple(client for client in sorted(reads.members(CLIENTS, namespace)) if not client.explicit)
    if not named or not clients:
        return WayOut()
    where, _, name = named.partition("/")
    key = Key(Service.kind, where, name)
    service = reads.get(Service, where, name)
    ports = [port.port for port in service.spec.ports if port.app_protocol in TRANSPARENT] if service else []
    problem = ""
    if service is None:
        problem = f"{WAY_OUT_ANNOTATION} names Service {named!r}, which does not exist: write namespace/name of one"
    elif not ports:
        problem = f"{WAY_OUT_ANNOTATION} names {key}, no port of which has an appProtocol of {' or '.join(TRANSPARENT)}"
    backends = () if problem else tuple(BackendId(key, port, transport="TCP") for port in sorted(set(ports)))
    made = [(port, tuple(_share(backends, port, problem))) for port in sorted({*ports} or _USUAL)]
    return WayOut(
        clients=clients,
        ipv4=tuple(resource for port, share in made for resource in _carrying(namespace, port, share, key, IPV4)),
        ipv6=tuple(resource for port, share in made for resource in _carrying(namespace, port, share, key, IPV6)),
        backends=backends,
        problem=problem,
    )


def _share(backends: tuple[BackendId, ...], port: int, problem: str) -> Iterator[model.WeightedBackend]:
    if problem:
        yield model.WeightedBackend(failure=internal_error(Reason.BACKEND_NOT_FOUND, problem))
    for backend in backends:
        if backend.port == port:
            yield model.WeightedBackend(backend=backend_key(backend.target, port, backend.variant, backend.transport))


def _carrying(
    namespace: str, port: int, share: tuple[model.WeightedBackend, ...], service: Key, address: str
) -> Iterator[Resource]:
    """A listener for a port of every address that is no Service's, and where that leads."""
    suffix = "@::" if address == IPV6 else ""
    listener = f"{gateway_key(namespace)}/outbound/{ANY}/{port}{suffix}"
    yield (
        "listeners",
        model.Listener(
            key=listener,
            gateway=gateway_key(namespace),
            address=address,
            port=port,
            bind_port=OUTBOUND_PORT,
            protocol="TCP",
            captured=model.Captured(),
        ),
    )
    yield (
        "routes",
        model.Route(
            key=f"WayOut/{port}{suffix}",
            kind="TCPRoute",
            object=object_name(service),
            rule=0,
            attachments=(model.Attachment(listener=listener, hostnames=(ANY,)),),
            matches=(),
            backends=share,
        ),
    )


def _publish(namespace: str, way_out: WayOut) -> Published:
    if not way_out.clients:
        return NOTHING
    about = Key(Namespace.kind, "", namespace)
    return Published(
        members=tuple(((CALLED, ""), (namespace, backend)) for backend in way_out.backends),
        resources=tuple(
            (client.table, field, resource)
            for client in way_out.clients
            for field, resource in ((*way_out.ipv4, *way_out.ipv6) if client.ipv6 else way_out.ipv4)
        ),
        notices=((about, way_out.problem),) if way_out.problem else (),
    )


WAY_OUT: Stage[str, WayOut] = Stage(Rank.WAY_OUT, _way_out, _publish)
"""By namespace that has sidecars."""
