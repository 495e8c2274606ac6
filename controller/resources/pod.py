"""Pod (Kubernetes ``core/v1``): a workload of the mesh, as far as its address, labels, account and ports go.

Owns what is kept of it. Nobody writes a Pod for a gateway to read, so whatever else it holds is no mistake and is not
kept: a change of a container's status changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from controller.resources.metadata import Resource
from controller.resources.schema import Struct

_PORT_FIELDS = ("name", "containerPort", "protocol")


class ContainerPort(Struct, frozen=True, kw_only=True):
    """A port that a container names; ``targetPort`` of a Service may be the name."""

    name: str = ""
    container_port: int
    protocol: str = "TCP"


class PodSpec(Struct, frozen=True, kw_only=True):
    """``ports`` are those of all containers."""

    service_account_name: str = "default"
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()


class PodStatus(Struct, frozen=True, kw_only=True):
    """``addresses``: IP addresses, one of each family."""

    phase: str = ""
    addresses: tuple[str, ...] = ()


class Pod(Resource, frozen=True, kw_only=True):
    """A pod."""

    ignored: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "Pod"

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
    owner: str = ""
    """The name of the controller that made it, such as its ReplicaSet; empty without one."""

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """What is read of a Pod, out of where Kubernetes keeps it."""
        metadata = document.get("metadata")
        return {
            **{name: value for name, value in document.items() if name in ("apiVersion", "kind", "metadata")},
            "spec": _spec(document.get("spec")),
            "status": _status(document.get("status")),
            "owner": next(_owners(metadata), ""),
        }


def _spec(spec: object) -> dict[str, Any]:
    found: dict[str, Any] = {"ports": list(_ports(spec))}
    if isinstance(spec, dict):
        if isinstance(spec.get("serviceAccountName"), str) and spec["serviceAccountName"]:
            found["serviceAccountName"] = spec["serviceAccountName"]
        if spec.get("hostNetwork") is True:
            found["hostNetwork"] = True
    return found


def _ports(spec: object) -> Iterator[dict[str, Any]]:
    for containers in ("containers", "initContainers"):
        for container in _items(spec, containers):
            for port in _items(container, "ports"):
                if isinstance(port, dict) and type(port.get("containerPort")) is int:
                    yield {name: port[name] for name in _PORT_FIELDS if port.get(name) is not None}


def _status(status: object) -> dict[str, Any]:
    if not isinstance(status, dict):
        return {}
    addresses = [item.get("ip") for item in _items(status, "podIPs") if isinstance(item, dict)]
    addresses = [address for address in [*addresses, status.get("podIP")] if isinstance(address, str) and address]
    phase = status.get("phase")
    return {"phase": phase if isinstance(phase, str) else "", "addresses": list(dict.fromkeys(addresses))}


def _owners(metadata: object) -> Iterator[str]:
    for owner in _items(metadata, "ownerReferences"):
        if isinstance(owner, dict) and owner.get("controller") is True and isinstance(owner.get("name"), str):
            yield owner["name"]


def _items(holder: object, field: str) -> list[Any]:
    found = holder.get(field) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []
