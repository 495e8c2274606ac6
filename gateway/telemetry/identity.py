"""Metrics of the gateway's own identity in the mesh: how long it still lasts, and how often it was renewed."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.compiled import engine


class IdentityCollector(Collector):
    """Told of each certificate that the data plane takes into use."""

    def __init__(self) -> None:
        self._chain = ""
        self._ends: int | None = None
        self._count = 0

    def took(self, chain: str) -> None:
        """``chain``, PEM, leaf first, is shown from now on; the same one again, with another bundle, is no other."""
        if chain == self._chain:
            return
        self._chain = chain
        self._ends = engine.chain_ends(chain)
        self._count += 1

    def collect(self) -> Iterator[Metric]:
        """Called on a scrape; nothing without an identity."""
        if self._ends is None:
            return
        yield GaugeMetricFamily(
            "sekisho_identity_expiry_seconds",
            "When this gateway's own certificate ends, in seconds since the epoch.",
            self._ends,
        )
        yield CounterMetricFamily(
            "sekisho_identity_certificates",
            "Certificates of its own that this gateway took into use since the start: all but the first are renewals.",
            self._count,
        )
