"""East-west gateways: mesh traffic of other networks, passed through by the name that its client asks for.

Owns what a TLS listener with the option ``gateway.istio.io/listener-protocol: auto-passthrough`` leads to: every port
of every Service, by Istio's server name ``outbound_.<port>_.<subset>_.<host>``, and of their endpoints those with a
sidecar alone. Mutual TLS goes from the client to the sidecar: the gateway terminates nothing, and reaches nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from controller.resources import Service
from controller.store import Key
from controller.translate.endpoints import MESH_ENDPOINTS
from controller.translate.gateway import CROSSINGS
from controller.translate.graph import NOTHING, Published, Reads, Stage, TableResource
from controller.translate.names import backend_key, object_name
from controller.translate.stages import Rank
from gateway.routing_table import model


class Crossing(NamedTuple):
    """A listener that passes mesh traffic through."""

    table: str
    listener: str


class Crossed(msgspec.Struct, frozen=True):
    """What a Service is in the tables of east-west gateways."""

    tables: tuple[str, ...] = ()
    resources: tuple[tuple[str, str, TableResource], ...] = ()


def server_name(host: str, port: int) -> str:
    """What a client of the mesh asks for (Istio's form, without a subset)."""
    return f"outbound_.{port}_._.{host}"


def _crossed(key: Key, reads: Reads) -> Crossed:
    crossings = [Crossing(*pair) for pair in sorted(reads.members(CROSSINGS, ""))]
    service = reads.get(Service, key.namespace, key.name) if crossings else None
    if service is None or service.spec.type == "ExternalName":
        return Crossed()
    listeners: dict[str, list[str]] = {}
    for crossing in crossings:
        listeners.setdefault(crossing.table, []).append(crossing.listener)
    host = f"{key.name}.{key.namespace}.svc.{reads.options.cluster_domain}"
    resources: list[tuple[str, str, TableResource]] = []
    for port in service.spec.ports:
        endpoints = _sidecars(reads, key, port.port) if port.protocol == "TCP" else ()
        if not endpoints:
            continue
        backend = f"{backend_key(key, port.port, '', 'TCP')}@east-west"
        destination = model.Destination(service=host, service_name=key.name, service_namespace=key.namespace)
        for table, its in listeners.items():
            attachments = tuple(
                model.Attachment(listener=one, hostnames=(server_name(host, port.port),)) for one in its
            )
            route = model.Route(
                key=f"Service/{object_name(key)}/{port.port}@east-west",
                kind="TLSRoute",
                object=object_name(key),
                rule=0,
                attachments=attachments,
                matches=(),
                backends=(model.WeightedBackend(backend=backend),),
            )
            resources += [
                (table, "endpoints", model.Endpoints(key=backend, endpoints=endpoints)),
                (table, "backends", model.Backend(key=backend, destination=destination)),
                (table, "routes", route),
            ]
    return Crossed(tuple(listeners), tuple(resources))


def _sidecars(reads: Reads, key: Key, port: int) -> tuple[model.Endpoint, ...]:
    """Endpoints that take mutual TLS on their own port. The client knows them, and the gateway need not."""
    return tuple(
        model.Endpoint(address=endpoint.address, port=endpoint.port)
        for endpoint in reads.result(MESH_ENDPOINTS, (key, port, "TCP"))
        if endpoint.peer is not None and not endpoint.peer.tunnel
    )


def _publish(_key: Key, crossed: Crossed) -> Published:
    return Published(resources=crossed.resources) if crossed.resources else NOTHING


EAST_WEST: Stage[Key, Crossed] = Stage(Rank.EAST_WEST, _crossed, _publish)
"""By Service."""
