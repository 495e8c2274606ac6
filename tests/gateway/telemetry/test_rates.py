from __future__ import annotations

import pytest

from gateway.telemetry.rates import Rates, percentile, rates
from gateway.telemetry.sampler import Sampler
from gateway.telemetry.statistics import Labels, ListenerCounters, RouteCounters, Series, Statistics

BOUNDS = (1.0, 10.0, 100.0)


def reading(requests: int, code: int = 200, buckets: tuple[int, ...] = (), name: str = "shop") -> Statistics:
    labels = Labels(response_code=code, destination_service_name=name, destination_service_namespace="default")
    return Statistics(
        series=(Series(labels=labels, requests=requests, duration_buckets=buckets),),
        duration_bounds_ms=BOUNDS,
        listeners=(ListenerCounters(key="default/edge/http", requests=requests),),
        routes_hit=(RouteCounters(route="HTTPRoute/default/shop/0", requests=requests),),
    )


def test_rates_are_what_grew_over_the_time_it_took() -> None:
    found = rates(reading(100, buckets=(100, 0, 0, 0)), reading(150, buckets=(100, 50, 0, 0)), 5.0)
    assert found.total.requests_per_second == 10.0
    assert found.total.classes == {"2xx": 10.0}
    assert found.listeners == {"default/edge/http": 10.0}
    assert found.routes == {"HTTPRoute/default/shop/0": 10.0}
    assert found.backends["default/shop"].requests_per_second == 10.0
    assert found.total.latency_ms == {"p50": 5.5, "p90": 9.1, "p99": 9.91}


def test_a_counter_that_went_back_counts_from_zero() -> None:
    assert rates(reading(1_000), reading(10), 1.0).total.requests_per_second == 10.0


def test_answers_of_the_gateway_itself_have_a_group_of_their_own() -> None:
    found = rates(Statistics(), reading(4, code=404, name=""), 2.0)
    assert found.backends["-"].classes == {"4xx": 2.0}


def test_a_client_that_left_before_an_answer_is_not_a_success() -> None:
    assert rates(Statistics(), reading(3, code=0), 1.0).total.classes == {"none": 3.0}


def test_without_traffic_there_is_no_latency() -> None:
    assert rates(reading(5, buckets=(5, 0, 0, 0)), reading(5, buckets=(5, 0, 0, 0)), 1.0).total.latency_ms == {}


def test_without_time_there_are_no_rates() -> None:
    assert rates(reading(1), reading(2), 0.0) == Rates()


@pytest.mark.parametrize(
    ("buckets", "percent", "expected"),
    [
        ((10, 0, 0, 0), 50, 0.5),
        ((0, 10, 0, 0), 50, 5.5),
        ((5, 5, 0, 0), 50, 1.0),
        ((0, 0, 0, 10), 99, 100.0),
        ((0, 0, 0, 0), 99, 100.0),
    ],
)
def test_percentiles_are_interpolated_and_stop_at_the_last_bound(
    buckets: tuple[int, ...], percent: int, expected: float
) -> None:
    assert percentile(buckets, BOUNDS, percent) == pytest.approx(expected)


def test_the_sampler_reads_at_most_once_a_second_and_forgets_what_is_older_than_its_window() -> None:
    now = 0.0
    asked: list[float] = []

    def read() -> Statistics:
        asked.append(now)
        return reading(int(now * 100))

    sampler = Sampler(read, lambda: now)
    for step in range(200):
        now = step / 10
        _, found = sampler.look()
    assert len(asked) <= 22
    assert found.total.requests_per_second == pytest.approx(100.0)
    assert found.window_seconds <= 7
