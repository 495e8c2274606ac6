"""Endpoints of a backend: the only thing that changes when pods come and go.

Owns the reading of EndpointSlices (Kubernetes ``discovery/v1``): readiness, named ports, the first
address of each endpoint; and which endpoints are in the mesh. An external host is one endpoint whose name the gateway
resolves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from controller.resources import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort, XBackend
from controller.store import Key
from controller.translate.denied_identities import denied_identities
from controller.translate.gateway import MUTUAL_TLS_PORTS
from controller.translate.graph import Reads, Stage
from controller.translate.hostnames import hostname_problem
from controller.translate.indexes import MACHINES, SLICES, WORKLOADS
from controller.translate.stages import Rank
from controller.translate.workload import WORKLOAD, Workload
from gateway.routing_table import model
from gateway.routing_table.validate import is_ip_address

MAX_PORT = 65535

Target = tuple[Key, int, str]


def _endpoints(target: Target, reads: Reads) -> tuple[model.Endpoint, ...]:
    key, port, transport = target
    if key.kind == XBackend.kind:
        backend = reads.get(XBackend, key.namespace, key.name)
        if backend is None or backend.spec.external_hostname is None:
            return ()
        return (model.Endpoint(address=backend.spec.external_hostname.hostname, port=port),)
    service = reads.get(Service, key.namespace, key.name)
    if service is None:
        return ()
    service_port = next((one for one in service.spec.ports if one.port == port and one.protocol == transport), None)
    if service.spec.type == "ExternalName":
        number = _target_number(service_port) if service_port else port
        return (model.Endpoint(address=external_host(service), port=number),)
    if service_port is None:
        return ()
    slices = [
        endpoint_slice
        for slice_key in reads.referring(SLICES, (key.namespace, key.name))
        if (endpoint_slice := reads.get(EndpointSlice, slice_key.namespace, slice_key.name)) is not None
    ]
    machines = tuple(_machines(reads, key, service, service_port)) if reads.options.mesh else ()
    return _sliced(slices, service_port, machines)


def _machines(reads: Reads, key: Key, service: Service, port: ServicePort) -> Iterator[tuple[str, int]]:
    """WorkloadEntries that the Service selects: no EndpointSlice tells of them."""
    for entry_key in reads.referring(MACHINES, key.namespace) if service.spec.selector else ():
        machine = reads.result(WORKLOAD, entry_key)
        if machine is None or not _is_selected(service, machine.labels):
            continue
        number = dict(machine.ports).get(port.name) or _target_number(port)
        for address in machine.addresses:
            yield address, number


def _is_selected(service: Service, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in service.spec.selector.items())


def external_host(service: Service) -> str:
    """The host that a Service of type ExternalName stands for."""
    return service.spec.external_name.lower().rstrip(".")


def _target_number(port: ServicePort) -> int:
    number = port.target_port
    return number if isinstance(number, int) and 0 < number <= MAX_PORT else port.port


def _sliced(
    slices: Sequence[EndpointSlice], service_port: ServicePort, machines: Sequence[tuple[str, int]]
) -> tuple[model.Endpoint, ...]:
    candidates = [pair for endpoint_slice in slices for pair in _of_slice(endpoint_slice, service_port)]
    chosen = [pair for pair in candidates if pair[0].conditions.ready is not False]
    if not chosen:
        # As kube-proxy does: while a whole Service shuts down, endpoints that still serve are better than none.
        chosen = [pair for pair in candidates if pair[0].conditions.serving and pair[0].conditions.terminating]
    found = {(endpoint.addresses[0].lower(), number) for endpoint, number in chosen} | {*machines}
    return tuple(model.Endpoint(address=address, port=number) for address, number in sorted(found))


def _of_slice(endpoint_slice: EndpointSlice, service_port: ServicePort) -> Iterator[tuple[Endpoint, int]]:
    if endpoint_slice.address_type not in ("IPv4", "IPv6", "FQDN"):
        return
    port = next((one for one in endpoint_slice.ports if _is_port(one, service_port)), None)
    if port is None:
        return
    for endpoint in endpoint_slice.endpoints:
        # One address that cannot be dialled must not cost the others.
        if endpoint.addresses and _is_dialable(endpoint.addresses[0].lower()):
            yield endpoint, port.port or _target_number(service_port)


def _is_dialable(address: str) -> bool:
    return is_ip_address(address) or not hostname_problem(address)


def _is_port(port: EndpointPort, service_port: ServicePort) -> bool:
    return port.name == service_port.name and port.protocol == service_port.protocol


ENDPOINTS: Stage[Target, tuple[model.Endpoint, ...]] = Stage(Rank.ENDPOINTS, _endpoints)
"""By Service or XBackend, port, and TCP or UDP."""


def _mesh_endpoints(target: Target, reads: Reads) -> tuple[model.Endpoint, ...]:
    endpoints = tuple(_with_peer(reads, endpoint) for endpoint in reads.result(ENDPOINTS, target))
    denied = denied_identities(reads).principals
    if not denied:
        return endpoints
    return tuple(one for one in endpoints if one.peer is None or one.peer.identity not in denied)


def _with_peer(reads: Reads, endpoint: model.Endpoint) -> model.Endpoint:
    """Who answers at an address is known by the workload that has it; where several say so, by the first."""
    for key in reads.referring(WORKLOADS, endpoint.address):
        workload = reads.result(WORKLOAD, key)
        if workload is None:
            continue
        tunnel = workload.tunnel
        if tunnel is None and _takes_mutual_tls(reads, workload, endpoint.port):
            tunnel = ""
        if tunnel is not None:
            return msgspec.structs.replace(endpoint, peer=workload.peer(reads.options.trust_domain, tunnel))
    return endpoint


def _takes_mutual_tls(reads: Reads, workload: Workload, port: int) -> bool:
    """Whether it is a Gateway's pod, and something goes out by this port of it."""
    if not workload.gateway:
        return False
    return port in reads.members(MUTUAL_TLS_PORTS, (workload.key.namespace, workload.gateway))


MESH_ENDPOINTS: Stage[Target, tuple[model.Endpoint, ...]] = Stage(Rank.MESH_ENDPOINTS, _mesh_endpoints)
"""The same, and which of them are in the mesh; whoever the authority denies is none."""
