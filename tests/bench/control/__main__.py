"""Runs the benchmark of the control planes: ``make bench-control``, ``python -m tests.bench.control --scale 0.02``.

Each part of each peer has a cluster of its own, started and ended by ``conformance/run``; who goes first alternates.
Needs root.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.control import results
from tests.bench.control.envoy_gateway import VERSION, Programs, programs
from tests.bench.control.peers import ENVOY_GATEWAY, PEERS, SEKISHO, Peer
from tests.bench.control.run import run_told
from tests.bench.control.scale import PARTS, Scale
from tests.bench.machine import describe

_ROOT = Path(__file__).parents[3]
_STATE = _ROOT / ".state" / "bench-control"
_SLACK_MINUTES = 8.0
"""For a cluster's start, installation and end, and for builds on a first run."""


class Bench:
    """Runs parts, and remembers what they gave."""

    def __init__(self, scale: Scale, envoy_gateway: Programs | None, output: Path | None) -> None:
        self._scale = scale
        self._envoy_gateway = envoy_gateway
        self._output = output
        self.found: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def run(self, part: str, peer: Peer) -> None:
        """One part of one peer. A failure is told, and does not keep the others from running."""
        began = time.monotonic()
        print(f"{part}, {peer.title}: a cluster is started", flush=True)
        file = _STATE / f"{part}-{peer.name}.json"
        file.unlink(missing_ok=True)
        with (_STATE / f"{part}-{peer.name}.log").open("w") as log:
            code = self._execute(peer, part, file, log)
        if code or not file.is_file():
            self.failed.append(f"{part} of {peer.title} ended with {code}: see {log.name}")
            print(f"  {self.failed[-1]}", file=sys.stderr, flush=True)
            return
        self.found.append(json.loads(file.read_text()))
        print(f"  done after {time.monotonic() - began:.0f} s", flush=True)
        if self._output is not None:
            self.write(self._output)

    def _execute(self, peer: Peer, part: str, file: Path, log: Any) -> int:
        options = ["--install", str(peer.install), "--state", str(_STATE / "cluster")]
        environment: dict[str, str] = {}
        if peer is ENVOY_GATEWAY:
            assert self._envoy_gateway is not None
            environment = self._envoy_gateway.environment()
            options += ["--images", str(self._envoy_gateway.images(_STATE))]
        inside = [sys.executable, "-m", "tests.bench.control.inside", peer.name, part, str(file)]
        command = [str(_ROOT / "conformance" / "run"), *options, "installed", "--", *inside]
        command.append(json.dumps(asdict(self._scale)))
        limit = (self._scale.minutes + _SLACK_MINUTES) * 60
        return run_told(command, log, environment, limit)

    def write(self, directory: Path) -> str:
        return results.write(self.found, self._scale, describe(), directory)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of all that is counted; 0.02 shows that all works")
    parser.add_argument("--part", action="append", choices=PARTS, help="may be repeated; all of them otherwise")
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--probes", type=int, help=f"instead of {Scale().probes}")
    parser.add_argument("--minutes", type=float, default=Scale().minutes, help="bound of one part of one peer")
    parser.add_argument("--output", type=Path, help="folder of the results; a run of less than everything writes none")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    scale = Scale(minutes=chosen.minutes).times(chosen.scale)
    if chosen.probes:
        scale = Scale(**{**asdict(scale), "probes": chosen.probes})
    parts = [part for part in PARTS if not chosen.part or part in chosen.part]
    peers = [peer for peer in PEERS if not chosen.peer or peer.name in chosen.peer]
    whole = (parts, peers, chosen.scale) == (list(PARTS), list(PEERS), 1.0)
    _STATE.mkdir(parents=True, exist_ok=True)
    try:
        built = programs(_ROOT) if ENVOY_GATEWAY in peers else None
    except subprocess.CalledProcessError as error:
        print(f"Envoy Gateway {VERSION} could not be built: {error}", file=sys.stderr)
        return 1
    output = chosen.output or (results.RESULTS if whole else None)
    bench = Bench(scale, built, output)
    for number, part in enumerate(parts):
        for peer in peers if number % 2 == 0 else peers[::-1]:
            bench.run(part, peer)
    if bench.found:
        print(bench.write(output or _STATE))
    # What Envoy Gateway does wrong is in the table; only ours makes the run a failure.
    wrong = results.failures([found for found in bench.found if found["peer"] == SEKISHO.name])
    for line in [*wrong, *bench.failed]:
        print(line, file=sys.stderr)
    return 1 if wrong or bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
