"""Samples of forward proxies, and how they are told."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.egress.client import Mode
from tests.bench.egress.peers import MANY, SEKISHO

FLATNESS = 1.2
COLUMNS = (
    "proxy",
    "CPU µs a tunnel",
    "tunnels a CPU-second",
    "tunnels/s",
    "CONNECT p50, p99 ms",
    "MB a CPU-second",
    "memory MB",
    "failed",
)


@dataclass(frozen=True)
class Sample:
    """One run of one kind of load on one proxy."""

    peer: str
    mode: Mode
    round: int
    done: int
    failed: int
    error: str
    received: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    memory: int

    @property
    def figure(self) -> float:
        """Microseconds of CPU for a tunnel, or bytes for a second of CPU."""
        if self.mode == "tunnels":
            return self.cpu_seconds / max(self.done, 1) * 1e6
        return self.received / max(self.cpu_seconds, 1e-3)


def told(sample: Sample) -> str:
    figure = (
        f"{sample.figure:7.1f} µs CPU a tunnel, {sample.done / sample.seconds:6,.0f} tunnels/s"
        if sample.mode == "tunnels"
        else f"{sample.figure / 1e6:7,.0f} MB a CPU-second, {sample.received / sample.seconds / 1e6:6,.0f} MB/s"
    )
    return (
        f"round {sample.round + 1}  {sample.peer:13} {figure}, p99 {sample.p99_ms:.2f} ms, "
        f"{sample.memory / 1e6:.0f} MB, {sample.failed} failed {sample.error}"
    )


def table(samples: Sequence[Sample], machine: dict[str, str], tables: dict[str, int]) -> str:
    """Markdown: the median of the rounds, and the best of them."""
    rounds = max(sample.round for sample in samples) + 1
    lines = [
        "# Forward proxies: tunnels and bytes",
        "",
        f"Medians of {rounds} interleaved rounds on {machine['cpu']} ({machine['kernel']}), {machine['date']}.",
        "One worker on one core; client and destination on another. The gateway decides, vets addresses and records",
        "every tunnel; `sekisho-1000` does so among 1,000 policies of ten rules with 50,000 names. The others keep no",
        "log. In brackets the best of the rounds: what else a machine does only ever adds.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"{'|---' * len(COLUMNS)}|",
    ]
    best: dict[str, float] = {}
    for peer in dict.fromkeys(sample.peer for sample in samples):
        tunnels = [sample for sample in samples if sample.peer == peer and sample.mode == "tunnels"]
        moved = [sample.figure / 1e6 for sample in samples if sample.peer == peer and sample.mode == "bytes"]
        cost = statistics.median(sample.figure for sample in tunnels)
        best[peer] = min(sample.figure for sample in tunnels)
        rate = statistics.median(sample.done / sample.seconds for sample in tunnels)
        p50, p99 = (statistics.median(getattr(it, name) for it in tunnels) for name in ("p50_ms", "p99_ms"))
        bytes_told = f"{statistics.median(moved):,.0f} ({max(moved):,.0f})" if moved else "-"
        memory = statistics.median(sample.memory for sample in tunnels) / 1e6
        failed = sum(sample.failed for sample in samples if sample.peer == peer)
        lines.append(
            f"| {peer} | {cost:.0f} ({best[peer]:.0f}) | {1e6 / cost:,.0f} | {rate:,.0f} | {p50:.2f}, {p99:.2f} "
            f"| {bytes_told} | {memory:.0f} | {failed} |"
        )
    lines += ["", *(f"* Table of `{peer}`: {size / 1e6:.2f} MB." for peer, size in tables.items())]
    if SEKISHO.name in best and MANY.name in best:
        growth = best[MANY.name] / best[SEKISHO.name]
        verdict = "holds" if growth <= FLATNESS else "DOES NOT HOLD"
        lines.append(
            f"* A tunnel among 50,000 names costs {growth:.2f} of one among few, {FLATNESS} at the most: {verdict}."
        )
    return "\n".join(lines) + "\n"
