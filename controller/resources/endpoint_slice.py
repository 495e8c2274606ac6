"""EndpointSlice (Kubernetes ``discovery/v1``): the addresses behind a Service."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.schema import PortNumber, Struct, Violation

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class EndpointConditions(Struct, frozen=True, kw_only=True):
    """None is unknown; an endpoint whose readiness is unknown counts as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointReference(Struct, frozen=True, kw_only=True):
    """The object an endpoint stands for, usually a Pod."""

    ignored: ClassVar[frozenset[str]] = frozenset({"apiVersion", "fieldPath", "resourceVersion"})

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(Struct, frozen=True, kw_only=True):
    """One endpoint; its addresses are interchangeable."""

    ignored: ClassVar[frozenset[str]] = frozenset({"deprecatedTopology", "hints"})

    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: EndpointReference | None = None


class EndpointPort(Struct, frozen=True, kw_only=True):
    """``name`` is the Service port's; ``port`` None: every port."""

    name: str = ""
    protocol: str = "TCP"
    port: PortNumber | None = None
    app_protocol: str | None = None


class EndpointSlice(Resource, frozen=True, kw_only=True):
    """Endpoints of the Service that a label names. ``address_type`` is IPv4, IPv6 or FQDN."""

    group: ClassVar[str] = "discovery.k8s.io"
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "EndpointSlice"

    address_type: str
    endpoints: Annotated[tuple[Endpoint, ...], Meta(max_length=1000)] = ()
    ports: Annotated[tuple[EndpointPort, ...], Meta(max_length=100)] = ()

    def violations(self) -> Iterator[Violation]:
        """Addresses are of the slice's type."""
        version = {"IPv4": 4, "IPv6": 6}.get(self.address_type)
        if version is None:
            return
        for index, endpoint in enumerate(self.endpoints):
            for position, address in enumerate(endpoint.addresses):
                if not _is_address(address, version):
                    yield Violation(
                        f"endpoints[{index}].addresses[{position}]",
                        f"{address!r} is not an {self.address_type} address",
                        "correct the address, or use addressType FQDN for a host name",
                    )


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
