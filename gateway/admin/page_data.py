"""What the page polls: the live state in one document, bounded whatever the table's size.

Pure over the values it is given. Everything in it is text or numbers; the page writes them as
text, never as markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway import __version__
from gateway.admin.explain import object_of_route
from gateway.admin.page_egress import EgressRow, egress_rows
from gateway.admin.status import ObjectStatus, Problem, StatusReport
from gateway.agent.state import AgentState
from gateway.routing_table import describe
from gateway.routing_table.describe_egress import way_out
from gateway.routing_table.model import Resources, Route
from gateway.telemetry.rates import Rates, Traffic
from gateway.telemetry.statistics import Statistics

MAX_ROWS: Final = 200
"""Most routes, objects and backends in one document; the page's search narrows them down."""


class ListenerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One listener."""

    name: str
    url: str
    hostname: str
    port: int
    bound: bool
    error: str
    routes: int
    requests_per_second: float


class GatewayCard(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway and its listeners."""

    key: str
    listeners: tuple[ListenerRow, ...]


class RouteRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    key: str
    name: str
    hostnames: tuple[str, ...]
    listeners: tuple[str, ...]
    matches: tuple[str, ...]
    filters: tuple[str, ...]
    backends: tuple[str, ...]
    failing: bool
    source: str
    requests_per_second: float


class BackendRow(msgspec.Struct, frozen=True, kw_only=True):
    """One backend that the table names."""

    key: str
    protocol: str
    endpoints: int
    in_flight: int
    connections_opened: int
    connect_failures: int
    retries: int
    traffic: Traffic


class CertificateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate; its end in seconds since the epoch."""

    key: str
    ends: float


class PageData(msgspec.Struct, frozen=True, kw_only=True):
    """All of the page."""

    version: str = __version__
    table: dict[str, str | int | float | bool]
    connections: dict[str, int]
    rates: Rates
    gateways: tuple[GatewayCard, ...]
    routes: tuple[RouteRow, ...]
    routes_total: int
    backends: tuple[BackendRow, ...]
    backends_total: int
    egress: tuple[EgressRow, ...]
    egress_total: int
    certificates: tuple[CertificateRow, ...]
    objects: tuple[ObjectStatus, ...]
    objects_total: int
    problems: tuple[Problem, ...]
    rejected: tuple[str, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is read at one moment to make the page."""

    state: AgentState
    table: Resources
    statistics: Statistics
    rates: Rates
    status: StatusReport
    certificate_ends: dict[str, float]


def page_data(reading: Reading, search: str = "") -> PageData:
    """The document; ``search`` narrows routes, backends and objects to those that contain it."""
    state, table = reading.state, reading.table
    words = search.lower().split()
    sources = {item.key: item.source for item in reading.status.objects}
    routes = [route for route in table.routes if not words or _found(words, _route_text(route))]
    backends = [backend for backend in table.backends if _found(words, backend.key)]
    egress = egress_rows(table.egress_policies, reading.statistics, sources)
    egress = [row for row in egress if _found(words, f"{row.policy} {row.rule} {row.who} {row.where}")]
    objects = [item for item in reading.status.objects if _found(words, item.key)]
    return PageData(
        table={
            "version": state.version,
            "loaded": state.loaded,
            "restored": state.restored,
            "ready": state.ready,
            "applied_at": state.applied_at,
            "workers": reading.statistics.workers,
            "last_error": state.last_error or state.persistence_error,
        },
        connections={
            "active": reading.statistics.connections.active,
            "accepted": reading.statistics.connections.accepted,
            "refused": reading.statistics.connections.refused,
        },
        rates=reading.rates,
        gateways=_gateways(reading),
        routes=tuple(_route_row(route, sources, reading.rates) for route in routes[:MAX_ROWS]),
        routes_total=len(routes),
        backends=_backend_rows(reading, [backend.key for backend in backends[:MAX_ROWS]]),
        backends_total=len(backends),
        egress=tuple(egress[:MAX_ROWS]),
        egress_total=len(egress),
        certificates=tuple(
            CertificateRow(key=key, ends=end)
            for key, end in sorted(reading.certificate_ends.items(), key=lambda item: item[1])[:MAX_ROWS]
        ),
        objects=tuple(objects[:MAX_ROWS]),
        objects_total=len(objects),
        problems=reading.status.problems[:MAX_ROWS],
        rejected=tuple(f"{item.kind} {item.key}: {item.reason}" for item in state.rejected[:MAX_ROWS]),
    )


def _found(words: list[str], text: str) -> bool:
    lowered = text.lower()
    return all(word in lowered for word in words)


def _route_text(route: Route) -> str:
    hostnames = " ".join(name for attachment in route.attachments for name in attachment.hostnames)
    matches = " ".join(describe.match(match) for match in route.matches)
    return f"{route.key} {route.name} {hostnames} {matches}"


def _gateways(reading: Reading) -> tuple[GatewayCard, ...]:
    attached = Counter(attachment.listener for route in reading.table.routes for attachment in route.attachments)
    states = {state.key: state for state in reading.state.listeners}
    by_gateway: dict[str, list[ListenerRow]] = {gateway.key: [] for gateway in reading.table.gateways}
    for listener in reading.table.listeners:
        state = states.get(listener.key)
        by_gateway.setdefault(listener.gateway, []).append(
            ListenerRow(
                name=listener.key.removeprefix(f"{listener.gateway}/"),
                url=describe.listener_url(listener),
                hostname=way_out(listener) or listener.hostname or "*",
                port=listener.port,
                bound=state is not None and state.bound,
                error=state.error if state is not None else "",
                routes=attached[listener.key],
                requests_per_second=reading.rates.listeners.get(listener.key, 0.0),
            )
        )
    return tuple(GatewayCard(key=key, listeners=tuple(rows)) for key, rows in by_gateway.items())


def _route_row(route: Route, sources: Mapping[str, str], rates: Rates) -> RouteRow:
    hostnames = dict.fromkeys(name for attachment in route.attachments for name in attachment.hostnames)
    return RouteRow(
        key=route.key,
        name=route.name,
        hostnames=tuple(hostnames),
        listeners=tuple(attachment.listener for attachment in route.attachments),
        matches=tuple(describe.match(match) for match in route.matches),
        filters=tuple(describe.filter_(step) for step in route.filters),
        backends=describe.backends(route),
        failing=route.failure is not None or any(share.failure is not None for share in route.backends),
        source=sources.get(object_of_route(route.key), ""),
        requests_per_second=rates.routes.get(route.key, 0.0),
    )


def _backend_rows(reading: Reading, keys: list[str]) -> tuple[BackendRow, ...]:
    counters = {item.key: item for item in reading.statistics.backends}
    endpoints = {item.key: len(item.endpoints) for item in reading.table.endpoints}
    backends = {item.key: item for item in reading.table.backends}
    rows: list[BackendRow] = []
    for key in keys:
        backend, counted = backends[key], counters.get(key)
        named = backend.destination
        traffic = reading.rates.backends.get(f"{named.service_namespace}/{named.service_name}".removeprefix("/"))
        rows.append(
            BackendRow(
                key=key,
                protocol=backend.protocol + (" + TLS" if backend.tls is not None else ""),
                endpoints=endpoints.get(key, 0),
                in_flight=counted.in_flight if counted else 0,
                connections_opened=counted.connections_opened if counted else 0,
                connect_failures=counted.connect_failures if counted else 0,
                retries=counted.retries if counted else 0,
                traffic=traffic or Traffic(),
            )
        )
    return tuple(rows)
