"""What controller and gateway take, from the kernel: CPU seconds and memory of processes found by their command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.processes import TICKS_PER_SECOND

Matches = Callable[[list[str]], bool]


@dataclass(frozen=True)
class Usage:
    """Of one process; memory in MiB."""

    cpu_seconds: float
    memory: float
    peak: float

    def since(self, before: Usage) -> dict[str, float]:
        spent = asdict(self)
        spent["cpu_seconds"] = round(self.cpu_seconds - before.cpu_seconds, 2)
        return spent


def find(matches: Matches) -> int:
    """The one process whose command matches."""
    commands = {folder: _command(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit()}
    found = {folder.name: command for folder, command in commands.items() if matches(command)}
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} processes instead of one: {found}")
    return int(next(iter(found)))


def _command(folder: Path) -> list[str]:
    try:
        return (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:  # it ended meanwhile
        return []


def usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Usage(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND,
        memory=_mebibytes(status["VmRSS"]),
        peak=_mebibytes(status["VmHWM"]),
    )


def _mebibytes(text: str) -> float:
    return round(int(text.split(maxsplit=1)[0]) / 1024, 1)
