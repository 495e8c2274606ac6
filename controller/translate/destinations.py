"""Destinations: the addresses and ports by which a Service is called, which tell a sidecar what a connection is for.

Owns which Service an address stands for: a cluster address for its Service, an endpoint's for the Service that has no
address of its own (headless, or described without one). Where several ask for the same, the oldest gets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from controller.resources import Service, ServicePort
from controller.store import Key
from controller.translate.endpoints import MESH_ENDPOINTS
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.mesh_route import HEADLESS
from controller.translate.service_port import Carried, carried
from controller.translate.sidecar import CLIENT_NAMESPACES
from controller.translate.stages import Rank
from gateway.routing_table import model
from gateway.routing_table.validate import is_ip_address

OUTBOUND = "outbound"
"""Collection: pairs of a namespace of clients and a Service."""
CLAIMED = "claimed"
"""Collection, by address and port: who is called by them."""


class Destination(NamedTuple):
    """One way to call a port of a Service."""

    service_port: int
    carries: Carried
    addresses: tuple[str, ...]
    port: int
    """As it is dialled."""
    endpoint: model.Endpoint | None = None
    """Where the address is that of one endpoint, which alone is meant then."""


class Destinations(msgspec.Struct, frozen=True):
    """All of a Service; nothing where nobody could call it through a sidecar."""

    namespaces: tuple[str, ...] = ()
    """Of its clients: where there are sidecars."""
    age: tuple[object, ...] = ()
    every: tuple[Destination, ...] = ()


def _destinations(key: Key, reads: Reads) -> Destinations:
    namespaces = tuple(sorted(reads.members(CLIENT_NAMESPACES, "")))
    service = reads.get(Service, key.namespace, key.name) if namespaces else None
    if service is None or service.spec.type == "ExternalName":
        return Destinations()
    every = tuple(
        destination
        for port in service.spec.ports
        if port.protocol == "TCP"
        for destination in _of_port(reads, key, service, port)
    )
    return Destinations(namespaces, (service.metadata.creation_timestamp, key.namespace, key.name), every)


def _of_port(reads: Reads, key: Key, service: Service, port: ServicePort) -> Iterator[Destination]:
    addresses = tuple(one for one in cluster_addresses(service) if is_ip_address(one))
    if addresses:
        yield Destination(port.port, carried(port), addresses, port.port)
        return
    for endpoint in reads.result(MESH_ENDPOINTS, (key, port.port, "TCP")):
        if is_ip_address(endpoint.address):
            yield Destination(port.port, carried(port), (endpoint.address,), endpoint.port, endpoint)


def cluster_addresses(service: Service) -> tuple[str, ...]:
    """The Service's own addresses; none for a headless one."""
    if service.spec.cluster_ip == HEADLESS:
        return ()
    return service.spec.cluster_ips or ((service.spec.cluster_ip,) if service.spec.cluster_ip else ())


def _publish(key: Key, destinations: Destinations) -> Published:
    if not destinations.namespaces:
        return NOTHING
    claims = {
        ((CLAIMED, (address, destination.port)), (destinations.age, key))
        for destination in destinations.every
        for address in destination.addresses
    }
    outbound = [((OUTBOUND, ""), (namespace, key)) for namespace in destinations.namespaces]
    return Published(members=(*sorted(claims, key=repr), *outbound))


DESTINATIONS: Stage[Key, Destinations] = Stage(Rank.DESTINATIONS, _destinations, _publish)
"""By Service."""


def granted(reads: Reads, key: Key, destination: Destination) -> Destination | None:
    """The destination with those addresses that are this Service's and no older one's."""
    mine = tuple(
        address
        for address in destination.addresses
        if min(reads.members(CLAIMED, (address, destination.port)))[1] == key
    )
    return destination._replace(addresses=mine) if mine else None
