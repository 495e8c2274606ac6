"""A cluster's run as a child: its output goes to a log, its progress to the terminal, and it is ended in time."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_END_SECONDS = 60.0
_ROOT = Path(__file__).parents[3]


def run_told(command: Sequence[str], log: IO[str], environment: Mapping[str, str], seconds: float) -> int:
    """The exit code. Lines that begin with two spaces are progress."""
    child = subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = threading.Timer(seconds, child.terminate)
    timer.start()
    try:
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            log.flush()
            if line.startswith("  "):
                print(line, end="", flush=True)
        return child.wait(_END_SECONDS)
    finally:
        timer.cancel()
        if child.poll() is None:
            child.terminate()  # the cluster ends everything in it by itself
            child.wait(_END_SECONDS)
