"""Runs the benchmark of forward proxies: ``python -m tests.bench.egress [--rounds N] [--seconds S] [--peer …]``.

Tunnels one after the other, each with a small answer through it, and bytes from the destination. What counts is the CPU
of the proxy, by the kernel's accounting: the client is slower than any of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.egress.client import SMALL, Mode
from tests.bench.egress.peers import MANY, NAME, PEERS, SEKISHO, Peer, Site
from tests.bench.egress.results import Sample, table, told
from tests.bench.machine import Cores, PinnedProcess, choose_cores, describe
from tests.bench.nginx import start_nginx
from tests.bench.results import RESULTS
from tests.support.ports import free_port

AT_ONCE: dict[Mode, int] = {"tunnels": 8, "bytes": 2}
LARGE_BYTES = 64 << 20
_ROOT = Path(__file__).parents[3]


def start_destination(directory: Path, core: int) -> tuple[PinnedProcess, int]:
    """nginx, with a small answer and a large file."""
    port = free_port()
    directory.mkdir()
    with (directory / "large").open("wb") as file:
        file.truncate(LARGE_BYTES)
    process = start_nginx(
        directory,
        core,
        f"""
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "{SMALL.decode()}"; }}
    location /large {{ root {directory}; }}
  }}
""",
    )
    return process, port


def load(mode: Mode, proxy: int, target: int, core: int, seconds: float) -> dict[str, Any]:
    command = ["taskset", "--cpu-list", str(core), sys.executable, "-m", "tests.bench.egress.client"]
    command += ["--mode", mode, "--proxy", str(proxy), "--target", f"{NAME}:{target}"]
    command += ["--seconds", str(seconds), "--at-once", str(AT_ONCE[mode])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds * 3 + 60, cwd=_ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Bench:
    """One destination, and every proxy in its turn before it."""

    def __init__(self, directory: Path, cores: Cores, seconds: float) -> None:
        self._directory, self._cores, self._seconds = directory, cores, seconds
        self._destination, self._target = start_destination(directory / "destination", cores.others)
        self.tables: dict[str, int] = {}
        """Bytes of the table that a gateway keeps."""

    def close(self) -> None:
        self._destination.stop()

    def samples(self, peer: Peer, turn: int, modes: Sequence[Mode]) -> list[Sample]:
        directory = self._directory / f"{peer.name}-{turn}"
        directory.mkdir()
        site = Site(free_port(), self._target, directory)
        process = peer.start(site, self._cores.proxy)
        try:
            load("tunnels", site.port, self._target, self._cores.others, min(1.0, self._seconds))
            found = [self._sample(process, peer, site, mode, turn) for mode in modes]
            tables = list((directory / "state").glob("table*.json"))
            if tables:
                self.tables[peer.name] = max(file.stat().st_size for file in tables)
            return found
        finally:
            process.stop()

    def _sample(self, process: PinnedProcess, peer: Peer, site: Site, mode: Mode, turn: int) -> Sample:
        before = process.family_cpu_seconds()
        counted = load(mode, site.port, self._target, self._cores.others, self._seconds)
        spent = process.family_cpu_seconds() - before
        shares = counted["shares"]
        latencies = sorted(latency for share in shares for latency in share["latencies"]) or [0.0]
        return Sample(
            peer=peer.name,
            mode=mode,
            round=turn,
            done=sum(share["done"] for share in shares),
            failed=sum(share["failed"] for share in shares),
            error=next((share["error"] for share in shares if share["error"]), ""),
            received=sum(share["bytes"] for share in shares),
            seconds=counted["seconds"],
            cpu_seconds=spent,
            p50_ms=latencies[len(latencies) // 2],
            p99_ms=latencies[len(latencies) * 99 // 100],
            memory=process.memory_bytes(),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="one short round: does the harness work?")
    chosen = parser.parse_args()
    rounds, seconds = (1, 0.5) if chosen.smoke else (chosen.rounds, chosen.seconds)
    peers = [peer for peer in PEERS if not chosen.peer or peer.name in chosen.peer]
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        bench = Bench(directory, choose_cores(), seconds)
        try:
            for turn in range(rounds):
                for peer in [*peers[turn % len(peers) :], *peers[: turn % len(peers)]]:
                    modes: Sequence[Mode] = ("tunnels",) if peer is MANY else ("tunnels", "bytes")
                    for sample in bench.samples(peer, turn, modes):
                        samples.append(sample)
                        print(told(sample), flush=True)
        finally:
            bench.close()
        machine = describe()
        text = table(samples, machine, bench.tables)
        print(text)
        if not chosen.smoke:
            chosen.output.mkdir(parents=True, exist_ok=True)
            document = {"machine": machine, "tables": bench.tables, "samples": [asdict(sample) for sample in samples]}
            (chosen.output / "egress.json").write_text(json.dumps(document, indent=2) + "\n")
            (chosen.output / "egress.md").write_text(text)
    ours = {SEKISHO.name, MANY.name}
    broken = [sample for sample in samples if not sample.done or (sample.failed and sample.peer in ours)]
    for sample in broken:
        print(f"{sample.peer}, {sample.mode}: {sample.failed} failed: {sample.error}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
