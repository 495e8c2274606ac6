"""What the benchmark of the control planes makes of what it saw."""

from __future__ import annotations

from typing import Any

from tests.bench.control import objects, results
from tests.bench.control.peers import ENVOY_GATEWAY, SEKISHO
from tests.bench.control.probe import Tally, percentiles
from tests.bench.control.route_change import KINDS, State
from tests.bench.control.route_load import Site
from tests.bench.control.scale import Scale

MACHINE = {"cpu": "a CPU", "kernel": "a kernel", "date": "today", "cores": "2"}


def probe_of(peer: str, **figures: Any) -> dict[str, Any]:
    return {"peer": peer, "part": "probe", "load_average": [1.0, 2.0], "never": 0, "wrong_answers": 0, **figures}


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([float(number) for number in range(1, 101)]) == {"p50": 51, "p90": 91, "p99": 100, "max": 100}
    assert percentiles([7.0]) == {"p50": 7, "p90": 7, "p99": 7, "max": 7}
    assert percentiles([]) == {}


def test_a_route_that_is_never_served_counts_as_probed() -> None:
    tally = Tally(since_created=[1.0], since_sent=[2.0], never=1)
    assert (tally.figures()["probes"], tally.figures()["never"]) == (2, 1)


def test_each_change_of_the_route_shows_in_its_answers() -> None:
    state = State()
    seen = []
    for kind in KINDS:
        before = state.rule()
        state.toggle(kind)
        assert state.rule() != before
        marks = {"x-port": str(objects.BACKEND_PORTS[state.port])}
        marks |= {objects.MARK: "on"} if state.filter else {}
        marks |= {objects.BACKEND_MARK: "on"} if state.backend_filter else {}
        seen.append(marks)
        assert [state.seen(headers) for headers in seen] == [*[False] * (len(seen) - 1), True]


def test_a_smaller_run_has_some_of_everything() -> None:
    small = Scale().times(0.0001)
    assert (small.probes, small.toggles, small.load_namespaces) == (4, 4, 4)
    assert small.churn_per_second == Scale().churn_per_second
    site = Site(small)
    assert {manifest["metadata"]["namespace"] for manifest in site.everything()} <= {
        manifest["metadata"]["name"] for manifest in site.namespaces()
    }


def test_processes_are_told_apart_by_their_commands() -> None:
    assert SEKISHO.is_controller(["python", "/a/bin/sekisho", "controller", "--namespace", "x"])
    assert not SEKISHO.is_controller(["python", "/a/bin/sekisho", "gateway", "--controller", "https://x"])
    assert SEKISHO.is_gateway(["python", "/a/bin/sekisho", "gateway", "--controller", "https://x"])
    assert ENVOY_GATEWAY.is_controller(["/b/envoy-gateway", "server", "--config-path=/c"])
    assert not ENVOY_GATEWAY.is_controller(["/b/envoy-gateway", "envoy", "shutdown-manager"])
    assert ENVOY_GATEWAY.is_gateway(["/b/envoy", "--service-cluster", "x", "--service-node", "y"])


def test_the_table_holds_both_and_says_what_is_missing() -> None:
    ours = probe_of(SEKISHO.name, probes=3000, propagation_ms={"p50": 12.5, "p99": 200.0})
    theirs = probe_of(ENVOY_GATEWAY.name, probes=1200, wrong_answers=7)
    text = results.table([theirs, ours], Scale(), MACHINE)
    assert "| | Sekisho | Envoy Gateway 1.9.1 |" in text
    assert "| created → first 200, p50 ms | 12.5 | - |" in text
    assert "| answers other than 404, then 200 | 0 | 7 |" in text
    assert "probe: propagation p50, ms: 12.5, expected at most 30: holds" in text
    assert "probe: propagation p99, ms: 200.0, expected at most 150: DOES NOT HOLD" in text


def test_only_what_must_hold_on_any_machine_fails_a_run() -> None:
    slow = probe_of(SEKISHO.name, propagation_ms={"p50": 500.0, "p99": 900.0})
    assert results.failures([slow]) == []
    assert results.failures([{**slow, "wrong_answers": 2}]) == ["probe: answers other than 404, then 200: 2"]
