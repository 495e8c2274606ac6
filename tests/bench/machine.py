"""Cores, processes pinned to them, and what the kernel counts about them."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ManagedProcess, children_of, cpu_seconds
from tests.support.waiting import eventually

START_SECONDS = 60.0


@dataclass(frozen=True)
class Cores:
    """Where the proxy runs, and where everything else does."""

    proxy: int
    others: int


def choose_cores() -> Cores:
    """The last two cores that this process may use; with one core, both roles share it."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(proxy=usable[-1], others=usable[-2] if len(usable) > 1 else usable[-1])


class PinnedProcess(ManagedProcess):
    """A process whose threads and children stay on one core."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, core: int, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(["taskset", "--cpu-list", str(core), *command], log, environment=environment)

    def wait_until_it_listens(self, port: int) -> None:
        """Ends the process where it does not, and says what it wrote."""
        try:
            eventually(lambda: self._listens(port), within=START_SECONDS, every=0.05)
        except BaseException as error:
            self.stop()
            raise RuntimeError(f"{' '.join(self.command)} did not start:\n{self.output()[-2000:]}") from error

    def _listens(self, port: int) -> bool:
        if self.exit_code is not None:
            raise RuntimeError("it ended")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    def family(self) -> list[int]:
        """The process and its children: a master and its worker count together."""
        return [self.pid, *children_of(self.pid)]

    def family_cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.family())

    def memory_bytes(self) -> int:
        """Memory of the family; pages that several processes share are shared out among them."""
        return sum(_proportional_bytes(pid) for pid in self.family())


def _proportional_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None, "the kernel does not tell the proportional set size"
    return int(found.group(1)) * 1024


def describe() -> dict[str, str]:
    """The machine, for the results."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kernel = os.uname()
    return {
        "cpu": model.group(1) if model else kernel.machine,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{kernel.sysname} {kernel.release}",
        "date": time.strftime("%Y-%m-%d"),
    }
