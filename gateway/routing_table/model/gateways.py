"""Gateways: what holds for all listeners of one, and the workload that it stands before."""

from __future__ import annotations

from gateway.routing_table.model.schema import Struct


class Limits(Struct):
    """Bounds at the edge. The defaults follow Envoy's guide for edge proxies.

    Zero means "no bound" for the timeouts, and is refused for every count and size.
    """

    max_connections: int = 50_000
    max_connections_per_listener: int = 10_000
    max_request_head_bytes: int = 60 * 1024
    max_request_headers: int = 100
    max_concurrent_streams: int = 100
    initial_stream_window_bytes: int = 64 * 1024
    initial_connection_window_bytes: int = 1024 * 1024
    max_resets_per_connection: int = 100
    """HTTP/2 streams a client may reset before their answer, in one rolling window of 30 s."""
    tls_handshake_timeout_ms: int = 15_000
    request_head_timeout_ms: int = 60_000
    stream_idle_timeout_ms: int = 300_000
    connection_idle_timeout_ms: int = 3_600_000
    connect_timeout_ms: int = 5_000
    drain_timeout_ms: int = 30_000
    replay_buffer_bytes: int = 64 * 1024
    """Most of a request body kept so that a retry can send it again; a longer body is not retried."""
    mirror_buffer_bytes: int = 1024 * 1024
    """Most of a body queued for one slow mirror before that mirror alone is abandoned."""


class Workload(Struct):
    """Who a data plane that stands beside an application is, as telemetry names it."""

    name: str
    namespace: str
    canonical_service: str = ""
    canonical_revision: str = ""
    cluster: str = ""


class Gateway(Struct):
    """Settings shared by the listeners of one Gateway. ``key``: ``namespace/name``."""

    key: str
    workload: Workload | None = None
    """Set where the data plane serves one workload, as a sidecar does."""
    trusted_hops: int = 0
    """Trusted proxies in front. 0: nobody's ``X-Forwarded-*`` or ``Forwarded`` is believed."""
    access_log: bool = True
    limits: Limits = Limits()
