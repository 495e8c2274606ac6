"""Certificates of 30 s life under constant load, through 20 renewals and a change of roots: nothing may fail.

Run as ``python -m tests.e2e.soak_identities [--renewals N] [--lifetime SECONDS] [--without-overlap]``; needs root, for
network namespaces. Prints how often each data plane was renewed, what its peers saw of that, and what failed.

Two ways lead to one workload that takes mutual TLS alone: by the edge, and by the sidecar of another workload. Sidecars
join by tokens and renew by the certificate before; the edge has the authority in its own process. Long streams last
through all of it, and new connections shake hands with whatever certificates and roots are in force.
``--without-overlap`` changes the root at once instead of by phases, and must fail: that shows that the test can.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.ca.directory import AuthorityDirectory
from controller.ca.material import Material
from controller.ca.root import Root
from tests.support.authorities import utc_now
from tests.support.load import Tally, describe, summed
from tests.support.load_process import Done
from tests.support.mesh import MeshNetwork
from tests.support.namespaces import missing
from tests.support.processes import ManagedProcess
from tests.support.sekisho import run_sekisho
from tests.support.short_lived_mesh import PLACES, DataPlane, data_planes, running, shown_by_server

RENEWALS = 20
LIFETIME = 30
LATEST = 4 / 5
"""By this part of its life a certificate is renewed."""
_LOOK_SECONDS = 0.5
_MOST_WARNINGS = 20


class Rotation:
    """A change of roots, by the command that people use: each phase as soon as the command lets it begin."""

    def __init__(self, mesh: MeshNetwork, lifetime: int, *, overlap: bool) -> None:
        self._path = mesh.authority
        self._directory = AuthorityDirectory(mesh.authority, utc_now)
        self._overlap = overlap
        self._pause = lifetime + 1.0
        self._due = time.monotonic() + lifetime
        self.bundle = self._first = self._directory.read().bundle_pem
        """What is trusted now."""
        self.phases: list[str] = []

    @property
    def is_complete(self) -> bool:
        return self.phases[-1:] in (["stable"], ["replaced"])

    def go_on(self) -> None:
        if self.is_complete or time.monotonic() < self._due:
            return
        self.phases.append(self._next_phase() if self._overlap else self._replaced())
        self.bundle = self._directory.read().bundle_pem
        self._due = time.monotonic() + self._pause

    def _next_phase(self) -> str:
        done = run_sekisho("ca", "rotate", "--ca-dir", self._path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.partition(":")[0]

    def _replaced(self) -> str:
        with self._directory.locked():
            self._directory.save(Material(Root.create(utc_now())))
        return "replaced"

    def is_another_root(self) -> bool:
        """Whether nothing that was trusted in the beginning is trusted now."""
        return self._first not in self.bundle and self.bundle.count("BEGIN CERTIFICATE") == 1


@dataclass
class Outcome:
    """What came of it."""

    seconds: float
    planes: list[DataPlane]
    rotation: Rotation
    verified_by_new_root: bool
    tallies: dict[str, list[Tally]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@contextmanager
def load(mesh: MeshNetwork) -> Iterator[dict[str, ManagedProcess]]:
    """A process of load in each calling workload."""
    with ExitStack() as stack:
        processes = {}
        for name, places in PLACES.items():
            command = [sys.executable, "-m", "tests.support.load_process", json.dumps(places)]
            process = ManagedProcess(mesh.workloads[name].inside.command(*command), mesh.directory / f"load-{name}.log")
            processes[name] = stack.enter_context(process)
        yield processes


def soak(directory: Path, renewals: int, lifetime: int, *, overlap: bool) -> Outcome:
    with running(directory, lifetime) as mesh:
        planes = data_planes(mesh)
        with load(mesh) as processes:
            rotation = Rotation(mesh, lifetime, overlap=overlap)
            seconds = watch(mesh, planes, rotation, renewals, lifetime)
            verified = bool(shown_by_server(mesh, rotation.bundle))
            for process in processes.values():
                process.stop(within=30)
            done = {name: Done.of(process.output()) for name, process in processes.items()}
        planes["edge"].seen = done["outside"].certificates
        planes["sidecar of web"].seen = done["web"].certificates
        outcome = Outcome(seconds, list(planes.values()), rotation, verified)
        outcome.tallies = {name: one.tallies for name, one in done.items()}
        outcome.warnings = [
            line for sidecar in mesh.sidecars.values() for line in sidecar.output().splitlines() if " WARNING " in line
        ]
        return outcome


def watch(mesh: MeshNetwork, planes: dict[str, DataPlane], rotation: Rotation, renewals: int, lifetime: int) -> float:
    """Until all were renewed so often and the root is another; how long that took, in seconds, within a bound."""
    began = time.monotonic()
    bound = lifetime * (renewals * LATEST + 2)
    while (seconds := time.monotonic() - began) < bound:
        for plane in planes.values():
            plane.look()
        planes["sidecar of cart"].seen |= {shown_by_server(mesh)} - {""}
        if rotation.is_complete and all(plane.renewals >= renewals for plane in planes.values()):
            break
        rotation.go_on()
        time.sleep(_LOOK_SECONDS)
    return seconds


def report(outcome: Outcome, renewals: int, lifetime: int) -> list[str]:
    """Prints the figures; what was not as it must be."""
    print(f"{outcome.seconds:.0f} s with certificates of {lifetime} s; root: {', '.join(outcome.rotation.phases)}")
    for plane in outcome.planes:
        print(f"  {plane.name:18} {plane.renewals:3} renewals, peers saw {len(plane.seen)} certificates")
    for name, tallies in outcome.tallies.items():
        print(f"load from {name}:")
        print("\n".join(describe(tallies)))
    for line in outcome.warnings[:_MOST_WARNINGS]:
        print(f"  said by a sidecar: {line}")
    every = summed(Tally("", *_figures(one)) for tallies in outcome.tallies.values() for one in tallies)[0]
    print(
        f"{every.requests} requests, {every.failed} failed; "
        f"{every.streams} streams held through, {every.dropped} dropped"
    )
    return [*_failures(outcome, renewals, every)]


def _figures(tally: Tally) -> tuple[int, int, int, int]:
    return tally.requests, tally.failed, tally.streams, tally.dropped


def _failures(outcome: Outcome, renewals: int, every: Tally) -> Iterator[str]:
    if every.failed or every.dropped:
        yield "requests failed, or streams were dropped"
    for name, tallies in outcome.tallies.items():
        yield from (f"no load was made from {name} by {one.name}" for one in tallies if not one.requests)
    for plane in outcome.planes:
        if plane.renewals < renewals:
            yield f"the {plane.name} was renewed {plane.renewals} times, and not {renewals}"
        if len(plane.seen) < renewals:
            yield f"peers saw {len(plane.seen)} certificates of the {plane.name} alone"
    if not (outcome.rotation.is_complete and outcome.rotation.is_another_root() and outcome.verified_by_new_root):
        yield "the root was not changed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renewals", type=int, default=RENEWALS)
    parser.add_argument("--lifetime", type=int, default=LIFETIME, metavar="SECONDS")
    parser.add_argument("--without-overlap", action="store_true", help="change the root at once: must fail")
    arguments = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        outcome = soak(Path(name), arguments.renewals, arguments.lifetime, overlap=not arguments.without_overlap)
    failures = report(outcome, arguments.renewals, arguments.lifetime)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
