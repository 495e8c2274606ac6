"""The processes of pods of the one-machine cluster: found, killed, and asked as one asks inside of the pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

_PROC = Path("/proc")
_ASK_SECONDS = 20.0


def process_of(pod: str) -> int:
    """The first process of a pod with one container; an assertion fails while it has none."""
    for place in _PROC.iterdir():
        if place.name.isdigit() and _first_of(place, pod):
            return int(place.name)
    raise AssertionError(f"pod {pod} has no process")


def kill_pod_process(pod: str) -> int:
    """SIGKILL, as the kernel does when memory is short: nothing is said, and nothing given back. It has ended then."""
    found = process_of(pod)
    os.kill(found, signal.SIGKILL)
    eventually(lambda: not (_PROC / str(found)).exists(), within=10, what=f"the process of {pod} has ended")
    return found


def ask_inside(pod: str, *words: str) -> str:
    """What a command of ``sekisho`` prints in the pod's network, where its admin address is."""
    network = _PROC / str(process_of(pod)) / "ns" / "net"
    command = ["nsenter", f"--net={network}", str(Path(sys.executable).with_name("sekisho")), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    assert done.returncode in (0, 1), f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def status_inside(pod: str) -> dict[str, Any]:
    """`sekisho status` of the process in the pod."""
    found: dict[str, Any] = json.loads(ask_inside(pod, "status", "--output", "json"))
    return found


def _first_of(place: Path, pod: str) -> bool:
    try:
        if f"POD_NAME={pod}".encode() not in (place / "environ").read_bytes().split(b"\0"):
            return False
        status = (place / "status").read_text()
    except OSError:
        return False  # It has ended.
    numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
    return len(numbers) > 1 and numbers[-1] == "1"
