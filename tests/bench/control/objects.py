"""The Kubernetes objects of the benchmark. Backends are the benchmark's own process, on the node's address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.manifests import GATEWAY_API, Manifest, manifest

SPACE = "bench"
GATEWAY = "edge"
NODE_ADDRESS = "10.244.0.1"
"""The bridge of the one-machine cluster: pods reach the node by it."""
BACKEND_PORTS = (18081, 18082)
SERVICE_PORTS = (80, 81)
MARK = "x-bench"
BACKEND_MARK = "x-bench-backend"
"""Request headers that filters of a rule, and of a backend in it, set; the backend repeats them in its answer. Two,
because the API does not say which filter comes last."""


def gateway(class_name: str) -> Manifest:
    listener = {
        "name": "http",
        "port": 80,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return manifest(
        GATEWAY_API, "Gateway", GATEWAY, SPACE, spec={"gatewayClassName": class_name, "listeners": [listener]}
    )


def namespace(name: str) -> Manifest:
    return manifest("v1", "Namespace", name, None)


def service(name: str, space: str = SPACE) -> Manifest:
    """Headless and without selector: neither the node nor a controller of Kubernetes has work with it."""
    ports = [{"name": f"p{port}", "port": port} for port in SERVICE_PORTS]
    return manifest("v1", "Service", name, space, spec={"clusterIP": "None", "ports": ports})


def endpoints(name: str, space: str = SPACE, ports: tuple[int, ...] = BACKEND_PORTS) -> Manifest:
    found = manifest(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{name}-1",
        space,
        addressType="IPv4",
        endpoints=[{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        ports=[
            {"name": f"p{number}", "port": port, "protocol": "TCP"}
            for number, port in zip(SERVICE_PORTS, ports, strict=True)
        ],
    )
    found["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return found


def route(name: str, *, host: str, backend: str, space: str = SPACE, rule: Mapping[str, Any] | None = None) -> Manifest:
    """A route of one host; ``rule`` is merged over its only rule."""
    only: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": backend, "port": SERVICE_PORTS[0]}],
        **(rule or {}),
    }
    spec = {"parentRefs": [{"name": GATEWAY, "namespace": SPACE}], "hostnames": [host], "rules": [only]}
    return manifest(GATEWAY_API, "HTTPRoute", name, space, spec=spec)


def marked(value: str, name: str = MARK) -> dict[str, Any]:
    """A filter that sets a mark."""
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": value}]}}
