"""WorkloadEntry (Istio: ``networking/v1beta1/workload_entry.proto``): a workload that is no pod, such as a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.schema import ObjectName, PortNumber, Struct, Violation

ISTIO_NETWORKING_GROUP = "networking.istio.io"


class WorkloadEntrySpec(Struct, frozen=True, kw_only=True):
    """``ports`` maps names of Service ports to the ports on which this workload serves them."""

    ignored: ClassVar[frozenset[str]] = frozenset({"locality", "weight"})

    address: Annotated[str, Meta(min_length=1, max_length=253)]
    ports: Mapping[str, PortNumber] = {}
    labels: Mapping[str, str] = {}
    service_account: ObjectName = "default"
    network: str = ""

    def violations(self) -> Iterator[Violation]:
        """A Unix socket cannot be reached from elsewhere."""
        if self.address.startswith("unix:"):
            yield Violation("address", "a Unix socket is reached by nobody else", "write an IP address")


class WorkloadEntry(Resource, frozen=True, kw_only=True):
    """A machine, or a process on one."""

    group: ClassVar[str] = ISTIO_NETWORKING_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1", "v1alpha3")
    kind: ClassVar[str] = "WorkloadEntry"

    spec: WorkloadEntrySpec
