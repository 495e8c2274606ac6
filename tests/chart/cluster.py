"""A cluster as its user sees it: kubectl, progress, and waiting within bounds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable


class WrongError(Exception):
    """Something is not as it should be."""


def kubectl(*arguments: str, stdin: str = "") -> str:
    """What one call prints."""
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise WrongError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"chart: {text}\n")
    sys.stdout.flush()


def until(what: str, holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for it, within bounds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise WrongError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
