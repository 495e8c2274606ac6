"""Gateway API objects as plain dictionaries, and the files that hold them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.certificates import Issued

Manifest = dict[str, Any]

GATEWAY_API = "gateway.networking.k8s.io/v1"
EXPERIMENTAL_API = "gateway.networking.x-k8s.io/v1alpha1"
SEKISHO_API = "sekisho.dev/v1alpha1"
CONTROLLER = "sekisho.dev/gateway-controller"
SERVICE_PORT = 80


def manifest(api_version: str, kind: str, name: str, namespace: str | None = "default", **fields: Any) -> Manifest:
    """Any object: ``fields`` are its top-level fields, such as ``spec`` or ``data``."""
    metadata: Manifest = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def gateway_class(name: str = "sekisho", *, parameters: str | None = None) -> Manifest:
    spec: Manifest = {"controllerName": CONTROLLER}
    if parameters is not None:
        spec["parametersRef"] = {
            "group": "sekisho.dev",
            "kind": "GatewayParameters",
            "name": parameters,
            "namespace": "default",
        }
    return manifest(GATEWAY_API, "GatewayClass", name, None, spec=spec)


def gateway(
    *listeners: Manifest, name: str = "edge", namespace: str = "default", parameters: str | None = None
) -> Manifest:
    spec: Manifest = {"gatewayClassName": "sekisho", "listeners": list(listeners)}
    if parameters is not None:
        spec["infrastructure"] = {
            "parametersRef": {"group": "sekisho.dev", "kind": "GatewayParameters", "name": parameters}
        }
    return manifest(GATEWAY_API, "Gateway", name, namespace, spec=spec)


def parameters(
    name: str = "edge", *, trusted_hops: int | None = None, limits: Mapping[str, Any] | None = None
) -> Manifest:
    spec: Manifest = {}
    if trusted_hops is not None:
        spec["trustedHops"] = trusted_hops
    if limits:
        spec["limits"] = dict(limits)
    return manifest(SEKISHO_API, "GatewayParameters", name, spec=spec)


def http_listener(port: int, name: str = "http", hostname: str | None = None) -> Manifest:
    listener: Manifest = {
        "name": name,
        "port": port,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    if hostname is not None:
        listener["hostname"] = hostname
    return listener


def https_listener(port: int, *secrets: str, name: str = "https", hostname: str | None = None) -> Manifest:
    listener = http_listener(port, name, hostname)
    listener["protocol"] = "HTTPS"
    listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": secret} for secret in secrets]}
    return listener


def parent(name: str = "edge", section: str | None = None, namespace: str | None = None) -> Manifest:
    reference: Manifest = {"name": name}
    if section is not None:
        reference["sectionName"] = section
    if namespace is not None:
        reference["namespace"] = namespace
    return reference


def http_route(
    name: str,
    *rules: Manifest,
    hosts: Sequence[str] = (),
    parents: Sequence[Manifest] | None = None,
    namespace: str = "default",
) -> Manifest:
    spec: Manifest = {"parentRefs": list(parents or [parent()]), "rules": list(rules)}
    if hosts:
        spec["hostnames"] = list(hosts)
    return manifest(GATEWAY_API, "HTTPRoute", name, namespace, spec=spec)


def grpc_route(
    name: str,
    *rules: Manifest,
    hosts: Sequence[str] = (),
    parents: Sequence[Manifest] | None = None,
    namespace: str = "default",
) -> Manifest:
    route = http_route(name, *rules, hosts=hosts, parents=parents, namespace=namespace)
    route["kind"] = "GRPCRoute"
    return route


def rule(
    *backends: Manifest | str,
    matches: Sequence[Manifest] = (),
    filters: Sequence[Manifest] = (),
    **more: Any,
) -> Manifest:
    """One rule; a backend given by name is that Service on :data:`SERVICE_PORT`."""
    built: Manifest = dict(more)
    if matches:
        built["matches"] = list(matches)
    if filters:
        built["filters"] = list(filters)
    if backends:
        built["backendRefs"] = [backend if isinstance(backend, dict) else backend_ref(backend) for backend in backends]
    return built


def backend_ref(
    name: str,
    *,
    port: int | None = SERVICE_PORT,
    weight: int | None = None,
    filters: Sequence[Manifest] = (),
    **more: Any,
) -> Manifest:
    reference: Manifest = {"name": name, **more}
    if port is not None:
        reference["port"] = port
    if weight is not None:
        reference["weight"] = weight
    if filters:
        reference["filters"] = list(filters)
    return reference


def path_match(value: str, kind: str = "PathPrefix", **more: Any) -> Manifest:
    return {"path": {"type": kind, "value": value}, **more}


def exact_path(value: str, **more: Any) -> Manifest:
    return path_match(value, "Exact", **more)


def service(
    name: str,
    *,
    port: int = SERVICE_PORT,
    app_protocol: str | None = None,
    namespace: str = "default",
    external_name: str | None = None,
) -> Manifest:
    service_port: Manifest = {"name": "main", "port": port}
    if app_protocol is not None:
        service_port["appProtocol"] = app_protocol
    spec: Manifest = {"ports": [service_port]}
    if external_name is not None:
        spec |= {"type": "ExternalName", "externalName": external_name}
    return manifest("v1", "Service", name, namespace, spec=spec)


def endpoint_slice(service_name: str, *ports: int, namespace: str = "default", ready: bool = True) -> list[Manifest]:
    """Slices with one endpoint on loopback for each port; none at all is one empty slice."""
    slices = []
    for index, port in enumerate(ports or (1,)):
        item = manifest("discovery.k8s.io/v1", "EndpointSlice", f"{service_name}-{index}", namespace)
        item["metadata"]["labels"] = {"kubernetes.io/service-name": service_name}
        item["addressType"] = "IPv4"
        item["ports"] = [{"name": "main", "port": port}]
        item["endpoints"] = [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}] if ports else []
        slices.append(item)
    return slices


def backend(
    name: str, *ports: int, app_protocol: str | None = None, namespace: str = "default", ready: bool = True
) -> list[Manifest]:
    """A Service whose endpoints are processes of this machine."""
    return [
        service(name, app_protocol=app_protocol, namespace=namespace),
        *endpoint_slice(name, *ports, namespace=namespace, ready=ready),
    ]


def tls_secret(name: str, issued: Issued, namespace: str = "default") -> Manifest:
    data = {
        "tls.crt": base64.b64encode(issued.chain.encode()).decode(),
        "tls.key": base64.b64encode(issued.private_key.encode()).decode(),
    }
    return manifest("v1", "Secret", name, namespace, type="kubernetes.io/tls", data=data)


def authority_config_map(name: str, pem: str, namespace: str = "default") -> Manifest:
    return manifest("v1", "ConfigMap", name, namespace, data={"ca.crt": pem})


def backend_tls_policy(
    name: str,
    service_name: str,
    hostname: str,
    *authorities: str,
    alternative_names: Sequence[Manifest] = (),
    namespace: str = "default",
) -> Manifest:
    validation: Manifest = {"hostname": hostname}
    if authorities:
        validation["caCertificateRefs"] = [{"group": "", "kind": "ConfigMap", "name": item} for item in authorities]
    else:
        validation["wellKnownCACertificates"] = "System"
    if alternative_names:
        validation["subjectAltNames"] = list(alternative_names)
    spec = {"targetRefs": [{"group": "", "kind": "Service", "name": service_name}], "validation": validation}
    return manifest(GATEWAY_API, "BackendTLSPolicy", name, namespace, spec=spec)


def external_backend(name: str, hostname: str, port: int, protocol: str | None = None) -> Manifest:
    spec: Manifest = {
        "type": "ExternalHostname",
        "port": {"port": port},
        "externalHostname": {"hostname": hostname},
    }
    if protocol is not None:
        spec["protocol"] = protocol
    return manifest(EXPERIMENTAL_API, "XBackend", name, spec=spec)


def external_ref(name: str, **more: Any) -> Manifest:
    return backend_ref(name, port=None, group="gateway.networking.x-k8s.io", kind="XBackend", **more)


def reference_grant(name: str, namespace: str, *, from_kind: str, from_namespace: str, to_kind: str) -> Manifest:
    source = {"group": "gateway.networking.k8s.io", "kind": from_kind, "namespace": from_namespace}
    spec = {"from": [source], "to": [{"group": "", "kind": to_kind}]}
    return manifest(GATEWAY_API, "ReferenceGrant", name, namespace, spec=spec)


def namespace(name: str, **labels: str) -> Manifest:
    item = manifest("v1", "Namespace", name, None)
    item["metadata"]["labels"] = labels
    return item


def as_yaml(manifests: Iterable[Manifest]) -> str:
    return yaml.safe_dump_all(manifests, sort_keys=False)


def write(path: Path, manifests: Iterable[Manifest] | str) -> None:
    """Replace the file in one step, so that no reader sees half of it."""
    text = manifests if isinstance(manifests, str) else as_yaml(manifests)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
