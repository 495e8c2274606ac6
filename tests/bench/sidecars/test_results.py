"""What the benchmark of sidecars makes of its samples."""

from __future__ import annotations

from tests.bench.sidecars.results import NONE, HopSample, expectations, medians, section


def without(turn: int, p50: float, p99: float) -> HopSample:
    return HopSample(NONE, turn, p50=p50, p99=p99, failed=0)


def through(name: str, turn: int, cpu: tuple[float, float], p50: float, p99: float) -> HopSample:
    outbound, inbound = cpu
    return HopSample(
        name, turn, p50=p50, p99=p99, failed=0, requests=9, outbound_cpu_us=outbound, inbound_cpu_us=inbound
    )


SAMPLES = [
    without(0, 0.25, 1.0),
    without(1, 0.5, 3.0),
    through("sekisho", 0, (4.0, 5.0), 0.5, 2.0),
    through("sekisho", 1, (6.0, 7.0), 1.0, 5.0),
    through("envoy", 0, (10.0, 10.0), 1.25, 3.0),
    through("envoy", 1, (14.0, 14.0), 2.5, 9.0),
]


def test_what_is_added_is_against_the_same_round() -> None:
    own = {row.sidecars: row for row in medians(SAMPLES)}["sekisho"]
    assert (own.added_p50, own.added_p99) == (0.375, 1.5)
    assert (own.cpu_us, own.cpu_us_least, own.cpu_us_most) == (11.0, 9.0, 13.0)


def test_the_bound_is_held_against_the_least_of_the_rounds() -> None:
    cpu, latency = expectations(medians(SAMPLES))
    assert cpu.startswith("sidecars: 0.45 of Envoy's CPU")
    assert cpu.endswith(": holds")
    assert "0.38 ms to p50 and 1.50 ms to p99, Envoy's 1.50 ms and 4.00 ms" in latency
    dear = [*SAMPLES[:2], through("sekisho", 0, (5.0, 5.0), 1.0, 1.0), *SAMPLES[4:]]
    assert expectations(medians(dear))[0].endswith(": DOES NOT HOLD")


def test_nothing_is_expected_of_what_was_not_measured() -> None:
    assert expectations(medians(SAMPLES[:4])) == []
    assert section(medians([])) == []


def test_the_table_has_a_cell_for_every_column() -> None:
    rows = [line for line in section(medians(SAMPLES)) if line.startswith("|")]
    assert len(rows) == 5
    assert {row.count("|") for row in rows} == {13}
