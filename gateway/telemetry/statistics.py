"""The engine's counters, decoded.

Owns the shape of the document that ``Engine.statistics()`` answers with. Fields that this version
does not know are ignored: a counter is not a guard.
"""

from __future__ import annotations

import operator

import msgspec
from msgspec.structs import replace


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """One side of the traffic; what is not known is empty."""

    principal: str = ""
    """With its scheme, where it was proved by mutual TLS."""
    workload: str = ""
    workload_namespace: str = ""
    canonical_service: str = ""
    canonical_revision: str = ""
    cluster: str = ""


class ConnectionLabels(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one series from another. Values come from the table and from closed sets, never from a request."""

    response_flags: str = "-"
    request_protocol: str = "unknown"
    destination_service: str = ""
    destination_service_name: str = ""
    destination_service_namespace: str = ""
    gateway: str = ""
    connection_security_policy: str = "unknown"
    reporter: str = "source"
    source: Party = Party()
    destination: Party = Party()


class Labels(ConnectionLabels, frozen=True, kw_only=True):
    """Those of requests."""

    response_code: int | str = 0
    grpc_response_status: str = ""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that share their labels."""

    labels: Labels
    requests: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    duration_buckets: tuple[int, ...] = ()
    """How many requests fell in each bucket; the last one is for those above every bound."""
    duration_sum_ms: float = 0.0


class ConnectionSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of TCP, TLS and UDP routes (for UDP, sessions) that share their labels.

    Bytes are those of the client's side: received from it and sent to it.
    """

    labels: ConnectionLabels
    opened: int = 0
    closed: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """Downstream connections."""

    active: int = 0
    accepted: int = 0
    refused: int = 0


class EgressDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided by one rule of one egress policy."""

    policy: str
    rule: str
    decision: str
    """``allow``, ``deny``, ``would_deny`` or ``failed``."""
    count: int


class EgressBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of one egress policy let pass, on the client's side."""

    policy: str
    rule: str
    received: int
    sent: int


class BackendCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One backend; requests are in the series."""

    key: str
    connections_opened: int = 0
    connect_failures: int = 0
    retries: int = 0
    in_flight: int = 0

    @property
    def touched(self) -> bool:
        """Whether traffic ever reached it: an untouched backend costs no series."""
        return bool(self.connections_opened or self.connect_failures or self.retries or self.in_flight)


class ListenerCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One listener."""

    key: str
    requests: int = 0


class RouteCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One route; for the admin page only, never a metric."""

    route: str
    requests: int = 0


class AuthorizationCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What one authorization policy did to requests and connections."""

    policy: str
    """Key of the policy; ``none`` where several should have allowed and none did."""
    effect: str
    """``denied``, ``dry_run_denied`` or ``audited``."""
    count: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """All counters at one moment, added up over the workers."""

    series: tuple[Series, ...] = ()
    tcp: tuple[ConnectionSeries, ...] = ()
    """Carried connections of every kind, UDP sessions too."""
    duration_bounds_ms: tuple[float, ...] = ()
    connections: Connections = Connections()
    backends: tuple[BackendCounters, ...] = ()
    listeners: tuple[ListenerCounters, ...] = ()
    routes_hit: tuple[RouteCounters, ...] = ()
    authorization: tuple[AuthorizationCounters, ...] = ()
    egress: tuple[EgressDecisions, ...] = ()
    egress_bytes: tuple[EgressBytes, ...] = ()
    access_log_dropped: int = 0
    """Lines and records that their sink did not take in time."""
    workers: int = 0


_decoder = msgspec.json.Decoder(Statistics)


def decode_statistics(document: bytes) -> Statistics:
    """The engine's answer; a document of another shape raises, since it is a bug in this package.

    The engine tells reasons apart that share their flags, so that two series may carry the same
    labels; Prometheus would refuse a scrape that holds a series twice.
    """
    statistics = _decoder.decode(document)
    merged: dict[Labels, Series] = {}
    for series in statistics.series:
        known = merged.get(series.labels)
        merged[series.labels] = series if known is None else _sum(known, series)
    return replace(statistics, series=tuple(merged.values()))


def _sum(one: Series, other: Series) -> Series:
    return Series(
        labels=one.labels,
        requests=one.requests + other.requests,
        request_bytes=one.request_bytes + other.request_bytes,
        response_bytes=one.response_bytes + other.response_bytes,
        duration_buckets=tuple(map(operator.add, one.duration_buckets, other.duration_buckets)),
        duration_sum_ms=one.duration_sum_ms + other.duration_sum_ms,
    )
