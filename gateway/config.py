"""Settings of one gateway process. Nothing here is read again after the start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.admin.server import AdminAddress
from gateway.errors import SettingsError

DEFAULT_ADMIN: Final = "127.0.0.1:9901"
DEFAULT_DRAIN_SECONDS: Final = 30.0
_MAX_WORKERS: Final = 256


@dataclass(frozen=True)
class GatewaySettings:
    """How the data plane of this process runs."""

    admin: AdminAddress
    workers: int
    access_log: str = "stdout"
    """``stdout``, ``none`` or the path of a file."""
    state_dir: Path | None = None
    """Where the last good table is kept; None keeps nothing."""
    drain_seconds: float = DEFAULT_DRAIN_SECONDS
    """How long open connections may take to end when the process stops."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= _MAX_WORKERS:
            raise SettingsError(f"--workers {self.workers} is outside 1 to {_MAX_WORKERS}")
        if self.drain_seconds < 0:
            raise SettingsError(f"--drain-timeout {self.drain_seconds:g} is negative", "0 drops connections at once")
        if self.access_log not in {"stdout", "none"}:
            _check_access_log(Path(self.access_log))


def default_workers() -> int:
    """One worker for each core this process may run on."""
    return min(len(os.sched_getaffinity(0)), _MAX_WORKERS)


def _check_access_log(path: Path) -> None:
    try:
        with path.open("ab"):
            return
    except OSError as error:
        raise SettingsError(
            f"access log {path} cannot be written: {error.strerror}", "use --access-log stdout, none or another path"
        ) from error
