"""Everything the admin endpoint reads, as one record of callables.

The composition root fills it in; the endpoint therefore knows neither how a table arrives nor who
reports on objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.admin.status import StatusReport
from gateway.agent.state import AgentState
from gateway.routing_table.model import Resources
from gateway.telemetry.statistics import Statistics


@dataclass(frozen=True)
class AdminSources:
    """Reads only. ``explain`` and ``statistics`` may block for a moment and are called on a thread."""

    state: Callable[[], AgentState]
    table: Callable[[], Resources]
    statistics: Callable[[], Statistics]
    explain: Callable[[bytes], bytes]
    certificate_ends: Callable[[], dict[str, float]]
    status: Callable[[], StatusReport]
    registry: CollectorRegistry
    draining: Callable[[], bool]
    monotonic: Callable[[], float]
