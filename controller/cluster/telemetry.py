"""What the controller tells of itself in metrics.

Owns their names. Everything is counted where it happens, and what can be asked for is asked for on a scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Histogram,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TRANSLATION_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_PROPAGATION_SECONDS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Gauges:
    """What is asked for on a scrape."""

    objects: Callable[[], Mapping[str, int]]
    """By kind."""
    tables: Callable[[], int]
    gateways: Callable[[], int]
    leads: Callable[[], bool]
    synced: Callable[[], bool]
    status_writes: Callable[[], int]


class Telemetry:
    """Metrics of one controller process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self._translation = Histogram(
            "sekisho_controller_translation_seconds",
            "Time to bring the tables and statuses up to a batch of changes.",
            buckets=_TRANSLATION_SECONDS,
            registry=self.registry,
        )
        self._propagation = Histogram(
            "sekisho_controller_propagation_seconds",
            "Time from a change's arrival to the answer of every connected gateway to the table it changed.",
            buckets=_PROPAGATION_SECONDS,
            registry=self.registry,
        )
        self._changes = Counter(
            "sekisho_controller_changed_objects", "Objects that were taken over as changed.", registry=self.registry
        )
        self._faults = Counter(
            "sekisho_controller_faults", "Changes that could not be taken over at first.", registry=self.registry
        )

    def watch(self, gauges: Gauges) -> None:
        """From now on these are told too."""
        self.registry.register(_Asked(gauges))

    def translated(self, seconds: float, objects: int) -> None:
        """A batch was taken over."""
        self._translation.observe(seconds)
        self._changes.inc(objects)

    def propagated(self, seconds: float) -> None:
        """A table's gateways have answered."""
        self._propagation.observe(seconds)

    def fault(self) -> None:
        """Something went wrong that should not."""
        self._faults.inc()


class _Asked(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        gauges = self._gauges
        objects = GaugeMetricFamily("sekisho_controller_objects", "Objects that are read, by kind.", labels=["kind"])
        for kind, number in sorted(gauges.objects().items()):
            objects.add_metric([kind], number)
        yield objects
        yield GaugeMetricFamily("sekisho_controller_tables", "Gateways with a table.", value=gauges.tables())
        yield GaugeMetricFamily(
            "sekisho_controller_connected_gateways", "Gateway processes that are subscribed.", value=gauges.gateways()
        )
        yield GaugeMetricFamily(
            "sekisho_controller_leader", "Whether this replica writes statuses and provisions.", value=gauges.leads()
        )
        yield GaugeMetricFamily(
            "sekisho_controller_synced", "Whether every kind of object has been read.", value=gauges.synced()
        )
        yield CounterMetricFamily("sekisho_controller_status_writes", "Statuses written.", value=gauges.status_writes())
