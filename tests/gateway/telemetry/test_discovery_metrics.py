from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.agent.discovery import DiscoveryState
from gateway.telemetry.discovery import DiscoveryCollector


def text(state: DiscoveryState, ends: float | None) -> str:
    registry = CollectorRegistry()
    registry.register(DiscoveryCollector(lambda: state, lambda: ends))
    return generate_latest(registry).decode()


def test_the_stream_and_the_identity_are_told() -> None:
    shown = text(DiscoveryState(connected=True, since=1_000.0, connections=3), 2_000.0)
    assert "sekisho_discovery_connected 1.0" in shown
    assert "sekisho_discovery_state_since_seconds 1000.0" in shown
    assert "sekisho_discovery_connections_total 3.0" in shown
    assert "sekisho_identity_expiry_seconds 2000.0" in shown


def test_an_identity_that_is_not_there_has_no_end() -> None:
    shown = text(DiscoveryState(), None)
    assert "sekisho_discovery_connected 0.0" in shown
    assert "sekisho_identity_expiry_seconds" not in shown
