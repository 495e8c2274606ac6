"""Settings of one gateway process. Nothing here is read again after the start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.admin.server import AdminAddress
from gateway.errors import SettingsError
from gateway.identity.settings import IdentitySettings

DEFAULT_ADMIN: Final = "127.0.0.1:9901"
SIDECAR_ADMIN: Final = "127.0.0.1:15000"
SIDECAR_HEALTH: Final = "0.0.0.0:15021"
"""Istio's ports, which are kept from capture."""
DEFAULT_DRAIN_SECONDS: Final = 30.0
DEFAULT_DRAIN_DELAY: Final = 5.0
"""Of a gateway in a cluster; a standalone one has nobody to be taken out by."""
DEFAULT_EGRESS_LOG_BYTES: Final = 64 * 1024 * 1024
DEFAULT_EGRESS_LOG_FILES: Final = 10
_LEAST_LOG_BYTES: Final = 4096
_MOST_LOG_FILES: Final = 1000
_MAX_WORKERS: Final = 256
_LONGEST_NAME: Final = 253


@dataclass(frozen=True)
class CollectorSettings:
    """A collector of OpenTelemetry that gets records of egress decisions as well. The files are PEM, for https."""

    url: str = ""
    """``http://host:port`` or ``https://host:port``; empty: none."""
    authorities: Path | None = None
    """What the collector is verified by; None: the operating system's authorities."""
    certificate: Path | None = None
    """What the gateway shows to it."""
    private_key: Path | None = None

    def __post_init__(self) -> None:
        given = [self.authorities, self.certificate, self.private_key]
        if any(given) and not self.url.startswith("https://"):
            raise SettingsError(
                "certificates for a collector that is spoken to in the clear", "give --egress-otlp https://HOST:PORT"
            )
        if (self.certificate is None) != (self.private_key is None):
            raise SettingsError(
                "a certificate for the collector needs its key, and a key its certificate",
                "give --egress-otlp-certificate and --egress-otlp-key",
            )


@dataclass(frozen=True)
class GatewaySettings:
    """How the data plane of this process runs."""

    admin: AdminAddress
    workers: int
    access_log: str = "stdout"
    """``stdout``, ``none`` or the path of a file."""
    egress_log: Path | None = None
    """A file for records of egress decisions; None: they are in the access log, or on standard output, alone."""
    egress_log_bytes: int = DEFAULT_EGRESS_LOG_BYTES
    """How large it becomes before it is put aside as ``.1``."""
    egress_log_files: int = DEFAULT_EGRESS_LOG_FILES
    """How many there are at most, the current one included."""
    egress_otlp: CollectorSettings = CollectorSettings()
    egress_dns_ca: Path | None = None
    """PEM that name servers with TLS are verified by; None: the operating system's authorities."""
    state_dir: Path | None = None
    """Where the last good table is kept; None keeps nothing."""
    drain_seconds: float = DEFAULT_DRAIN_SECONDS
    """How long open connections may take to end when the process stops."""
    drain_delay: float = 0.0
    """How long it still accepts after readiness is gone, before that."""
    health: AdminAddress | None = None
    """Where only health and metrics are, for the kubelet and Prometheus."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= _MAX_WORKERS:
            raise SettingsError(f"--workers {self.workers} is outside 1 to {_MAX_WORKERS}")
        if self.drain_seconds < 0:
            raise SettingsError(f"--drain-timeout {self.drain_seconds:g} is negative", "0 drops connections at once")
        if self.drain_delay < 0:
            raise SettingsError(f"--drain-delay {self.drain_delay:g} is negative", "0 stops accepting at once")
        if self.access_log not in {"stdout", "none"}:
            _check_log("access log", Path(self.access_log), "use --access-log stdout, none or another path")
        if self.egress_log is not None:
            _check_log("egress log", self.egress_log, "use --egress-log with another path")
        if self.egress_log_bytes < _LEAST_LOG_BYTES:
            raise SettingsError(f"--egress-log-size {self.egress_log_bytes} is less than {_LEAST_LOG_BYTES} bytes")
        if not 1 <= self.egress_log_files <= _MOST_LOG_FILES:
            raise SettingsError(f"--egress-log-files {self.egress_log_files} is outside 1 to {_MOST_LOG_FILES}")


@dataclass(frozen=True)
class ClusterSettings:
    """How a gateway of a cluster runs."""

    gateway: GatewaySettings
    identity: IdentitySettings
    name: str
    """The name of this process: its pod's."""
    workload: str = ""
    """Of a sidecar, the Pod or WorkloadEntry that it stands before: ``namespace/name``. Empty: the gateway of a
    Gateway."""

    def __post_init__(self) -> None:
        url = urlsplit(self.identity.controller)
        plain = url.path in {"", "/"} and not (url.query or url.fragment or url.username)
        if url.scheme != "https" or not url.hostname or not plain:
            raise SettingsError(
                f"--controller {self.identity.controller} is not of the form https://HOST:PORT",
                "for example https://sekisho-controller.sekisho-system.svc:15012",
            )
        if not self.name or len(self.name) > _LONGEST_NAME:
            raise SettingsError("the name of this gateway is empty or too long", "set POD_NAME")
        namespace, _, name = self.workload.partition("/")
        if self.workload and not (namespace and name and "/" not in name):
            raise SettingsError(f"--workload {self.workload} is not of the form NAMESPACE/NAME")


def default_workers() -> int:
    """One worker for each core this process may run on."""
    return min(len(os.sched_getaffinity(0)), _MAX_WORKERS)


def _check_log(what: str, path: Path, remedy: str) -> None:
    try:
        with path.open("ab"):
            return
    except OSError as error:
        raise SettingsError(f"{what} {path} cannot be written: {error.strerror}", remedy) from error
