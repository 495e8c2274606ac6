"""Service (Kubernetes ``core/v1``): the fields routing depends on, and the addresses a load balancer gave it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from controller.resources.metadata import Resource
from controller.resources.schema import DNS_LABEL_PATTERN, PortNumber, Struct, Violation


class ServicePort(Struct, frozen=True, kw_only=True):
    """One port. ``target_port`` None: the same as ``port``; a string names a container port."""

    ignored: ClassVar[frozenset[str]] = frozenset({"nodePort"})

    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    port: PortNumber
    target_port: int | str | None = None


class ServiceSpec(Struct, frozen=True, kw_only=True):
    """``type`` is ClusterIP, NodePort, LoadBalancer or ExternalName; ``cluster_ip`` "None" is headless."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "allocateLoadBalancerNodePorts",
            "externalIPs",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "internalTrafficPolicy",
            "ipFamilies",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            "sessionAffinity",
            "sessionAffinityConfig",
            "trafficDistribution",
        }
    )

    type: str = "ClusterIP"
    selector: Mapping[str, str] = {}
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    """One of each family, ``cluster_ip`` first; empty where nobody filled them in."""
    external_name: str = ""
    ports: tuple[ServicePort, ...] = ()
    publish_not_ready_addresses: bool = False

    def violations(self) -> Iterator[Violation]:
        """An ExternalName has a name; several ports have distinct names."""
        if self.type == "ExternalName" and not self.external_name:
            yield Violation("externalName", "a Service of type ExternalName needs externalName", "name the host")
        if len(self.ports) > 1:
            names = [port.name for port in self.ports]
            for index, name in enumerate(names):
                if not name or name in names[:index]:
                    yield Violation(
                        f"ports[{index}].name",
                        f"the port name {name!r} is " + ("used twice" if name else "missing"),
                        "give each of several ports a name of its own",
                    )
        numbers: set[tuple[int, str]] = set()
        for index, port in enumerate(self.ports):
            if (port.port, port.protocol) in numbers:
                yield Violation(f"ports[{index}]", f"port {port.port}/{port.protocol} is given twice", "remove one")
            numbers.add((port.port, port.protocol))


class LoadBalancerIngress(Struct, frozen=True, kw_only=True):
    """Where a load balancer takes connections: one of the two."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Struct, frozen=True, kw_only=True):
    """What a load balancer gave."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """Written by the cluster."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Resource, frozen=True, kw_only=True):
    """A backend made of ports and the endpoints behind them."""

    ignored: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "Service"
    name_pattern: ClassVar[str] = DNS_LABEL_PATTERN
    name_length: ClassVar[int] = 63

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Of the status, the addresses alone: no person wrote it, so nothing else in it is a person's mistake."""
        if "status" not in document:
            return document
        return {**document, "status": {"loadBalancer": {"ingress": list(_ingress(document["status"]))}}}


def _ingress(status: object) -> Iterator[dict[str, str]]:
    balancer = status.get("loadBalancer") if isinstance(status, dict) else None
    ingress = balancer.get("ingress") if isinstance(balancer, dict) else None
    for item in ingress if isinstance(ingress, list) else ():
        if isinstance(item, dict):
            yield {name: item[name] for name in ("ip", "hostname") if isinstance(item.get(name), str)}
