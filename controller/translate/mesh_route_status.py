"""How a route stands with the Services that it names as parents.

Owns their entries of ``RouteStatus`` (Gateway API: ``shared_types.go``; reasons of GEP-1426), and what is said of
settings that have no effect there.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.resources import ParentReference, TCPRoute, UDPRoute
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.mesh_route import MESH_ROUTE, MeshRoute, ServiceParent, names_service
from controller.translate.route_conditions import ATTACHED_MESSAGE, route_conditions
from controller.translate.route_rules import Route
from controller.translate.service_routes import SERVICE_ROUTES, ServicePort
from controller.translate.statuses import RouteParentStatus


def service_statuses(reads: Reads, key: Key, route: Route) -> dict[ParentReference, RouteParentStatus]:
    """By reference; empty where the route names no Service, or there is no mesh."""
    mesh_route = _mesh_route(reads, key, route)
    if mesh_route is None:
        return {}
    statuses: dict[ParentReference, RouteParentStatus] = {}
    for parent in mesh_route.parents:
        problem = mesh_route.verdict or parent.problem
        taken = _taken(reads, mesh_route, parent) if problem is None else {}
        if taken and len(taken) == len(parent.ports):
            problem = Problem(ConditionReason.CONFLICTED, _conflict(parent, taken))
        message = _conflict(parent, taken) if taken else ATTACHED_MESSAGE
        statuses[parent.reference] = RouteParentStatus(
            parent_ref=parent.reference,
            controller_name=reads.options.controller_name,
            conditions=route_conditions(problem, mesh_route.rules, route.metadata.generation, message),
        )
    return statuses


def _mesh_route(reads: Reads, key: Key, route: Route) -> MeshRoute | None:
    """Most routes name no Service as a parent, and need no look at what they are to one."""
    named = reads.options.mesh and any(map(names_service, route.spec.parent_refs))
    return reads.result(MESH_ROUTE, key) if named else None


def _taken(reads: Reads, route: MeshRoute, parent: ServiceParent) -> dict[int, str]:
    """The ports at which routes of another kind go before, with that kind."""
    taken: dict[int, str] = {}
    for port in parent.ports:
        routes = reads.result(SERVICE_ROUTES, ServicePort(parent.service, port, route.namespace))
        if routes is not None and routes.kind != route.kind:
            taken[port] = routes.kind
    return taken


def _conflict(parent: ServiceParent, taken: Mapping[int, str]) -> str:
    ports = ", ".join(f"{port} ({kind})" for port, kind in taken.items())
    return f"routes of a kind that goes before are attached to these ports of {parent.service}: {ports}"


def mesh_notices(reads: Reads, key: Key, route: Route, *, alone: bool) -> list[str]:
    """What has no effect with Services as parents; ``alone``: no Gateway says what is wrong with its rules."""
    mesh_route = _mesh_route(reads, key, route)
    notices: list[str] = []
    if mesh_route is None:
        return notices
    if not isinstance(route, TCPRoute | UDPRoute) and route.spec.hostnames:
        notices.append("hostnames have no effect where a Service is the parent: match the header Host instead")
    if alone:
        notices += [f"rule {index}: {notice}" for index, rule in enumerate(mesh_route.rules) for notice in rule.notices]
    return notices
