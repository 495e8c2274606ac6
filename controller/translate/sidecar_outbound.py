"""Sidecars: what the workloads of a namespace may call, the same for all of them.

Owns the listeners for a Service's addresses, and what stands behind them: the routes that are attached to the Service
as clients of this namespace see them, or else the Service itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from controller.resources import Service
from controller.store import Key
from controller.translate.backend_view import BackendId
from controller.translate.backends import BACKEND, named_for, placed, placed_resources
from controller.translate.destinations import DESTINATIONS, Destination, granted
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.hostnames import ANY
from controller.translate.names import backend_key, object_name
from controller.translate.service_routes import routes_of_service
from controller.translate.sidecar import (
    CLIENTS,
    IPV4,
    IPV6,
    OUTBOUND_PORT,
    Client,
    Resource,
    explicit_listener,
    gateway_key,
)
from controller.translate.stages import Rank
from gateway.routing_table import model

CALLED = "called"
"""Collection: pairs of a namespace of clients and a backend that they call."""

Callee = tuple[str, Key]
"""A namespace of clients, and a Service."""
Protocol = Literal["HTTP", "TLS", "TCP"]


class _Behind(NamedTuple):
    """What is behind a listener: its protocol, the routes by the keys of their listeners, and their backends."""

    protocol: Protocol
    routes: tuple[Resource, ...]
    backends: tuple[BackendId, ...]


class Calls(msgspec.Struct, frozen=True):
    """What is in the tables of a namespace for a Service."""

    clients: tuple[Client, ...] = ()
    ipv4: tuple[Resource, ...] = ()
    ipv6: tuple[Resource, ...] = ()
    explicit: tuple[Resource, ...] = ()
    backends: tuple[BackendId, ...] = ()


def _calls(callee: Callee, reads: Reads) -> Calls:
    namespace, key = callee
    service = reads.get(Service, key.namespace, key.name)
    clients: tuple[Client, ...] = tuple(sorted(reads.members(CLIENTS, namespace)))
    if service is None or not clients:
        return Calls()
    made = _Made(namespace, key, reads)
    destinations = [one for every in reads.result(DESTINATIONS, key).every if (one := granted(reads, key, every))]
    ipv4 = tuple(made.listening(destinations, IPV4))
    ipv6 = tuple(made.listening(destinations, IPV6)) if any(client.ipv6 for client in clients) else ()
    explicit = tuple(made.by_host(service)) if any(client.explicit for client in clients) else ()
    return Calls(clients, ipv4, ipv6, explicit, tuple(dict.fromkeys(made.backends)))


class _Made:
    """Makes the resources of one Service for one namespace, and remembers the backends that they need."""

    def __init__(self, namespace: str, key: Key, reads: Reads) -> None:
        self._namespace = namespace
        self._key = key
        self._reads = reads
        self.backends: list[BackendId] = []

    def listening(self, destinations: Sequence[Destination], address: str) -> Iterator[Resource]:
        """Listeners for the addresses of one family, with what is behind them."""
        for destination in destinations:
            addresses = tuple(one for one in destination.addresses if (":" in one) == (address == IPV6))
            if not addresses:
                continue
            direct = f"/{addresses[0]}:{destination.port}" if destination.endpoint is not None else ""
            suffix = "@::" if address == IPV6 and not direct else ""
            name = f"{object_name(self._key)}/{destination.service_port}{direct}{suffix}"
            listener = f"{gateway_key(self._namespace)}/outbound/{name}"
            behind = self._behind(destination, listener, name)
            yield (
                "listeners",
                model.Listener(
                    key=listener,
                    gateway=gateway_key(self._namespace),
                    address=address,
                    port=destination.port,
                    bind_port=OUTBOUND_PORT,
                    protocol=behind.protocol,
                    tls_mode="Passthrough" if behind.protocol == "TLS" else "Terminate",
                    captured=model.Captured(addresses=addresses),
                ),
            )
            yield from behind.routes
            self.backends += behind.backends

    def by_host(self, service: Service) -> Iterator[Resource]:
        """The Service's first port for HTTP, by all of the Service's names, on the listener of applications."""
        reads, key = self._reads, self._key
        http = [one for one in reads.result(DESTINATIONS, key).every if one.carries != "TCP"]
        if not http or service.spec.type == "ExternalName":
            return
        port = http[0].service_port
        short = (key.name,) if key.namespace == self._namespace else ()
        full = f"{key.name}.{key.namespace}"
        names = (*short, full, f"{full}.svc", f"{full}.svc.{reads.options.cluster_domain}")
        listener = explicit_listener(self._namespace).key
        behind = self._behind(http[0]._replace(endpoint=None), listener, f"{object_name(key)}/{port}")
        if behind.protocol != "HTTP":
            return  # Connections name no host by which one Service is told from another.
        for field, resource in behind.routes:
            if isinstance(resource, model.Route):
                attachments = (model.Attachment(listener=listener, hostnames=names),)
                # A route may be attached to several Services, and all of them are on this one listener.
                its = f"{resource.key}/{object_name(key)}"
                yield field, msgspec.structs.replace(resource, key=its, attachments=attachments)
        self.backends += behind.backends

    def _behind(self, destination: Destination, listener: str, name: str) -> _Behind:
        if destination.endpoint is not None:
            return self._endpoint(destination, destination.endpoint, listener, name)
        attached = routes_of_service(self._reads, self._key, destination.service_port, self._namespace)
        if attached is not None:
            routes: tuple[Resource, ...] = tuple(("routes", route) for route in attached.attached(listener))
            return _Behind(attached.protocol, routes, attached.backends)
        backend = self._backend(destination)
        http = backend.transport == ""
        key = backend_key(backend.target, backend.port, backend.variant, backend.transport)
        return _Behind(
            "HTTP" if http else "TCP", (("routes", self._route(listener, name, key, http=http)),), (backend,)
        )

    def _backend(self, destination: Destination) -> BackendId:
        if destination.carries != "TCP":
            backend = BackendId(self._key, destination.service_port)
            if self._reads.result(BACKEND, backend).problem is None:
                return backend
        return BackendId(self._key, destination.service_port, transport="TCP")

    def _endpoint(self, destination: Destination, endpoint: model.Endpoint, listener: str, name: str) -> _Behind:
        """One endpoint and no other: whoever dials it means it."""
        backend = self._backend(destination)
        view = self._reads.result(BACKEND, backend)
        if view.resource is None:
            return _Behind("TCP", (), ())
        resource = view.resource
        if resource.tls is None:
            resource = named_for(resource, destination.service_port, (endpoint,))
        else:
            endpoint = msgspec.structs.replace(endpoint, peer=None)
        key = f"{resource.key}@{endpoint.address}:{endpoint.port}"
        resources: list[Resource] = [
            ("backends", msgspec.structs.replace(resource, key=key)),
            ("endpoints", model.Endpoints(key=key, endpoints=(endpoint,))),
        ]
        resources += [("trust_bundles", bundle) for bundle in view.trust_bundles]
        http = backend.transport == ""
        resources.append(("routes", self._route(listener, name, key, http=http)))
        return _Behind("HTTP" if http else "TCP", tuple(resources), ())

    def _route(self, listener: str, name: str, backend: str, *, http: bool) -> model.Route:
        return model.Route(
            key=f"Service/{name}",
            kind="HTTPRoute" if http else "TCPRoute",
            object=object_name(self._key),
            rule=0,
            attachments=(model.Attachment(listener=listener, hostnames=(ANY,)),),
            matches=(model.Match(),) if http else (),
            backends=(model.WeightedBackend(backend=backend),),
        )


def _publish(callee: Callee, calls: Calls) -> Published:
    if not calls.clients:
        return NOTHING
    resources = [
        (client.table, field, resource)
        for client in calls.clients
        for field, resource in (
            calls.explicit if client.explicit else (*calls.ipv4, *calls.ipv6) if client.ipv6 else calls.ipv4
        )
    ]
    return Published(
        members=tuple(((CALLED, ""), (callee[0], backend)) for backend in calls.backends),
        resources=tuple(resources),
    )


CALLS: Stage[Callee, Calls] = Stage(Rank.CALLS, _calls, _publish)
"""By namespace of clients and Service."""

Called = tuple[str, BackendId]


class _Placed(msgspec.Struct, frozen=True):
    tables: tuple[str, ...]
    resources: tuple[Resource, ...]


def _called(called: Called, reads: Reads) -> _Placed:
    namespace, backend = called
    clients: list[Client] = sorted(reads.members(CLIENTS, namespace))
    resources = placed_resources(placed(reads, backend))
    return _Placed(tuple(client.table for client in clients), tuple(resources))


def _publish_called(_called: Called, found: _Placed) -> Published:
    return Published(
        resources=tuple((table, field, resource) for table in found.tables for field, resource in found.resources)
    )


CALLED_BACKEND: Stage[Called, _Placed] = Stage(Rank.CALLED_BACKEND, _called, _publish_called)
"""By namespace of clients and backend: in every table of that namespace."""
