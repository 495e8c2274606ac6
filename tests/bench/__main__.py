"""Runs the benchmark: ``python -m tests.bench [--rounds N] [--seconds S] [--workload W1 …] [--peer sekisho …]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import results
from tests.bench.backend import Backend, start_backend
from tests.bench.identities import Identities
from tests.bench.load import generate, warm
from tests.bench.machine import Cores, choose_cores, describe
from tests.bench.peers import PEERS, Peer, Site
from tests.bench.peers.sekisho import Sekisho
from tests.bench.results import Sample
from tests.bench.sidecars.measure import SIDECARS, HopBench
from tests.bench.sidecars.measure import WORKLOAD as THROUGH_SIDECARS
from tests.bench.sidecars.results import NONE, OURS, HopSample
from tests.bench.workloads import WORKLOADS, Workload
from tests.support.ports import free_port

WARM_SECONDS = 1


class Bench:
    """One backend, and every proxy in its turn before it."""

    def __init__(self, directory: Path, cores: Cores, seconds: int) -> None:
        self._directory = directory
        self._cores = cores
        self._seconds = seconds
        self._identities = Identities.issue(directory)
        self.backend: Backend = start_backend(directory / "backend", cores.others, self._identities)

    def close(self) -> None:
        self.backend.process.stop()

    def sample(self, peer: Peer, workload: Workload, turn: int) -> Sample:
        """Start the proxy, warm it, measure it, end it."""
        directory = self._directory / f"{peer.name}-{workload.name}-{turn}"
        directory.mkdir()
        site = Site(free_port(), self.backend, workload, directory, self._identities)
        process = peer.start(site, self._cores.proxy)
        try:
            warm(workload, site.port, self._cores.others, directory, min(WARM_SECONDS, self._seconds))
            before = process.family_cpu_seconds()
            load = generate(workload, site.port, self._cores.others, directory, self._seconds)
            spent = process.family_cpu_seconds() - before
            memory = process.memory_bytes()
        finally:
            process.stop()
        return Sample(
            workload=workload.name,
            peer=peer.name,
            round=turn,
            requests=load.requests,
            failed=load.failed,
            cpu_us=spent / max(load.requests, 1) * 1e6,
            per_second=load.per_second,
            p50=load.p50,
            p99=load.p99,
            memory=memory,
        )


def measure(bench: Bench, workloads: Sequence[Workload], peers: Sequence[Peer], rounds: int) -> list[Sample]:
    """Every workload on every proxy, interleaved: who goes first changes from round to round."""
    samples = []
    for turn in range(rounds):
        for workload in workloads:
            shift = turn % len(peers)
            for peer in [*peers[shift:], *peers[:shift]]:
                sample = bench.sample(peer, workload, turn)
                samples.append(sample)
                print(
                    f"round {turn + 1}  {sample.workload:9} {sample.peer:8} {sample.cpu_us:7.1f} µs CPU a request, "
                    f"{sample.per_second:8,.0f} requests/s, p99 {sample.p99:.2f} ms, "
                    f"{sample.memory / 1e6:.0f} MB, {sample.failed} failed",
                    flush=True,
                )
    return samples


def arguments() -> argparse.Namespace:
    names = [*(workload.name for workload in WORKLOADS), THROUGH_SIDECARS.name]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--workload", action="append", choices=names)
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--output", type=Path, default=results.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="one short round: does the harness work?")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    rounds, seconds = (1, 1) if chosen.smoke else (chosen.rounds, chosen.seconds)
    workloads = [workload for workload in WORKLOADS if not chosen.workload or workload.name in chosen.workload]
    peers = [peer for peer in PEERS if not chosen.peer or peer.name in chosen.peer]
    sidecars = [kind for kind in SIDECARS if not chosen.peer or kind.name in chosen.peer]
    hops: list[HopSample] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        cores = choose_cores()
        bench = Bench(directory, cores, seconds)
        try:
            samples = measure(bench, workloads, peers, rounds)
            if not chosen.workload or THROUGH_SIDECARS.name in chosen.workload:
                hops = HopBench(directory, cores, bench.backend, seconds).measure(sidecars, rounds)
        finally:
            bench.close()
        output = directory / "results" if chosen.smoke else chosen.output
        print(results.write(samples, hops, describe(), output))
    broken = [*failures(samples), *hop_failures(hops)]
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


def failures(samples: Sequence[Sample]) -> list[str]:
    """A peer that drops a request is in the table; only ours makes the run a failure."""
    return [
        f"{sample.peer} on {sample.workload}: {sample.failed} failed of {sample.requests}"
        for sample in samples
        if not sample.requests or (sample.failed and sample.peer == Sekisho.name)
    ]


def hop_failures(samples: Sequence[HopSample]) -> list[str]:
    """Likewise of sidecars."""
    return [
        f"sidecars of {sample.sidecars}: {sample.failed} failed of {sample.requests}"
        for sample in samples
        if (not sample.requests and sample.sidecars != NONE) or (sample.failed and sample.sidecars == OURS)
    ]


if __name__ == "__main__":
    sys.exit(main())
