"""What a Gateway needs in a cluster: a Deployment and a Service of its own, described without Kubernetes' words.

Owns which ports, labels, annotations, addresses and parameters they get (GEP-1762, GEP-1867). Must not
know their manifests: see ``controller/provision``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from controller.resources import Gateway, GatewayParametersSpec
from controller.store import Key
from controller.translate.addresses import requested_address
from controller.translate.conditions import Problem
from controller.translate.gateway import GATEWAY, Age, ServedGateway
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.infrastructure_names import infrastructure_name, own_labels, selector
from controller.translate.listeners import RESERVED_PORTS
from controller.translate.parameters import layered
from controller.translate.stages import Rank
from controller.translate.ways_out import WAYS

_PLACEHOLDER = 80


class Port(msgspec.Struct, frozen=True, order=True):
    """A port clients connect to."""

    number: int
    transport: Literal["TCP", "UDP"]
    app_protocol: str = ""
    """What a way out says it is: sidecars carry connections to it, and know what it finds the destination by."""


class Infrastructure(msgspec.Struct, frozen=True):
    """What is to stand in the cluster for one Gateway."""

    gateway: Key
    uid: str
    age: Age
    """Orders Gateways, where two come to the same name."""
    name: str
    """Of every object made for it, the service account among them."""
    selector: Mapping[str, str]
    """Labels that no other Gateway's pods have. They never change while the name stays."""
    labels: Mapping[str, str] = {}
    """Of every object: the Gateway's, then ours."""
    annotations: Mapping[str, str] = {}
    ports: tuple[Port, ...] = ()
    address: str = ""
    """An IP address to ask the load balancer for, or none."""
    parameters: GatewayParametersSpec = GatewayParametersSpec()
    problem: Problem | None = None
    """Why it cannot be said what is to stand: what stands already, stays as it is."""


def _infrastructure(key: Key, reads: Reads) -> Infrastructure | None:
    gateway = reads.get(Gateway, key.namespace, key.name) if reads.options.provision else None
    served = reads.result(GATEWAY, key) if gateway is not None else None
    if gateway is None or served is None:
        return None
    class_name = gateway.spec.gateway_class_name
    known = Infrastructure(
        gateway=key,
        uid=gateway.metadata.uid,
        age=served.parsed.age,
        name=infrastructure_name(key.name, class_name),
        selector=selector(key.name, class_name),
    )
    if served.parsed.problem is not None:
        return msgspec.structs.replace(known, problem=served.parsed.problem)
    metadata = gateway.spec.infrastructure
    return msgspec.structs.replace(
        known,
        labels={**(metadata.labels if metadata else {}), **own_labels(known.selector)},
        annotations=dict(metadata.annotations) if metadata else {},
        ports=_ports(gateway, served),
        address=requested_address(gateway.spec.addresses),
        parameters=layered(served.parsed.layers),
    )


def _ports(gateway: Gateway, served: ServedGateway) -> tuple[Port, ...]:
    """Ports of the accepted listeners, also of those that cannot be served for the moment.

    A Service must have a port. Where no listener is accepted it is the first listener's, and nothing answers
    there: the health port would let the whole world read the metrics.
    """
    accepted: dict[tuple[int, Literal["TCP", "UDP"]], set[str]] = {}
    for listener in served.every_listener():
        if listener.problem is None:
            protocols = accepted.setdefault((listener.parsed.port, listener.parsed.transport), set())
            protocols.add(listener.parsed.protocol)
    if accepted:
        return tuple(Port(*port, _app_protocol(protocols)) for port, protocols in sorted(accepted.items()))
    number = next((one.port for one in gateway.spec.listeners if one.port not in RESERVED_PORTS), _PLACEHOLDER)
    return (Port(number, "TCP"),)


def _app_protocol(protocols: set[str]) -> str:
    """Of the listeners of one port: where TLS comes first, others may be beside a way out."""
    return next(iter(protocols)) if len(protocols) == 1 and protocols <= WAYS.keys() else ""


def _publish(key: Key, infrastructure: Infrastructure | None) -> Published:
    return Published(infrastructure=(key, infrastructure)) if infrastructure is not None else NOTHING


INFRASTRUCTURE: Stage[Key, Infrastructure | None] = Stage(Rank.INFRASTRUCTURE, _infrastructure, _publish)
"""By Gateway; None where nothing is provisioned for it."""
