"""Two sidecars before the app, and what every kind of them is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench.backend import WHO_CALLS
from tests.bench.machine import PinnedProcess
from tests.support.mesh_engine import TRUST_DOMAIN, account
from tests.support.waiting import eventually

CALLER, APP = "caller", "cart"
"""Service accounts on the two sides."""
SERVER_NAME = f"outbound_.80_._.{APP}.shop.svc.cluster.local"
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Pair:
    """Both processes, and the port at which the caller finds its own sidecar."""

    port: int
    outbound: PinnedProcess
    inbound: PinnedProcess

    def wait_until_it_carries(self) -> None:
        """Until the app is called through both, and told by whom: otherwise something else would be measured."""
        expected = f"URI={account(CALLER).uri(TRUST_DOMAIN)}"

        def carries() -> bool:
            try:
                told = httpx.get(f"http://127.0.0.1:{self.port}{WHO_CALLS}", trust_env=False, timeout=5)
            except httpx.TransportError:
                return False
            return told.status_code == 200 and expected in told.text

        try:
            eventually(carries, within=READY_SECONDS, every=0.05, what="a call through both sidecars")
        except AssertionError as error:
            logs = "\n".join(process.output()[-2000:] for process in (self.outbound, self.inbound))
            raise RuntimeError(f"{error}\n{logs}") from error


class Sidecars(ABC):
    """A kind of sidecar."""

    name = ""

    @abstractmethod
    def start(self, stack: ExitStack, directory: Path, app_port: int, core: int) -> Pair:
        """Both, on one core, until the stack ends."""
