from __future__ import annotations

import msgspec
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.agent.state import AgentState
from gateway.routing_table.model import ListenerState, Rejection
from gateway.telemetry.collector import CONNECTION_LABELS, LABELS, GatewayCollector
from gateway.telemetry.statistics import (
    AuthorizationCounters,
    BackendCounters,
    ConnectionLabels,
    Connections,
    ConnectionSeries,
    Labels,
    ListenerCounters,
    Party,
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
    access_log_dropped=3,
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


DATABASE = ConnectionLabels(
    request_protocol="tcp",
    destination_service="database.default.svc.cluster.local",
    destination_service_name="database",
    destination_service_namespace="default",
    gateway="default/edge",
    connection_security_policy="none",
)
CONNECTIONS = ConnectionSeries(labels=DATABASE, opened=5, closed=3, received_bytes=50, sent_bytes=500)
CONNECTION_METRICS = (
    "istio_tcp_connections_opened_total",
    "istio_tcp_connections_closed_total",
    "istio_tcp_received_bytes_total",
    "istio_tcp_sent_bytes_total",
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


def test_lines_that_were_lost_are_counted() -> None:
    [sample] = samples()["sekisho_log_lines_lost_total"]
    assert sample.value == 3


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


def carried(*series: ConnectionSeries) -> dict[str, list]:
    document = msgspec.json.encode(msgspec.structs.replace(STATISTICS, tcp=series))
    return samples(decode_statistics(document))


def test_connections_are_counted_under_istio_s_names() -> None:
    found = carried(CONNECTIONS)
    assert [found[name][0].value for name in CONNECTION_METRICS] == [5, 3, 50, 500]
    for name in CONNECTION_METRICS:
        (sample,) = found[name]
        assert set(sample.labels) == set(CONNECTION_LABELS)
        assert sample.labels["reporter"] == "source"
        assert sample.labels["source_workload"] == "edge"
        assert sample.labels["destination_service_name"] == "database"
        assert sample.labels["request_protocol"] == "tcp"
        assert sample.labels["response_flags"] == "-"


def test_connections_have_no_labels_of_requests() -> None:
    assert set(LABELS) - set(CONNECTION_LABELS) == {"response_code", "grpc_response_status"}


def test_what_is_not_known_of_a_connection_is_unknown() -> None:
    nowhere = ConnectionLabels(response_flags="NR", request_protocol="udp", gateway="default/edge")
    (sample,) = carried(ConnectionSeries(labels=nowhere, opened=1))["istio_tcp_connections_opened_total"]
    assert sample.labels["request_protocol"] == "udp"
    assert sample.labels["response_flags"] == "NR"
    for name in ("destination_service", "destination_service_name", "source_principal", "destination_workload"):
        assert sample.labels[name] == "unknown", name


def test_a_tls_connection_is_tcp_with_a_security_policy() -> None:
    labels = msgspec.structs.replace(DATABASE, request_protocol="tls", connection_security_policy="tls")
    found = carried(CONNECTIONS, msgspec.structs.replace(CONNECTIONS, labels=labels))
    shown = [sample.labels for sample in found["istio_tcp_connections_opened_total"]]
    assert [one["request_protocol"] for one in shown] == ["tcp", "tcp"]
    assert [one["connection_security_policy"] for one in shown] == ["none", "tls"]


def test_connections_that_share_their_labels_are_one() -> None:
    same = msgspec.structs.replace(CONNECTIONS, labels=msgspec.structs.replace(DATABASE, request_protocol="tls"))
    found = carried(CONNECTIONS, CONNECTIONS, same)
    assert [[sample.value for sample in found[name]] for name in CONNECTION_METRICS] == [[15], [9], [150], [1500]]


def test_an_engine_that_tells_of_no_connections_has_none() -> None:
    found = samples(decode_statistics(b'{"workers": 1}'))
    assert not set(CONNECTION_METRICS) & set(found)


def test_registering_asks_the_engine_nothing() -> None:
    def fail() -> Statistics:
        raise AssertionError("asked")

    CollectorRegistry().register(GatewayCollector(fail, AgentState, dict))


def test_what_policies_do_is_counted_by_policy_and_effect() -> None:
    line = AuthorizationCounters(policy="shop/no-admin", effect="denied", count=3)
    (sample,) = samples(replace(STATISTICS, authorization=(line,)))["sekisho_authorization_decisions_total"]
    assert sample.value == 3
    assert sample.labels == {"policy": "shop/no-admin", "effect": "denied"}


def test_before_a_workload_the_destination_reports_who_called_it() -> None:
    source = Party(principal="spiffe://cluster.local/ns/shop/sa/web", workload_namespace="shop")
    destination = Party(
        principal="spiffe://cluster.local/ns/shop/sa/cart",
        workload="cart-v1",
        workload_namespace="shop",
        canonical_service="cart",
        canonical_revision="v1",
        cluster="east",
    )
    labels = msgspec.structs.replace(
        SHOP,
        reporter="destination",
        source=source,
        destination=destination,
        connection_security_policy="mutual_tls",
    )
    statistics = Statistics(series=(msgspec.structs.replace(STATISTICS.series[0], labels=labels),))
    (sample,) = samples(statistics)["istio_requests_total"]
    told = {name: sample.labels[name] for name in LABELS if name.startswith(("source_", "destination_"))}
    assert told | {"destination_service": "", "destination_service_name": "", "destination_service_namespace": ""} == {
        "source_workload": "unknown",
        "source_workload_namespace": "shop",
        "source_canonical_service": "unknown",
        "source_canonical_revision": "unknown",
        "source_cluster": "unknown",
        "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
        "destination_service": "",
        "destination_service_name": "",
        "destination_service_namespace": "",
        "destination_workload": "cart-v1",
        "destination_workload_namespace": "shop",
        "destination_canonical_service": "cart",
        "destination_canonical_revision": "v1",
        "destination_cluster": "east",
        "destination_principal": "spiffe://cluster.local/ns/shop/sa/cart",
    }
    assert (sample.labels["reporter"], sample.labels["connection_security_policy"]) == ("destination", "mutual_tls")
