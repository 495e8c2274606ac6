"""What a proxy is told, and what every proxy is: a configuration, a command, and a port that it listens on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.backend import Backend
from tests.bench.identities import Identities
from tests.bench.machine import PinnedProcess
from tests.bench.workloads import Workload


@dataclass(frozen=True)
class Site:
    """A port to listen on, a backend, a workload, a folder and certificates."""

    port: int
    backend: Backend
    workload: Workload
    directory: Path
    identities: Identities

    @property
    def tls(self) -> bool:
        """Whether clients speak TLS."""
        return self.workload.protocol == "h2-tls"

    @property
    def h2c(self) -> bool:
        """Whether clients speak HTTP/2 without TLS."""
        return self.workload.protocol == "h2c"

    @property
    def mutual_tls(self) -> bool:
        """Whether the backend demands a certificate."""
        return self.workload.upstream == "h2-mtls"

    @property
    def backend_port(self) -> int:
        return self.backend.port(self.workload.upstream)

    def by_host(self) -> dict[str, list[str]]:
        hosts: dict[str, list[str]] = {}
        for host, path in self.workload.routes():
            hosts.setdefault(host, []).append(path)
        return hosts


class Peer(ABC):
    """A proxy."""

    name = ""

    @abstractmethod
    def configure(self, site: Site) -> Sequence[str | Path]:
        """Write the configuration; the command that runs it."""

    def start(self, site: Site, core: int) -> PinnedProcess:
        """The process, once it listens."""
        process = PinnedProcess(self.configure(site), site.directory / f"{self.name}.log", core)
        process.start()
        process.wait_until_it_listens(site.port)
        return process
