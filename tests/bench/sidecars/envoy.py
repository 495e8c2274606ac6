"""Envoy as Istio configures its sidecars, without telemetry and access log."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.bench.machine import PinnedProcess
from tests.bench.sidecars.pair import APP, CALLER, SERVER_NAME, Pair, Sidecars
from tests.support.envoy import Envoy
from tests.support.mesh_engine import Mesh
from tests.support.ports import free_port


class EnvoySidecars(Sidecars):
    name = "envoy"

    def start(self, stack: ExitStack, directory: Path, app_port: int, core: int) -> Pair:
        mesh = Mesh()
        outbound_port, inbound_port = free_port(), free_port()
        inbound, outbound = Envoy(mesh, APP), Envoy(mesh, CALLER)
        inbound.inbound(inbound_port, app_port, CALLER)
        outbound.outbound(outbound_port, inbound_port, APP, http2=False, server_name=SERVER_NAME)
        return Pair(
            outbound_port,
            outbound=_start(stack, outbound, directory / "outbound", core),
            inbound=_start(stack, inbound, directory / "inbound", core),
        )


def _start(stack: ExitStack, envoy: Envoy, directory: Path, core: int) -> PinnedProcess:
    directory.mkdir()
    process = PinnedProcess(envoy.write(directory, log_level="error"), directory / "envoy.log", core)
    return stack.enter_context(process)
