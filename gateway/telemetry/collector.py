"""Prometheus metrics: one collector, reading the engine's counters on scrape.

Names and labels are Istio's (field by field what Kiali draws its graph from), so that existing
dashboards work; what Istio has no name for starts with ``sekisho_``. A value that this gateway
does not know is ``unknown``. No label comes from a request, and the number of series grows with
backends that were hit and with configured listeners, policies and certificates, never with routes.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.routing_table.model import ListenerState, Rejection
from gateway.telemetry.statistics import ConnectionLabels, Labels, Party, Series, Statistics

LABELS: Final = (
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_canonical_service",
    "source_canonical_revision",
    "source_cluster",
    "source_principal",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "destination_workload",
    "destination_workload_namespace",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_cluster",
    "destination_principal",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
)
CONNECTION_LABELS: Final = tuple(name for name in LABELS if name not in ("response_code", "grpc_response_status"))
"""Those that a connection has too, as with Istio."""
_UNKNOWN: Final = "unknown"
_CONNECTION_FAMILIES: Final = (
    ("istio_tcp_connections_opened", "Connections begun; for UDP, sessions."),
    ("istio_tcp_connections_closed", "Connections ended; for UDP, sessions."),
    ("istio_tcp_received_bytes", "Bytes received from clients over connections."),
    ("istio_tcp_sent_bytes", "Bytes sent to clients over connections."),
)


class TableState(Protocol):
    """What is told about the table in force; the agent's state has this shape."""

    @property
    def version(self) -> str:
        """Version of the table in force."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether a table is served."""
        ...

    @property
    def restored(self) -> bool:
        """Whether it is the one of the previous run."""
        ...

    @property
    def applied_at(self) -> float:
        """When it last changed, in seconds since the epoch."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Resources held, by kind."""
        ...

    @property
    def rejected(self) -> tuple[Rejection, ...]:
        """Resources refused."""
        ...

    @property
    def listeners(self) -> tuple[ListenerState, ...]:
        """Whether each listener is bound."""
        ...


class GatewayCollector(Collector):
    """Everything this process exposes about the gateway; reads, never writes."""

    def __init__(
        self,
        statistics: Callable[[], Statistics],
        state: Callable[[], TableState],
        certificate_ends: Callable[[], dict[str, float]],
    ) -> None:
        self._statistics = statistics
        self._state = state
        self._certificate_ends = certificate_ends

    def collect(self) -> Iterator[Metric]:
        """All families; called on each scrape."""
        statistics = self._statistics()
        yield from _request_families(statistics)
        yield from _carried_families(statistics)
        yield from _connection_families(statistics)
        yield from _backend_families(statistics)
        yield _counter(
            "sekisho_listener_requests",
            "Requests taken by a listener.",
            "listener",
            [(listener.key, listener.requests) for listener in statistics.listeners],
        )
        yield _authorization_family(statistics)
        yield from _egress_families(statistics)
        yield from _table_families(self._state())
        yield from _certificate_families(self._certificate_ends())
        build = InfoMetricFamily("sekisho_build", "The running version.")
        build.add_metric([], {"version": __version__})
        yield build

    def describe(self) -> Iterator[Metric]:
        """Nothing up front: registering must not ask the engine."""
        return iter(())


def _authorization_family(statistics: Statistics) -> Metric:
    family = CounterMetricFamily(
        "sekisho_authorization_decisions",
        "Requests and connections that a policy denied, would have denied in dry run, or audited.",
        labels=("policy", "effect"),
    )
    for line in statistics.authorization:
        family.add_metric((line.policy, line.effect), line.count)
    return family


def _egress_families(statistics: Statistics) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "sekisho_egress_decisions",
        "What egress policies decided about connections and requests; policy and rule are empty where there is none.",
        labels=("policy", "rule", "decision"),
    )
    for line in statistics.egress:
        decisions.add_metric((line.policy, line.rule, line.decision), line.count)
    yield decisions
    received = CounterMetricFamily(
        "sekisho_egress_received_bytes", "Bytes that clients sent outside.", labels=("policy", "rule")
    )
    sent = CounterMetricFamily(
        "sekisho_egress_sent_bytes", "Bytes that clients got from outside.", labels=("policy", "rule")
    )
    for moved in statistics.egress_bytes:
        received.add_metric((moved.policy, moved.rule), moved.received)
        sent.add_metric((moved.policy, moved.rule), moved.sent)
    yield received
    yield sent


def label_values(labels: Labels) -> tuple[str, ...]:
    """Values for :data:`LABELS`."""
    known = _known(labels) | {
        "response_code": str(labels.response_code),
        "request_protocol": labels.request_protocol,
    }
    # An empty grpc_response_status is Istio's own way to say "not gRPC".
    none = {"grpc_response_status": labels.grpc_response_status}
    return tuple(none[name] if name in none else known.get(name) or _UNKNOWN for name in LABELS)


def connection_label_values(labels: ConnectionLabels) -> tuple[str, ...]:
    """Values for :data:`CONNECTION_LABELS`. To Istio a TLS connection is TCP, told apart by its security policy."""
    protocol = "tcp" if labels.request_protocol == "tls" else labels.request_protocol
    known = _known(labels) | {"request_protocol": protocol}
    return tuple(known.get(name) or _UNKNOWN for name in CONNECTION_LABELS)


def _known(labels: ConnectionLabels) -> dict[str, str]:
    """What requests and connections have in common. A gateway is the source and reports what it sent; before a workload
    it reports what that receives."""
    namespace, _, name = labels.gateway.rpartition("/")
    service_name = labels.destination_service_name or _UNKNOWN
    own = {"workload": name, "workload_namespace": namespace, "canonical_service": name}
    sides = (
        ("source", labels.source, own if labels.reporter == "source" else {}),
        ("destination", labels.destination, {"canonical_service": service_name}),
    )
    parties = {
        f"{side}_{field}": getattr(party, field) or otherwise.get(field, "")
        for side, party, otherwise in sides
        for field in Party.__struct_fields__
    }
    return parties | {
        "reporter": labels.reporter,
        "destination_service": labels.destination_service,
        "destination_service_name": service_name,
        "destination_service_namespace": labels.destination_service_namespace,
        "response_flags": labels.response_flags,
        "connection_security_policy": labels.connection_security_policy,
    }


def _request_families(statistics: Statistics) -> Iterator[Metric]:
    requests = CounterMetricFamily("istio_requests", "Requests answered.", labels=LABELS)
    duration = HistogramMetricFamily(
        "istio_request_duration_milliseconds", "From the request's first byte to the response's last.", labels=LABELS
    )
    request_bytes = HistogramMetricFamily("istio_request_bytes", "Size of request bodies.", labels=LABELS)
    response_bytes = HistogramMetricFamily("istio_response_bytes", "Size of response bodies.", labels=LABELS)
    for series in statistics.series:
        values = label_values(series.labels)
        requests.add_metric(values, series.requests)
        buckets = _cumulative(series, statistics.duration_bounds_ms)
        duration.add_metric(values, buckets=buckets, sum_value=series.duration_sum_ms)
        # The engine keeps the sums alone: rates and means work, and no bucket is invented.
        request_bytes.add_metric(values, buckets=[("+Inf", series.requests)], sum_value=series.request_bytes)
        response_bytes.add_metric(values, buckets=[("+Inf", series.requests)], sum_value=series.response_bytes)
    yield from (requests, duration, request_bytes, response_bytes)


def _cumulative(series: Series, bounds: Sequence[float]) -> list[tuple[str, float]]:
    counts = list(accumulate(series.duration_buckets))
    names = [f"{bound:g}" for bound in bounds]
    return [*zip(names, counts, strict=False), ("+Inf", counts[-1] if counts else 0)]


def _carried_families(statistics: Statistics) -> Iterator[Metric]:
    # Prometheus refuses a scrape that holds a series twice, and several rows may end up with the same values.
    totals: dict[tuple[str, ...], tuple[int, ...]] = {}
    for series in statistics.tcp:
        values = connection_label_values(series.labels)
        counts = (series.opened, series.closed, series.received_bytes, series.sent_bytes)
        totals[values] = tuple(map(operator.add, totals.get(values, (0,) * len(counts)), counts))
    for position, (name, text) in enumerate(_CONNECTION_FAMILIES):
        family = CounterMetricFamily(name, text, labels=CONNECTION_LABELS)
        for values, summed in totals.items():
            family.add_metric(values, summed[position])
        yield family


def _connection_families(statistics: Statistics) -> Iterator[Metric]:
    connections = statistics.connections
    yield GaugeMetricFamily("sekisho_downstream_connections", "Open client connections.", value=connections.active)
    yield CounterMetricFamily(
        "sekisho_downstream_connections_accepted", "Client connections accepted.", value=connections.accepted
    )
    yield CounterMetricFamily(
        "sekisho_downstream_connections_refused", "Client connections refused at a limit.", value=connections.refused
    )
    yield CounterMetricFamily(
        "sekisho_log_lines_lost",
        "Lines of the access log and records of egress that their sink did not take.",
        value=statistics.access_log_dropped,
    )
    yield GaugeMetricFamily("sekisho_workers", "Worker threads that move traffic.", value=statistics.workers)


def _backend_families(statistics: Statistics) -> Iterator[Metric]:
    touched = [backend for backend in statistics.backends if backend.touched]
    yield _counter(
        "sekisho_backend_connections_opened",
        "Connections opened to a backend.",
        "backend",
        [(backend.key, backend.connections_opened) for backend in touched],
    )
    yield _counter(
        "sekisho_backend_connect_failures",
        "Connections to a backend that could not be opened.",
        "backend",
        [(backend.key, backend.connect_failures) for backend in touched],
    )
    yield _counter(
        "sekisho_backend_retries",
        "Requests sent to a backend again.",
        "backend",
        [(backend.key, backend.retries) for backend in touched],
    )
    yield _gauge(
        "sekisho_backend_requests_in_flight",
        "Requests waiting for a backend.",
        "backend",
        [(backend.key, backend.in_flight) for backend in touched],
    )


def _table_families(state: TableState) -> Iterator[Metric]:
    yield GaugeMetricFamily("sekisho_table_loaded", "1 once a routing table is served.", value=float(state.loaded))
    yield GaugeMetricFamily(
        "sekisho_table_restored", "1 while the table of the previous run is served.", value=float(state.restored)
    )
    if state.version.isdecimal():
        yield GaugeMetricFamily("sekisho_table_version", "Version of the table in force.", value=int(state.version))
    if state.loaded:
        yield GaugeMetricFamily(
            "sekisho_table_applied_timestamp_seconds", "When the table last changed.", value=state.applied_at
        )
        age = max(0.0, time.time() - state.applied_at)
        yield GaugeMetricFamily("sekisho_table_age_seconds", "Time since the table last changed.", value=age)
    yield _gauge("sekisho_table_resources", "Resources held.", "kind", list(state.counts.items()))
    rejected = dict.fromkeys(state.counts, 0)
    for rejection in state.rejected:
        rejected[rejection.kind] = rejected.get(rejection.kind, 0) + 1
    yield _gauge("sekisho_table_rejected_resources", "Resources refused.", "kind", list(rejected.items()))
    yield _gauge(
        "sekisho_listener_bound",
        "1 where a listener accepts connections.",
        "listener",
        [(listener.key, int(listener.bound)) for listener in state.listeners],
    )


def _certificate_families(ends: dict[str, float]) -> Iterator[Metric]:
    now = time.time()
    yield _gauge(
        "sekisho_certificate_expiry_seconds",
        "Time until a certificate ends; negative once it has.",
        "certificate",
        [(key, end - now) for key, end in ends.items()],
    )


def _counter(name: str, text: str, label: str, values: Sequence[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family


def _gauge(name: str, text: str, label: str, values: Sequence[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family
