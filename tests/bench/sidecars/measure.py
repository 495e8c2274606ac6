"""The call through two sidecars and the call without, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.backend import Backend
from tests.bench.load import Load, generate, generate_steadily, warm
from tests.bench.machine import Cores, PinnedProcess
from tests.bench.sidecars.envoy import EnvoySidecars
from tests.bench.sidecars.pair import Sidecars
from tests.bench.sidecars.results import NONE, HopSample
from tests.bench.sidecars.sekisho import SekishoSidecars
from tests.bench.workloads import Workload

SIDECARS: tuple[Sidecars, ...] = (SekishoSidecars(), EnvoySidecars())
WORKLOAD = Workload("sidecars", "HTTP/1.1 → mTLS HTTP/1.1 → app, 64 connections", "http1")
WARM_SECONDS = 1
STEADY_SECONDS = 3


@dataclass(frozen=True)
class HopBench:
    """The app is the backend of the other workloads; sidecars share the proxy's core."""

    directory: Path
    cores: Cores
    backend: Backend
    seconds: int

    def measure(self, kinds: Sequence[Sidecars], rounds: int) -> list[HopSample]:
        """Who goes first changes from round to round."""
        samples = []
        for turn in range(rounds):
            kinds_in_turn = [None, *kinds]
            shift = turn % len(kinds_in_turn)
            for kind in [*kinds_in_turn[shift:], *kinds_in_turn[:shift]]:
                sample = self._without(turn) if kind is None else self._through(kind, turn)
                samples.append(sample)
                print(f"round {turn + 1}  {sample.line()}", flush=True)
        return samples

    def _without(self, turn: int) -> HopSample:
        directory = self._folder(NONE, turn)
        load = self._steady(self.backend.http1, directory)
        return HopSample(sidecars=NONE, round=turn, p50=load.p50, p99=load.p99, failed=load.failed)

    def _through(self, kind: Sidecars, turn: int) -> HopSample:
        directory = self._folder(kind.name, turn)
        with ExitStack() as stack:
            pair = kind.start(stack, directory, self.backend.http1, self.cores.proxy)
            pair.wait_until_it_carries()
            sides = (pair.outbound, pair.inbound)
            warm(WORKLOAD, pair.port, self.cores.others, directory, min(WARM_SECONDS, self.seconds))
            before = _spent(sides)
            full = generate(WORKLOAD, pair.port, self.cores.others, directory, self.seconds)
            between = _spent(sides)
            steady = self._steady(pair.port, directory)
            after = _spent(sides)
            memory = pair.inbound.memory_bytes()
        outbound, inbound = (
            (end - start) / max(full.requests, 1) * 1e6 for start, end in zip(before, between, strict=True)
        )
        return HopSample(
            sidecars=kind.name,
            round=turn,
            requests=full.requests,
            failed=full.failed + steady.failed,
            outbound_cpu_us=outbound,
            inbound_cpu_us=inbound,
            steady_cpu_us=(sum(after) - sum(between)) / max(steady.requests, 1) * 1e6,
            per_second=full.per_second,
            p50=steady.p50,
            p99=steady.p99,
            memory=memory,
        )

    def _steady(self, port: int, directory: Path) -> Load:
        return generate_steadily(port, self.cores.others, directory, min(STEADY_SECONDS, self.seconds))

    def _folder(self, name: str, turn: int) -> Path:
        directory = self.directory / f"sidecars-{name}-{turn}"
        directory.mkdir()
        return directory


def _spent(sides: tuple[PinnedProcess, PinnedProcess]) -> tuple[float, float]:
    """Seconds of CPU of the caller's side and of the app's."""
    return sides[0].family_cpu_seconds(), sides[1].family_cpu_seconds()
