"""XBackends: external hosts with their own protocol and TLS.

Owns GEP-4894 (``apisx/v1alpha1/xbackend_types.go``): type ``ExternalHostname``, and the status of
the object for each Gateway with a route to it.
"""

from __future__ import annotations

from typing import Literal

from controller.resources import (
    EXPERIMENTAL_GROUP,
    BackendSpec,
    BackendTLS,
    BackendTLSPolicyValidation,
    XBackend,
)
from controller.store import Key
from controller.translate.backend_tls import tls_settings
from controller.translate.backend_tls_policy import ANCESTORS, MAX_ANCESTORS, gateway_reference
from controller.translate.backend_view import BackendId, BackendView, Transport, failing
from controller.translate.conditions import ConditionReason, ConditionType, Problem, fails, holds
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.hostnames import hostname_problem
from controller.translate.names import backend_key
from controller.translate.secret_refs import resolve_certificate
from controller.translate.service_backend import with_tls
from controller.translate.stages import Rank
from controller.translate.statuses import BackendAncestorStatus, BackendStatus
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason

_PROTOCOLS: dict[str, Literal["HTTP", "H2C"]] = {
    "HTTP": "HTTP",
    "HTTP11": "HTTP",
    "HTTP2": "H2C",
    "H2C": "H2C",
    "GRPC": "H2C",
}
_CONNECTIONS = "TCP"
"""The protocol of what is no HTTP."""
_TLS_MODES = ("None", "ServerOnly", "ClientAndServer")


def external_backend(reads: Reads, backend: BackendId) -> BackendView:
    """An XBackend as a backend."""
    key = backend.target
    found = reads.get(XBackend, key.namespace, key.name)
    if found is None:
        return failing(Problem(ConditionReason.BACKEND_NOT_FOUND, f"{key} does not exist"), Reason.BACKEND_NOT_FOUND)
    if backend.port != found.spec.port.port:
        message = f"{key} has port {found.spec.port.port}, not {backend.port}"
        return failing(Problem(ConditionReason.BACKEND_NOT_FOUND, message), Reason.BACKEND_PORT_INVALID)
    problem = _spec_problem(reads, found.spec)
    if not problem and found.spec.protocol == _CONNECTIONS and not backend.transport:
        message = f"{key} has protocol {_CONNECTIONS}: a TCPRoute or TLSRoute can refer to it"
        return failing(Problem(ConditionReason.UNSUPPORTED_PROTOCOL, message), Reason.BACKEND_PORT_INVALID)
    if problem or found.spec.external_hostname is None:
        message = f"{key} is not accepted: {problem}"
        return failing(Problem(ConditionReason.INVALID_BACKEND, message), Reason.BACKEND_KIND_UNSUPPORTED)
    hostname = found.spec.external_hostname.hostname
    resource = model.Backend(
        key=backend_key(key, backend.port, backend.variant, backend.transport),
        # Connections are carried as they are, whatever is spoken in them.
        protocol="HTTP" if backend.transport else _PROTOCOLS[found.spec.protocol or "HTTP"],
        destination=model.Destination(service=hostname, service_name=key.name, service_namespace=key.namespace),
    )
    tls = found.spec.tls
    if tls is None or tls.mode == "None":
        return BackendView(resource=resource)
    return _over_tls(reads, backend, resource, tls)


def _over_tls(reads: Reads, backend: BackendId, resource: model.Backend, tls: BackendTLS) -> BackendView:
    key = backend.target
    hostname = resource.destination.service
    validation = tls.validation or BackendTLSPolicyValidation(well_known_ca_certificates="System", hostname=hostname)
    settings = tls_settings(reads, key.namespace, validation)
    if tls.client_certificate_ref is None:
        return with_tls(reads, backend._replace(client_certificate=None), resource, settings, str(key))
    reason = ConditionReason.INVALID_CLIENT_CERTIFICATE_REF
    certificate, problem = resolve_certificate(reads, key, EXPERIMENTAL_GROUP, tls.client_certificate_ref, reason)
    if certificate is None:
        message = f"{key} cannot be reached: {problem.message if problem else 'it has no certificate'}"
        return failing(Problem(ConditionReason.INVALID_BACKEND_TLS, message), Reason.BACKEND_TLS_INVALID)
    secret = Key("Secret", *certificate.key.split("/")[1:])
    return with_tls(reads, backend._replace(client_certificate=secret), resource, settings, str(key))


def _spec_problem(reads: Reads, spec: BackendSpec) -> str:
    if spec.type != "ExternalHostname" or spec.external_hostname is None:
        return f"type {spec.type!r} is not supported: ExternalHostname, with externalHostname, is"
    hostname = spec.external_hostname.hostname
    problem = hostname_problem(hostname)
    if problem:
        return problem
    if hostname.endswith("." + reads.options.cluster_domain):
        return f"{hostname} is a name of the cluster: refer to the Service instead"
    if (spec.protocol or "HTTP") not in (*_PROTOCOLS, _CONNECTIONS):
        return f"protocol {spec.protocol} is not supported: {', '.join((*_PROTOCOLS, _CONNECTIONS))} are"
    return _tls_problem(spec.tls) if spec.tls else ""


def _tls_problem(tls: BackendTLS) -> str:
    if tls.mode not in _TLS_MODES:
        return f"tls.mode {tls.mode!r} is none of {', '.join(_TLS_MODES)}"
    if (tls.mode == "ClientAndServer") != (tls.client_certificate_ref is not None):
        return "tls.clientCertificateRef goes with tls.mode ClientAndServer, and only with it"
    return ""


def _status(key: Key, reads: Reads) -> BackendStatus | None:
    backend = reads.get(XBackend, key.namespace, key.name)
    gateways = sorted(reads.members(ANCESTORS, key))
    if backend is None or not gateways:
        return None
    transport: Transport = "TCP" if backend.spec.protocol == _CONNECTIONS else ""
    view = external_backend(reads, BackendId(key, backend.spec.port.port, transport=transport))
    generation = backend.metadata.generation
    accepted = (
        fails(ConditionType.ACCEPTED, ConditionReason.INVALID, view.problem.message, generation)
        if view.problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "routes can send traffic to it", generation)
    )
    return BackendStatus(
        ancestors=tuple(
            BackendAncestorStatus(
                controller_name=reads.options.controller_name,
                ancestor_ref=gateway_reference(gateway),
                conditions=(accepted,),
            )
            for gateway in gateways[:MAX_ANCESTORS]
        )
    )


def _publish(key: Key, status: BackendStatus | None) -> Published:
    return Published(status=(key, status)) if status else NOTHING


XBACKEND_STATUS: Stage[Key, BackendStatus | None] = Stage(Rank.XBACKEND_STATUS, _status, _publish)
