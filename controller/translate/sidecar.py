"""Sidecars: the part of a table that follows from the workload itself.

Owns the listeners before the workload (who may connect, and how), and the two that take whatever nobody has named. What
the workload may call is ``sidecar_outbound``'s. Ports are Istio's: 15006 inbound, 15001 outbound, 15008 HBONE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from controller.resources import Service, ServicePort
from controller.translate.backend_view import PLACEMENTS
from controller.translate.gateway import AUTHORIZED, GOVERNING, TABLES, TOKENS_LOOKED_AT, Governed
from controller.translate.graph import Published, Reads, Stage, TableResource
from controller.translate.hostnames import ANY
from controller.translate.indexes import SERVICES
from controller.translate.peer_authentication import Modes, authenticating, modes_of
from controller.translate.service_port import Carried, carried, workload_port
from controller.translate.stages import Rank
from controller.translate.workload import CANONICAL_NAMES, CANONICAL_REVISIONS, Sidecar
from controller.translate.workload_policies import Selecting, selecting_authentications, selecting_policies
from gateway.routing_table import model
from gateway.routing_table.marks import OWN_WORKLOAD_DSCP

INBOUND_PORT: Final = 15006
OUTBOUND_PORT: Final = 15001
TUNNEL_PORT: Final = 15008

CLIENTS = "clients"
"""Collection, by namespace: the sidecar tables there (:class:`Client`)."""
CLIENT_NAMESPACES = "client-namespaces"
"""Collection: namespaces that have sidecars."""

IPV4 = "0.0.0.0"  # noqa: S104 - within the workload's own network namespace
IPV6 = "::"
LOOPBACK = "127.0.0.1"

TRUSTED_HOPS: Final = 1
"""Whoever is before a sidecar is an application, or a gateway or sidecar that said who the client is."""

NOBODY: Final = model.Backend(key="*").destination
"""Of a port that belongs to no Service."""

Resource = tuple[str, TableResource]
"""Field of :class:`~gateway.routing_table.model.Resources`, and the resource."""


class Client(NamedTuple):
    """A table that gets what sidecars of its namespace may call."""

    table: str
    ipv6: bool
    explicit: bool


class InboundPort(NamedTuple):
    """A port of a workload that somebody has named."""

    number: int
    carries: Carried
    destination: model.Destination


class SidecarTable(msgspec.Struct, frozen=True):
    """What a sidecar has for its workload."""

    modes: Modes
    policies: tuple[Selecting, ...]
    authentications: tuple[Selecting, ...]
    ports: tuple[InboundPort, ...]
    resources: tuple[Resource, ...]


def gateway_key(namespace: str) -> str:
    """The same for all sidecars of a namespace, so that they share what they may call."""
    return f"{namespace}/sidecar"


def _sidecar(sidecar: Sidecar, reads: Reads) -> SidecarTable:
    modes = modes_of(reads, sidecar.namespace, dict(sidecar.labels))
    services = list(_services(reads, sidecar))
    ports = _ports(reads, sidecar, services, modes)
    served = {
        name: frozenset(number for port in its if (number := workload_port(sidecar, port)) is not None)
        for name, its in services
    }
    policies = selecting_policies(reads, sidecar, served)
    authentications = selecting_authentications(reads, sidecar, served)
    inbound = _Inbound(sidecar, modes, policies, authentications)
    resources: list[Resource] = [("gateways", _gateway(sidecar))]
    resources += [("authorization_policies", selecting.policy) for selecting in policies]
    resources += [("request_authentications", selecting.policy) for selecting in authentications]
    resources += inbound.explicit(ports) if sidecar.explicit else inbound.captured(ports)
    resources += _outbound_basis(sidecar)
    return SidecarTable(modes, policies, authentications, ports, tuple(resources))


def _gateway(sidecar: Sidecar) -> model.Gateway:
    labels = dict(sidecar.labels)
    return model.Gateway(
        key=gateway_key(sidecar.namespace),
        trusted_hops=TRUSTED_HOPS,
        workload=model.Workload(
            name=sidecar.workload,
            namespace=sidecar.namespace,
            canonical_service=next((labels[name] for name in CANONICAL_NAMES if labels.get(name)), sidecar.workload),
            canonical_revision=next((labels[name] for name in CANONICAL_REVISIONS if labels.get(name)), "latest"),
        ),
    )


# --- ports ----------------------------------------------------------------------------------------


def _services(reads: Reads, sidecar: Sidecar) -> Iterator[tuple[str, tuple[ServicePort, ...]]]:
    """Services that select the workload, by name, with their TCP ports."""
    labels = dict(sidecar.labels)
    for key in reads.referring(SERVICES, sidecar.namespace):
        service = reads.get(Service, key.namespace, key.name)
        if service is None or not service.spec.selector:
            continue
        if all(labels.get(name) == value for name, value in service.spec.selector.items()):
            yield key.name, tuple(port for port in service.spec.ports if port.protocol == "TCP")


def _ports(
    reads: Reads, sidecar: Sidecar, services: list[tuple[str, tuple[ServicePort, ...]]], modes: Modes
) -> tuple[InboundPort, ...]:
    """Those of its Services, of the workload's own description, and those that a PeerAuthentication names."""
    found: dict[int, InboundPort] = {}
    for name, ports in services:
        host = f"{name}.{sidecar.namespace}.svc.{reads.options.cluster_domain}"
        destination = model.Destination(service=host, service_name=name, service_namespace=sidecar.namespace)
        for port in ports:
            number = workload_port(sidecar, port)
            if number is not None:
                found.setdefault(number, InboundPort(number, carried(port), destination))
    for number in [*(number for _, number in sidecar.ports), *modes.ports]:
        found.setdefault(number, InboundPort(number, "TCP", NOBODY))
    reserved = () if sidecar.explicit else (INBOUND_PORT, OUTBOUND_PORT, TUNNEL_PORT)
    return tuple(found[number] for number in sorted(found) if number not in reserved)


# --- listeners ------------------------------------------------------------------------------------


class _Inbound:
    """What stands before the workload."""

    def __init__(
        self,
        sidecar: Sidecar,
        modes: Modes,
        policies: tuple[Selecting, ...],
        authentications: tuple[Selecting, ...],
    ) -> None:
        self._sidecar = sidecar
        self._modes = modes
        self._policies = policies
        self._authentications = authentications

    def captured(self, ports: tuple[InboundPort, ...]) -> Iterator[Resource]:
        """Connections redirected from the ports they were made to; they go on to where they were going."""
        addresses = (IPV4, IPV6) if self._sidecar.ipv6 else (IPV4,)
        for port in ports:
            yield from self._listeners(port, addresses)
            yield (
                "backends",
                model.Backend(
                    key=_backend_key(port),
                    protocol="H2C" if port.carries == "H2C" else "HTTP",
                    destination=port.destination,
                    original_destination=True,
                    dscp=OWN_WORKLOAD_DSCP,
                ),
            )
        others = InboundPort(0, "TCP", NOBODY)
        yield from self._listeners(others, addresses)
        yield "backends", model.Backend(key=_backend_key(others), original_destination=True, dscp=OWN_WORKLOAD_DSCP)
        for address in addresses:
            inner = f"[{address}]" if ":" in address else address
            yield (
                "listeners",
                model.Listener(
                    key=_listener_key(self._sidecar, "tunnel", address),
                    gateway=gateway_key(self._sidecar.namespace),
                    address=address,
                    port=TUNNEL_PORT,
                    bind_port=TUNNEL_PORT,
                    protocol="HBONE",
                    inner=f"{inner}:{INBOUND_PORT}",
                ),
            )

    def explicit(self, ports: tuple[InboundPort, ...]) -> Iterator[Resource]:
        """Ports of the sidecar's own, each in front of one of the application's on loopback."""
        known = {port.number: port for port in ports}
        for number, application in self._sidecar.inbound:
            port = known.get(number) or InboundPort(number, "TCP", NOBODY)
            yield from self._listeners(port, (IPV4, IPV6) if self._sidecar.ipv6 else (IPV4,))
            key = _backend_key(port)
            yield (
                "backends",
                model.Backend(
                    key=key, protocol="H2C" if port.carries == "H2C" else "HTTP", destination=port.destination
                ),
            )
            endpoint = model.Endpoint(address=LOOPBACK, port=application)
            yield "endpoints", model.Endpoints(key=key, endpoints=(endpoint,))

    def _listeners(self, port: InboundPort, addresses: tuple[str, ...]) -> Iterator[Resource]:
        """Port 0 stands for all others."""
        name = str(port.number or ANY)
        keys = [_listener_key(self._sidecar, f"inbound/{name}", address) for address in addresses]
        http = port.carries != "TCP"
        captured = None if self._sidecar.explicit else model.Captured(any_port=not port.number)
        for key, address in zip(keys, addresses, strict=True):
            yield (
                "listeners",
                model.Listener(
                    key=key,
                    gateway=gateway_key(self._sidecar.namespace),
                    address=address,
                    port=port.number or INBOUND_PORT,
                    bind_port=port.number if self._sidecar.explicit else INBOUND_PORT,
                    protocol="HTTP" if http else "TCP",
                    captured=captured,
                    mesh=model.MeshServer(mode=self._modes.of(port.number)),
                    authorization=_counting(self._policies, port),
                    authentication=_counting(self._authentications, port),
                ),
            )
        yield (
            "routes",
            model.Route(
                key=f"Inbound/{name}",
                kind="HTTPRoute" if http else "TCPRoute",
                object=f"{self._sidecar.namespace}/{self._sidecar.workload}",
                rule=0,
                attachments=tuple(model.Attachment(listener=key, hostnames=(ANY,)) for key in keys),
                matches=(model.Match(),) if http else (),
                backends=(model.WeightedBackend(backend=_backend_key(port)),),
            ),
        )


def _counting(
    policies: tuple[Selecting, ...],
    port: InboundPort,
) -> tuple[str, ...]:
    return tuple(one.policy.key for one in policies if one.counts(port.number or None))


def _outbound_basis(sidecar: Sidecar) -> Iterator[Resource]:
    """Where calls go that are to no Service: on as they are. With explicit capture, what routes by host."""
    if sidecar.explicit:
        yield "listeners", explicit_listener(sidecar.namespace)
        return
    addresses = (IPV4, IPV6) if sidecar.ipv6 else (IPV4,)
    keys = [_listener_key(sidecar, f"outbound/{ANY}", address) for address in addresses]
    for key, address in zip(keys, addresses, strict=True):
        yield (
            "listeners",
            model.Listener(
                key=key,
                gateway=gateway_key(sidecar.namespace),
                address=address,
                port=OUTBOUND_PORT,
                bind_port=OUTBOUND_PORT,
                protocol="TCP",
                captured=model.Captured(any_port=True),
            ),
        )
    yield "backends", model.Backend(key="Outbound/*", original_destination=True)
    yield (
        "routes",
        model.Route(
            key="Outbound/*",
            kind="TCPRoute",
            object=f"{sidecar.namespace}/{sidecar.workload}",
            rule=0,
            attachments=tuple(model.Attachment(listener=key, hostnames=(ANY,)) for key in keys),
            matches=(),
            backends=(model.WeightedBackend(backend="Outbound/*"),),
        ),
    )


def explicit_listener(namespace: str) -> model.Listener:
    """Where applications call Services by their names, where nothing is redirected."""
    return model.Listener(
        key=f"{gateway_key(namespace)}/outbound",
        gateway=gateway_key(namespace),
        address=LOOPBACK,
        port=OUTBOUND_PORT,
        bind_port=OUTBOUND_PORT,
        protocol="HTTP",
    )


def _listener_key(sidecar: Sidecar, name: str, address: str) -> str:
    suffix = f"@{address}" if address == IPV6 else ""
    return f"{gateway_key(sidecar.namespace)}/{name}{suffix}"


def _backend_key(port: InboundPort) -> str:
    return f"Inbound/{port.number or ANY}"


# --- what it tells --------------------------------------------------------------------------------


def _publish(sidecar: Sidecar, table: SidecarTable) -> Published:
    name = f"{sidecar.namespace}/{sidecar.workload}"
    members: list[tuple[tuple[str, object], object]] = [
        ((TABLES, ""), sidecar.table),
        ((CLIENTS, sidecar.namespace), Client(sidecar.table, sidecar.ipv6, sidecar.explicit)),
        ((CLIENT_NAMESPACES, ""), sidecar.namespace),
    ]
    members += authenticating(table.modes, name)
    members += [
        ((AUTHORIZED, selecting.policy.key), _governed(name, sidecar.table, table, selecting))
        for selecting in table.policies
    ]
    members += [((GOVERNING, sidecar.table), one.key) for one in table.policies if one.ports is None and one.key]
    members += [((PLACEMENTS, ""), (sidecar.table, one.asked)) for one in table.policies if one.asked is not None]
    members += [((TOKENS_LOOKED_AT, selecting.policy.key), name) for selecting in table.authentications]
    return Published(
        members=tuple(members),
        resources=tuple((sidecar.table, field, resource) for field, resource in table.resources),
    )


def _governed(name: str, place: str, table: SidecarTable, selecting: Selecting) -> Governed:
    ports = [port for port in table.ports if selecting.counts(port.number)]
    plain = [port for port in ports if table.modes.of(port.number) == "DISABLE"]
    return Governed(
        gateway=name,
        streams=tuple(str(port.number) for port in ports if port.carries == "TCP"),
        without_identity=tuple(str(port.number) for port in plain),
        place=place,
    )


SIDECAR: Stage[Sidecar, SidecarTable] = Stage(Rank.SIDECAR, _sidecar, _publish)
"""By what a table depends on of its workload."""
