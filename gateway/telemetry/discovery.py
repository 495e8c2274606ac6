"""Metrics of the stream to the controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class StreamState(Protocol):
    """What is told about the stream; discovery's state has this shape."""

    @property
    def connected(self) -> bool:
        """Whether a controller is subscribed to."""
        ...

    @property
    def since(self) -> float:
        """Since when, in seconds since the epoch."""
        ...

    @property
    def connections(self) -> int:
        """How many streams were opened."""
        ...


class DiscoveryCollector(Collector):
    """Reads, never writes."""

    def __init__(self, state: Callable[[], StreamState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Called on a scrape."""
        state = self._state()
        yield GaugeMetricFamily(
            "sekisho_discovery_connected", "1 while this gateway is subscribed at a controller.", float(state.connected)
        )
        yield GaugeMetricFamily(
            "sekisho_discovery_state_since_seconds",
            "Since when it is, or is not, in seconds since the epoch.",
            state.since,
        )
        yield CounterMetricFamily("sekisho_discovery_connections", "Subscriptions since the start.", state.connections)
