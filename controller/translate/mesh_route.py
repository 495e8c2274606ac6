"""A route with Services as parents, by itself: to which ports it attaches, and what its rules are there.

Owns what a parent reference to a Service selects (GEP-1294, GEP-1426: ``port``, ``sectionName``, allowed types of
Service). Which of several routes a port has is ``service_routes``'s. Hostnames are not looked at, as the
specification asks; nor are ReferenceGrants, since whoever may reach a Service may reach the other one as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from controller.resources import ParentReference, Service, UDPRoute
from controller.store import Key
from controller.translate.backend_view import Transport
from controller.translate.backends import Referrer
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads, Stage
from controller.translate.route_rules import (
    BY_KIND,
    Kind,
    Route,
    Rules,
    kind_of,
    table_route,
    translate_rules,
    verdict_on,
)
from controller.translate.stages import Rank
from gateway.routing_table import model

HEADLESS = "None"
"""``clusterIP`` of a Service without an address of its own."""


class ServiceParent(msgspec.Struct, frozen=True):
    """A parent reference to a Service. Without a problem there is at least one port."""

    reference: ParentReference
    service: Key
    ports: tuple[int, ...]
    problem: Problem | None = None


class MeshRoute(msgspec.Struct, frozen=True):
    """What a route is to the Services that it names as parents."""

    kind: Kind
    namespace: str
    rules: Rules
    parents: tuple[ServiceParent, ...]
    verdict: Problem | None
    """Why the route as a whole is not accepted."""
    resources: tuple[model.Route, ...]
    """Its usable rules, attached nowhere yet."""

    def attaches(self, service: Key, port: int) -> bool:
        """Whether it asks for the traffic to a port, and can have it."""
        return self.verdict is None and any(
            parent.problem is None and parent.service == service and port in parent.ports for parent in self.parents
        )


def names_service(reference: ParentReference) -> bool:
    """Whether a parent reference is to a Service."""
    return (reference.group, reference.kind) == ("", Service.kind)


def _mesh_route(key: Key, reads: Reads) -> MeshRoute | None:
    route = reads.get(BY_KIND[key.kind], key.namespace, key.name)
    if route is None or not reads.options.mesh:
        return None
    references = [reference for reference in route.spec.parent_refs if names_service(reference)]
    if not references:
        return None
    transport: Transport = "" if key.kind in ("HTTPRoute", "GRPCRoute") else "TCP"
    rules = translate_rules(
        reads, Referrer(key, transport=transport, passthrough=key.kind == "TLSRoute", grants=False), route
    )
    return MeshRoute(
        kind=kind_of(route),
        namespace=key.namespace,
        rules=rules,
        parents=tuple(_parent(reads, key, reference) for reference in references),
        verdict=_kind_problem(route) or verdict_on(rules),
        resources=tuple(table_route(route, index, rule) for index, rule in enumerate(rules) if not rule.dropped),
    )


def _kind_problem(route: Route) -> Problem | None:
    if not isinstance(route, UDPRoute):
        return None
    message = "a UDPRoute cannot attach to a Service: sidecars take TCP connections alone, and UDP goes past them"
    return Problem(ConditionReason.UNSUPPORTED_VALUE, message)


def _parent(reads: Reads, route: Key, reference: ParentReference) -> ServiceParent:
    key = Key(Service.kind, reference.namespace or route.namespace, reference.name)
    service = reads.get(Service, key.namespace, key.name)
    problem = _service_problem(key, service)
    ports = _ports(service, reference) if service is not None and not problem else ()
    if not problem and not ports:
        problem = _no_such_port(key, reference)
    return ServiceParent(
        reference, key, tuple(ports), Problem(ConditionReason.NO_MATCHING_PARENT, problem) if problem else None
    )


def _service_problem(key: Key, service: Service | None) -> str:
    if service is None:
        return f"{key} does not exist"
    if service.spec.type == "ExternalName":
        return f"{key} is of type ExternalName: it is a name for another host, and takes no traffic"
    if service.spec.cluster_ip == HEADLESS:
        return f"{key} is headless, so that no address tells what is meant for it: give it a clusterIP"
    return ""


def _ports(service: Service, reference: ParentReference) -> Sequence[int]:
    return [
        port.port
        for port in service.spec.ports
        if port.protocol == "TCP"
        and reference.port in (None, port.port)
        and reference.section_name in (None, "", port.name)
    ]


def _no_such_port(key: Key, reference: ParentReference) -> str:
    wanted = [f"named {reference.section_name}"] if reference.section_name else []
    wanted += [str(reference.port)] if reference.port else []
    return f"{key} has no TCP port {' and '.join(wanted)}".rstrip()


MESH_ROUTE: Stage[Key, MeshRoute | None] = Stage(Rank.MESH_ROUTE, _mesh_route)
"""By route; None for one that names no Service, and for all of them where there is no mesh."""
