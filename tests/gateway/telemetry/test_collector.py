from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.agent.state import AgentState
from gateway.routing_table.model import ListenerState, Rejection
from gateway.telemetry.collector import LABELS, GatewayCollector
from gateway.telemetry.statistics import (
    BackendCounters,
    Connections,
    Labels,
    ListenerCounters,
    Series,
    Statistics,
    decode_statistics,
)

SHOP = Labels(
    response_code=200,
    request_protocol="http",
    destination_service="shop.default.svc.cluster.local",
    destination_service_name="shop",
    destination_service_namespace="default",
    gateway="default/edge",
    connection_security_policy="none",
)
STATISTICS = Statistics(
    series=(
        Series(
            labels=SHOP,
            requests=7,
            request_bytes=70,
            response_bytes=700,
            duration_buckets=(1, 4, 2),
            duration_sum_ms=123.5,
        ),
    ),
    duration_bounds_ms=(1.0, 10.0),
    connections=Connections(active=3, accepted=9, refused=1),
    backends=(
        BackendCounters(key="Service/default/shop/80", connections_opened=2),
        BackendCounters(key="Service/default/idle/80"),
    ),
    listeners=(ListenerCounters(key="default/edge/http", requests=7),),
    workers=2,
)
STATE = AgentState(
    version="12",
    loaded=True,
    applied_at=1.0,
    counts={"routes": 4, "backends": 2},
    rejected=(Rejection(kind="routes", key="HTTPRoute/default/bad/0", reason="no"),),
    listeners=(ListenerState(key="default/edge/http", bound=True),),
)


def samples(statistics: Statistics = STATISTICS, state: AgentState = STATE) -> dict[str, list]:
    registry = CollectorRegistry()
    registry.register(GatewayCollector(lambda: statistics, lambda: state, lambda: {"Secret/default/tls": 10.0}))
    text = generate_latest(registry).decode()
    found: dict[str, list] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def test_requests_are_counted_under_istio_s_name_with_every_label_kiali_draws_from() -> None:
    (sample,) = samples()["istio_requests_total"]
    assert sample.value == 7
    assert set(sample.labels) == set(LABELS)
    assert sample.labels["reporter"] == "source"
    assert sample.labels["source_workload"] == "edge"
    assert sample.labels["source_workload_namespace"] == "default"
    assert sample.labels["destination_service_name"] == "shop"
    assert sample.labels["response_code"] == "200"
    assert sample.labels["grpc_response_status"] == ""
    assert sample.labels["source_principal"] == "unknown"
    assert sample.labels["destination_workload"] == "unknown"


def test_the_duration_histogram_is_cumulative_and_ends_at_infinity() -> None:
    found = samples()
    buckets = {sample.labels["le"]: sample.value for sample in found["istio_request_duration_milliseconds_bucket"]}
    assert buckets == {"1": 1, "10": 5, "+Inf": 7}
    assert found["istio_request_duration_milliseconds_sum"][0].value == 123.5
    assert found["istio_request_duration_milliseconds_count"][0].value == 7


def test_sizes_have_sum_and_count() -> None:
    found = samples()
    assert found["istio_request_bytes_sum"][0].value == 70
    assert found["istio_response_bytes_sum"][0].value == 700
    assert found["istio_response_bytes_count"][0].value == 7


def test_only_backends_that_were_hit_have_series() -> None:
    backends = {sample.labels["backend"] for sample in samples()["sekisho_backend_connections_opened_total"]}
    assert backends == {"Service/default/shop/80"}


def test_the_table_s_state_is_told() -> None:
    found = samples()
    assert found["sekisho_table_version"][0].value == 12
    assert {sample.labels["kind"]: sample.value for sample in found["sekisho_table_resources"]} == {
        "routes": 4,
        "backends": 2,
    }
    rejected = {sample.labels["kind"]: sample.value for sample in found["sekisho_table_rejected_resources"]}
    assert rejected == {"routes": 1, "backends": 0}
    assert found["sekisho_listener_bound"][0].value == 1
    assert found["sekisho_certificate_expiry_seconds"][0].value < 0


def test_series_do_not_grow_with_routes() -> None:
    few = samples(state=AgentState(loaded=True, counts={"routes": 1}))
    many = samples(state=AgentState(loaded=True, counts={"routes": 5_000}))
    assert {name: len(found) for name, found in few.items()} == {name: len(found) for name, found in many.items()}


def test_series_that_share_their_labels_are_one() -> None:
    twice = msgspec.json.encode(msgspec.structs.replace(STATISTICS, series=STATISTICS.series * 2))
    (sample,) = samples(decode_statistics(twice))["istio_requests_total"]
    assert sample.value == 14
    (series,) = decode_statistics(twice).series
    assert series.duration_buckets == (2, 8, 4)


def test_registering_asks_the_engine_nothing() -> None:
    def fail() -> Statistics:
        raise AssertionError("asked")

    CollectorRegistry().register(GatewayCollector(fail, AgentState, dict))
