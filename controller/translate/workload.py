"""Workloads of the mesh: pods and machines, what each is called by, and how it is reached.

Owns whether a workload is in the mesh, which its own data says (Istio's labels and annotations), its identity, and what
its sidecar is to capture. Pods that differ in nothing that a table looks at share one sidecar table.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from controller.resources import Pod, Resource, WorkloadEntry
from controller.store import Key
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.infrastructure_names import GATEWAY_NAME_LABEL
from controller.translate.names import object_name
from controller.translate.stages import Rank
from gateway.routing_table import model
from gateway.routing_table.validate import is_ip_address

TLS_MODE_LABEL = "security.istio.io/tlsMode"
TUNNEL_LABEL = "networking.istio.io/tunnel"
REDIRECTION_ANNOTATION = "ambient.istio.io/redirection"
CAPTURE_ANNOTATION = "sekisho.dev/capture"
"""``redirect`` (the default) or ``explicit``."""
INBOUND_ANNOTATION = "sekisho.dev/inbound"
"""With explicit capture: ``9443=8080,…``, the port that the sidecar takes and the application's on loopback."""

SIDECARS = "sidecars"
"""Collection: what the sidecars are that have a table (:class:`Sidecar`)."""

CANONICAL_NAMES = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
CANONICAL_REVISIONS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")

_ENDED = ("Succeeded", "Failed")
_REPLICA_SET = re.compile(r"(.+)-[a-z0-9]{1,10}\Z")
_MAPPING = re.compile(r"([0-9]{1,5})=([0-9]{1,5})\Z")
_HIGHEST_PORT = 65_535

Tunnel = Literal["", "HBONE"]


class Sidecar(NamedTuple):
    """What a sidecar's table depends on of its workload. Replicas of one workload have the same."""

    namespace: str
    workload: str
    """The name of what made the pods, or of the machine."""
    service_account: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...] = ()
    """Names (empty: none) and numbers of TCP ports that the workload says it has."""
    ipv6: bool = False
    explicit: bool = False
    inbound: tuple[tuple[int, int], ...] = ()
    """With explicit capture: ports that the sidecar takes, and the application's."""
    machine: bool = False
    """A WorkloadEntry, whose ports have the names of Service ports."""

    @property
    def table(self) -> str:
        """The name of the table; no Gateway's has three parts."""
        digest = hashlib.blake2b(repr(tuple(self)).encode(), digest_size=4).hexdigest()
        return f"{self.namespace}/{self.workload}/{digest}"

    @property
    def port_names(self) -> Mapping[str, int]:
        """Ports by the name that a Service's ``targetPort`` may have."""
        return {name: number for name, number in self.ports if name}


class Workload(msgspec.Struct, frozen=True):
    """A workload that can be reached."""

    key: Key
    addresses: tuple[str, ...]
    service_account: str
    labels: Mapping[str, str]
    ports: tuple[tuple[str, int], ...]
    tunnel: Tunnel | None
    """How it is reached through the mesh; None: it is not in it."""
    sidecar: Sidecar | None
    """What its sidecar's table depends on, if it can have one of ours."""
    gateway: str = ""
    """The label of a Gateway's pods, where it is one: they may be in the mesh by some of their ports."""

    def peer(self, trust_domain: str, tunnel: Tunnel) -> model.Peer:
        """Who answers there, in the mesh."""
        identity = f"{trust_domain}/ns/{self.key.namespace}/sa/{self.service_account}"
        return model.Peer(identity=identity, tunnel=tunnel, workload=object_name(self.key))


class SidecarPlace(msgspec.Struct, frozen=True):
    """Where a workload's sidecar gets its table, and whose certificate it must show for it."""

    table: str
    namespace: str
    service_account: str


def sidecar_table(name: str) -> bool:
    """Whether a table is a sidecar's, and not a Gateway's."""
    return name.count("/") > 1


def _workload(key: Key, reads: Reads) -> Workload | None:
    if not reads.options.mesh:
        return None
    if key.kind == WorkloadEntry.kind:
        entry = reads.get(WorkloadEntry, key.namespace, key.name)
        return _of_entry(key, entry) if entry is not None else None
    pod = reads.get(Pod, key.namespace, key.name)
    return _of_pod(key, pod) if pod is not None else None


def _of_pod(key: Key, pod: Pod) -> Workload | None:
    if pod.spec.host_network or pod.status.phase in _ENDED:
        return None  # Its address is the node's, or soon another pod's.
    ports = tuple((port.name, port.container_port) for port in pod.spec.ports if port.protocol == "TCP")
    replica_set = _REPLICA_SET.match(pod.owner)
    named_after_template = pod.metadata.labels.get("pod-template-hash") and replica_set
    name = (replica_set[1] if named_after_template and replica_set else pod.owner) or key.name
    addresses = tuple(address for address in pod.status.addresses if is_ip_address(address))
    return _made(key, pod, name, Described(addresses, pod.spec.service_account_name, pod.metadata.labels, ports))


def _of_entry(key: Key, entry: WorkloadEntry) -> Workload:
    spec = entry.spec
    addresses = (spec.address,) if is_ip_address(spec.address) else ()
    labels = {**entry.metadata.labels, **spec.labels}
    return _made(
        key, entry, key.name, Described(addresses, spec.service_account, labels, tuple(sorted(spec.ports.items())))
    )


class Described(NamedTuple):
    """What pods and machines say in different places."""

    addresses: tuple[str, ...]
    service_account: str
    labels: Mapping[str, str]
    ports: tuple[tuple[str, int], ...]


def _made(key: Key, resource: Resource, owner: str, said: Described) -> Workload:
    annotations = resource.metadata.annotations
    tunnel: Tunnel | None = None
    if said.labels.get(TLS_MODE_LABEL) == "istio":
        tunnel = ""
    elif said.labels.get(TUNNEL_LABEL) == "http" or annotations.get(REDIRECTION_ANNOTATION) == "enabled":
        tunnel = "HBONE"
    sidecar = None
    if tunnel == "":
        explicit = annotations.get(CAPTURE_ANNOTATION) == "explicit"
        sidecar = Sidecar(
            namespace=key.namespace,
            workload=owner,
            service_account=said.service_account,
            labels=tuple(sorted(said.labels.items())),
            ports=said.ports,
            ipv6=any(":" in address for address in said.addresses),
            explicit=explicit,
            inbound=tuple(_mappings(annotations.get(INBOUND_ANNOTATION, ""))) if explicit else (),
            machine=key.kind == WorkloadEntry.kind,
        )
    gateway = said.labels.get(GATEWAY_NAME_LABEL, "")
    return Workload(key, said.addresses, said.service_account, said.labels, said.ports, tunnel, sidecar, gateway)


def _mappings(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        found = _MAPPING.match(part.strip())
        if found and all(1 <= int(number) <= _HIGHEST_PORT for number in found.groups()):
            yield int(found[1]), int(found[2])


def _publish(key: Key, workload: Workload | None) -> Published:
    if workload is None or workload.sidecar is None:
        return NOTHING
    place = SidecarPlace(workload.sidecar.table, key.namespace, workload.service_account)
    return Published(members=(((SIDECARS, ""), workload.sidecar),), sidecar=(key, place))


WORKLOAD: Stage[Key, Workload | None] = Stage(Rank.WORKLOAD, _workload, _publish)
"""By Pod or WorkloadEntry."""
