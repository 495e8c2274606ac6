"""A port of a Service as a backend: protocol, TLS, or why nothing can be sent to it.

Owns ``appProtocol`` (GEP-1911), ExternalName, and the policy that governs the port. Endpoints are
not its business: they change without it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from controller.resources import Service, ServicePort
from controller.store import Key
from controller.translate.backend_tls import TLSSettings
from controller.translate.backend_tls_policy import TLS_POLICY, governing_policy
from controller.translate.backend_view import BackendId, BackendView, Transport, failing, internal_error
from controller.translate.certificates import CERTIFICATE
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.endpoints import external_host
from controller.translate.graph import Reads
from controller.translate.hostnames import hostname_problem
from controller.translate.names import backend_key
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason
from gateway.routing_table.validate import is_ip_address

Protocol = Literal["HTTP", "H2C", "WS"]

_PROTOCOLS: dict[str, Protocol] = {
    "": "HTTP",
    "http": "HTTP",
    "https": "HTTP",
    "h2c": "H2C",
    "http2": "H2C",
    "grpc": "H2C",
    "ws": "WS",
    "wss": "WS",
}
"""Application protocols (IANA names and those of KEP-3726 without ``kubernetes.io/``), in lower case."""
_OVER_TLS = frozenset({"https", "wss"})
_STANDARD_PREFIX = "kubernetes.io/"


def service_backend(reads: Reads, backend: BackendId) -> BackendView:
    """One port of a Service."""
    key = backend.target
    service = reads.get(Service, key.namespace, key.name)
    if service is None:
        return failing(Problem(ConditionReason.BACKEND_NOT_FOUND, f"{key} does not exist"), Reason.BACKEND_NOT_FOUND)
    external = service.spec.type == "ExternalName"
    refusal = _external_problem(reads, key, service) if external else None
    if refusal:
        return failing(refusal, Reason.BACKEND_KIND_UNSUPPORTED)
    port = _port(service, backend.port, service_protocol(backend.transport))
    if isinstance(port, Problem):
        return failing(_about(key, port), Reason.BACKEND_PORT_INVALID)
    host = external_host(service) if external else f"{key.name}.{key.namespace}.svc.{reads.options.cluster_domain}"
    resource = model.Backend(
        key=backend_key(key, backend.port, backend.variant, backend.transport),
        destination=model.Destination(service=host, service_name=key.name, service_namespace=key.namespace),
    )
    if backend.transport in ("TCP", "UDP"):
        return BackendView(resource=resource)
    return _governed(reads, backend, resource, port)


def service_protocol(transport: Transport) -> Literal["TCP", "UDP"]:
    """The protocol of the Service ports that a transport can use."""
    return "UDP" if transport == "UDP" else "TCP"


def _governed(reads: Reads, backend: BackendId, resource: model.Backend, port: ServicePort) -> BackendView:
    key = backend.target
    policy = governing_policy(reads, key, port.name)
    settings = reads.result(TLS_POLICY, policy) if policy else None
    if not backend.transport:
        protocol = _protocol(port, has_tls=settings is not None)
        if isinstance(protocol, Problem):
            return failing(_about(key, protocol), Reason.BACKEND_PORT_INVALID)
        resource = msgspec.structs.replace(resource, protocol=protocol)
    if policy is None or settings is None:
        return BackendView(resource=resource)
    return with_tls(reads, backend, resource, settings, source=str(policy))


def _external_problem(reads: Reads, key: Key, service: Service) -> Problem | None:
    if not reads.options.external_names:
        message = f"{key} is of type ExternalName, which is not followed here: describe the host with an XBackend"
        return Problem(ConditionReason.INVALID_KIND, message)
    host = external_host(service)
    if is_ip_address(host) or not hostname_problem(host):
        return None
    message = f"{key} has the externalName {service.spec.external_name!r}, neither a DNS name nor an address"
    return Problem(ConditionReason.INVALID_KIND, message)


def with_tls(
    reads: Reads, backend: BackendId, resource: model.Backend, settings: TLSSettings, source: str
) -> BackendView:
    """The backend spoken to over TLS, or failing if the settings (of ``source``) cannot be honoured."""
    if settings.problem is not None:
        message = f"{source} cannot be honoured: {settings.problem.message}"
        return BackendView(
            resource=msgspec.structs.replace(resource, failure=internal_error(Reason.BACKEND_TLS_INVALID, message)),
            problem=Problem(ConditionReason.INVALID_BACKEND_TLS, message),
        )
    certificate = (
        reads.result(CERTIFICATE, backend.client_certificate).certificate if backend.client_certificate else None
    )
    tls = msgspec.structs.replace(settings.tls, client_certificate=certificate.key) if certificate else settings.tls
    return BackendView(
        resource=msgspec.structs.replace(resource, tls=tls),
        trust_bundles=settings.trust_bundles,
        certificates=(certificate,) if certificate else (),
    )


def _about(key: Key, problem: Problem) -> Problem:
    return Problem(problem.reason, f"{key} {problem.message}")


def _port(service: Service, number: int, transport: str) -> ServicePort | Problem:
    ports = [port for port in service.spec.ports if port.port == number]
    fitting = next((port for port in ports if port.protocol == transport), None)
    if fitting is not None:
        return fitting
    if ports:
        return Problem(ConditionReason.UNSUPPORTED_PROTOCOL, f"has port {number} for {ports[0].protocol} only")
    if service.spec.type == "ExternalName" and not service.spec.ports:
        return ServicePort(port=number)
    known = ", ".join(str(port.port) for port in service.spec.ports) or "none"
    return Problem(ConditionReason.BACKEND_NOT_FOUND, f"has no port {number}; its ports: {known}")


def _protocol(port: ServicePort, *, has_tls: bool) -> Protocol | Problem:
    name = (port.app_protocol or "").lower().removeprefix(_STANDARD_PREFIX)
    protocol = _PROTOCOLS.get(name)
    if protocol is None:
        return Problem(
            ConditionReason.UNSUPPORTED_PROTOCOL,
            f"has appProtocol {port.app_protocol!r} on port {port.port}, which is not supported:"
            " http, https, kubernetes.io/h2c, kubernetes.io/ws, kubernetes.io/wss and grpc are",
        )
    if name in _OVER_TLS and not has_tls:
        return Problem(
            ConditionReason.UNSUPPORTED_PROTOCOL,
            f"has appProtocol {port.app_protocol} on port {port.port}, and no BackendTLSPolicy targets it",
        )
    return protocol
