"""Manifests of Ingresses, and a gateway that serves them on ports 80 and 443 with an offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.edge import Edge
from tests.support.manifests import Manifest, manifest
from tests.support.ports import free_offset
from tests.support.sekisho import Sekisho

INGRESS_API = "networking.k8s.io/v1"
CONTROLLER = "sekisho.dev/ingress-controller"


def ingress_path(service: str, path: str = "/", kind: str = "Prefix", *, port: int | str = 80) -> Manifest:
    """A path, and the Service behind it."""
    named = {"name": port} if isinstance(port, str) else {"number": port}
    return {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": named}}}


def ingress(
    name: str,
    hosts: Sequence[str],
    *paths: Manifest,
    tls: Sequence[Manifest] = (),
    annotations: dict[str, str] | None = None,
    class_name: str | None = "sekisho",
    **spec: Any,
) -> Manifest:
    """An Ingress with the same paths for each host; names of annotations without their prefix are ingress-nginx's."""
    rules: list[Manifest] = [
        {**({"host": host} if host else {}), "http": {"paths": list(paths)}} for host in hosts if paths
    ]
    if class_name:
        spec["ingressClassName"] = class_name
    if tls:
        spec["tls"] = list(tls)
    if rules:
        spec["rules"] = rules
    built = manifest(INGRESS_API, "Ingress", name, spec=spec)
    if annotations:
        prefix = "nginx.ingress.kubernetes.io/"
        built["metadata"]["annotations"] = {
            key if "/" in key else prefix + key: value for key, value in annotations.items()
        }
    return built


def ingress_class(name: str, *, gateway: tuple[str, str] | None = None, controller: str = CONTROLLER) -> Manifest:
    """A class; ``gateway`` is the namespace and name of the one that serves it."""
    spec: Manifest = {"controller": controller}
    if gateway is not None:
        spec["parameters"] = {
            "apiGroup": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "scope": "Namespace",
            "namespace": gateway[0],
            "name": gateway[1],
        }
    return manifest(INGRESS_API, "IngressClass", name, None, spec=spec)


@contextmanager
def open_ingress(
    directory: Path, manifests: Iterable[Manifest], *, arguments: Sequence[str | Path] = ()
) -> Iterator[Edge]:
    """Run a gateway whose ports 80 and 443 are moved to free ones."""
    offset = free_offset(80, 443)
    sekisho = Sekisho(directory, arguments=["--port-offset", str(offset), *arguments])
    sekisho.write(manifests, "routes")
    with sekisho:
        yield Edge(sekisho, 80 + offset, 443 + offset)
