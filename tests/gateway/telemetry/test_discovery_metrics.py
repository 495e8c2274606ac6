from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.agent.discovery import DiscoveryState
from gateway.telemetry.discovery import DiscoveryCollector


def text(state: DiscoveryState) -> str:
    registry = CollectorRegistry()
    registry.register(DiscoveryCollector(lambda: state))
    return generate_latest(registry).decode()


def test_the_stream_is_told() -> None:
    shown = text(DiscoveryState(connected=True, since=1_000.0, connections=3))
    assert "sekisho_discovery_connected 1.0" in shown
    assert "sekisho_discovery_state_since_seconds 1000.0" in shown
    assert "sekisho_discovery_connections_total 3.0" in shown
    assert "sekisho_discovery_connected 0.0" in text(DiscoveryState())
