"""Samples, their medians, and how they are written: JSON to compare, a table to read."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.sidecars import results as hops
from tests.bench.sidecars.results import HopMedian, HopSample
from tests.bench.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"
ENVOY_SHARE = 0.45
NGINX_FACTOR = 1.2
FLATNESS = 1.1


@dataclass(frozen=True)
class Sample:
    """One run of one workload on one proxy; latencies in milliseconds."""

    workload: str
    peer: str
    round: int
    requests: int
    failed: int
    cpu_us: float
    """CPU of the proxy for each request, in microseconds, by the kernel's accounting."""
    per_second: float
    p50: float
    p99: float
    memory: int


@dataclass(frozen=True)
class Median:
    """The median of each figure over the rounds."""

    workload: str
    peer: str
    cpu_us: float
    cpu_us_least: float
    cpu_us_most: float
    per_second: float
    p50: float
    p99: float
    memory: float
    failed: int


def medians(samples: Iterable[Sample]) -> list[Median]:
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.workload, sample.peer), []).append(sample)
    return [
        Median(
            workload=workload,
            peer=peer,
            cpu_us=statistics.median(sample.cpu_us for sample in group),
            cpu_us_least=min(sample.cpu_us for sample in group),
            cpu_us_most=max(sample.cpu_us for sample in group),
            per_second=statistics.median(sample.per_second for sample in group),
            p50=statistics.median(sample.p50 for sample in group),
            p99=statistics.median(sample.p99 for sample in group),
            memory=statistics.median(sample.memory for sample in group),
            failed=sum(sample.failed for sample in group),
        )
        for (workload, peer), group in groups.items()
    ]


def expectations(rows: Iterable[Median]) -> list[str]:
    """Each expected bound, with what was measured.

    The least of the rounds is held against it: whatever else a machine does only ever adds to a round, and on a
    machine shared with others it doubles some of them. The ratio of the medians is told beside it.
    """
    shown = list(rows)
    least = {(row.workload, row.peer): row.cpu_us_least for row in shown}
    median = {(row.workload, row.peer): row.cpu_us for row in shown}
    lines = []

    def compare(workload: str, other: tuple[str, str], bound: float, words: str) -> None:
        own = workload, "sekisho"
        if own not in least or other not in least:
            return
        verdict = "holds" if least[own] <= bound * least[other] else "DOES NOT HOLD"
        lines.append(
            f"{workload}: {least[own] / least[other]:.2f} of {words} (medians {median[own] / median[other]:.2f}), "
            f"expected at most {bound:g}: {verdict}"
        )

    for workload in WORKLOADS:
        compare(workload.name, (workload.name, "envoy"), ENVOY_SHARE, "Envoy's CPU for a request")
    compare("W1", ("W1", "nginx"), NGINX_FACTOR, "nginx's")
    for name in ("W5-hosts", "W5-paths"):
        compare(name, ("W1", "sekisho"), FLATNESS, "its own on W1")
    return lines


def table(rows: list[Median], through_sidecars: list[HopMedian], machine: dict[str, str], rounds: int) -> str:
    """Markdown."""
    lines = [
        "# CPU for each request, latency and memory",
        "",
        f"Medians of {rounds} interleaved rounds on {machine['cpu']} ({machine['kernel']}), {machine['date']}.",
        "One worker on one core; the load generator and the backend on another. The gateway runs with access log,",
        "metrics and tracing headers on, the others without access log. CPU is what the kernel accounts to the",
        "proxy's processes.",
        "",
    ]
    for workload in WORKLOADS:
        shown = [row for row in rows if row.workload == workload.name]
        if not shown:
            continue
        lines += [
            f"## {workload.name}: {workload.title}",
            "",
            *([workload.note, ""] if workload.note else []),
            "| proxy | CPU µs a request (least to most) | requests/s | p50 ms | p99 ms | memory MB | failed |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.peer} | {row.cpu_us:.1f} ({row.cpu_us_least:.1f} to {row.cpu_us_most:.1f}) "
            f"| {row.per_second:,.0f} | {row.p50:.2f} | {row.p99:.2f} | {row.memory / 1e6:.0f} | {row.failed} |"
            for row in shown
        ]
        lines.append("")
    lines += hops.section(through_sidecars)
    expected = [*expectations(rows), *hops.expectations(through_sidecars)]
    lines += ["## Expected, by the least of the rounds", "", *(f"* {line}" for line in expected)]
    return "\n".join(lines) + "\n"


def write(
    samples: list[Sample], hop_samples: list[HopSample], machine: dict[str, str], directory: Path = RESULTS
) -> str:
    """Write both files, and return the table."""
    directory.mkdir(parents=True, exist_ok=True)
    rows, through_sidecars = medians(samples), hops.medians(hop_samples)
    rounds = max([*(sample.round for sample in samples), *(sample.round for sample in hop_samples)]) + 1
    document = {
        "machine": machine,
        "medians": [dataclasses.asdict(row) for row in rows],
        "samples": [dataclasses.asdict(sample) for sample in samples],
        "sidecars": {
            "medians": [dataclasses.asdict(row) for row in through_sidecars],
            "samples": [dataclasses.asdict(sample) for sample in hop_samples],
        },
    }
    (directory / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    text = table(rows, through_sidecars, machine, rounds)
    (directory / "bench.md").write_text(text)
    return text
