"""Samples of calls through sidecars, their medians, and the section of the table that shows them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from tests.bench.load import STEADY_PER_SECOND

NONE = "none"
OURS, THEIRS = "sekisho", "envoy"
ENVOY_SHARE = 0.45
_HEAD = (
    "| sidecars | CPU µs a request, both (least to most) | caller's | app's | both, steady | requests/s "
    "| p50 ms | p99 ms | added to p50 | added to p99 | memory MB each | failed |"
)


@dataclass(frozen=True)
class HopSample:
    """One run of one kind of sidecars, or of none: then only latencies mean something. Latencies in milliseconds."""

    sidecars: str
    round: int
    p50: float
    """At a steady rate, as is p99."""
    p99: float
    failed: int
    requests: int = 0
    outbound_cpu_us: float = 0.0
    """CPU of the caller's sidecar for each request, in microseconds, with all that the core can carry."""
    inbound_cpu_us: float = 0.0
    """CPU of the app's sidecar."""
    steady_cpu_us: float = 0.0
    """CPU of both for each request at the steady rate."""
    per_second: float = 0.0
    memory: int = 0
    """Bytes of the app's sidecar."""

    @property
    def cpu_us(self) -> float:
        return self.outbound_cpu_us + self.inbound_cpu_us

    def line(self) -> str:
        latency = f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms at {STEADY_PER_SECOND:,} requests/s"
        if self.sidecars == NONE:
            return f"sidecars  {self.sidecars:8} {latency}, {self.failed} failed"
        return (
            f"sidecars  {self.sidecars:8} {self.outbound_cpu_us:.1f} + {self.inbound_cpu_us:.1f} µs CPU a request, "
            f"{self.per_second:8,.0f} requests/s, {latency}, {self.failed} failed"
        )


@dataclass(frozen=True)
class HopMedian:
    """The median of each figure over the rounds; what is added is against the same round's call without sidecars."""

    sidecars: str
    cpu_us: float
    cpu_us_least: float
    cpu_us_most: float
    outbound_cpu_us: float
    inbound_cpu_us: float
    steady_cpu_us: float
    per_second: float
    p50: float
    p99: float
    added_p50: float
    added_p99: float
    memory: float
    failed: int


def medians(samples: Iterable[HopSample]) -> list[HopMedian]:
    groups: dict[str, list[HopSample]] = {}
    for sample in samples:
        groups.setdefault(sample.sidecars, []).append(sample)
    without = {sample.round: sample for sample in groups.get(NONE, [])}
    return [
        HopMedian(
            sidecars=name,
            cpu_us=statistics.median(sample.cpu_us for sample in group),
            cpu_us_least=min(sample.cpu_us for sample in group),
            cpu_us_most=max(sample.cpu_us for sample in group),
            outbound_cpu_us=statistics.median(sample.outbound_cpu_us for sample in group),
            inbound_cpu_us=statistics.median(sample.inbound_cpu_us for sample in group),
            steady_cpu_us=statistics.median(sample.steady_cpu_us for sample in group),
            per_second=statistics.median(sample.per_second for sample in group),
            p50=statistics.median(sample.p50 for sample in group),
            p99=statistics.median(sample.p99 for sample in group),
            added_p50=statistics.median(sample.p50 - without[sample.round].p50 for sample in group),
            added_p99=statistics.median(sample.p99 - without[sample.round].p99 for sample in group),
            memory=statistics.median(sample.memory for sample in group),
            failed=sum(sample.failed for sample in group),
        )
        for name, group in groups.items()
    ]


def section(rows: list[HopMedian]) -> list[str]:
    """Markdown; nothing where nothing was measured."""
    if not rows:
        return []
    lines = [
        "## sidecars: HTTP/1.1 → mTLS HTTP/1.1 → app, through the caller's sidecar and the app's",
        "",
        "Both on one core. CPU is with 64 connections that never wait; steady is at",
        f"{STEADY_PER_SECOND:,} requests/s, where latencies (in ms) are measured. What is added to them is against",
        "the same call without sidecars.",
        "",
        _HEAD,
        "|" + "---|" * (_HEAD.count("|") - 1),
    ]
    for row in rows:
        latencies = f"{row.p50:.2f} | {row.p99:.2f}"
        if row.sidecars == NONE:
            lines.append(f"| {row.sidecars} | | | | | | {latencies} | | | | {row.failed} |")
            continue
        lines.append(
            f"| {row.sidecars} | {row.cpu_us:.1f} ({row.cpu_us_least:.1f} to {row.cpu_us_most:.1f}) "
            f"| {row.outbound_cpu_us:.1f} | {row.inbound_cpu_us:.1f} | {row.steady_cpu_us:.1f} | {row.per_second:,.0f} "
            f"| {latencies} | {row.added_p50:.2f} | {row.added_p99:.2f} | {row.memory / 1e6:.0f} | {row.failed} |"
        )
    return [*lines, ""]


def expectations(rows: Iterable[HopMedian]) -> list[str]:
    """The bound on CPU, by the least of the rounds as for the other workloads."""
    known = {row.sidecars: row for row in rows}
    if OURS not in known or THEIRS not in known:
        return []
    own, other = known[OURS], known[THEIRS]
    verdict = "holds" if own.cpu_us_least <= ENVOY_SHARE * other.cpu_us_least else "DOES NOT HOLD"
    cpu = (
        f"sidecars: {own.cpu_us_least / other.cpu_us_least:.2f} of Envoy's CPU for a request through both "
        f"(medians {own.cpu_us / other.cpu_us:.2f}), expected at most {ENVOY_SHARE:g}: {verdict}"
    )
    latency = (
        f"sidecars: both add {own.added_p50:.2f} ms to p50 and {own.added_p99:.2f} ms to p99, "
        f"Envoy's {other.added_p50:.2f} ms and {other.added_p99:.2f} ms"
    )
    return [cpu, latency]
