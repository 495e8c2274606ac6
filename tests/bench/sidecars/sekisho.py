"""Our sidecars: `sekisho gateway --role sidecar` with everything on, and a policy that lets in the caller alone.

Tables and identities come as in a mesh, by discovery over TLS; the controller's half is a thread of the benchmark.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from controller.publish.stream_response import Pace
from gateway.routing_table.model import AuthorizationPolicy, AuthorizationRule, AuthorizationSource, Resources, Workload
from tests.bench.machine import PinnedProcess
from tests.bench.sidecars.pair import APP, CALLER, Pair, Sidecars
from tests.support.discovery import ControllerHalf
from tests.support.mesh_engine import Table, account, before_workload, endpoint, listener, peer, principal
from tests.support.ports import free_port
from tests.support.sekisho import sekisho_command

_STEP_SECONDS = 30.0


class SekishoSidecars(Sidecars):
    name = "sekisho"

    def start(self, stack: ExitStack, directory: Path, app_port: int, core: int) -> Pair:
        outbound_port, inbound_port = free_port(), free_port()
        tables = {CALLER: _of_the_caller(outbound_port, inbound_port), APP: _of_the_app(inbound_port, app_port)}
        controller = stack.enter_context(_serving(tables))
        return Pair(
            outbound_port,
            outbound=_start(stack, controller, CALLER, directory / "outbound", core),
            inbound=_start(stack, controller, APP, directory / "inbound", core),
        )


def _of_the_caller(port: int, callee_port: int) -> Resources:
    table = Table(gateway=_workload(CALLER))
    table.serve(listener(APP, port), endpoint(callee_port, peer(APP)))
    return table.snapshot("1").resources


def _of_the_app(port: int, app_port: int) -> Resources:
    only_the_caller = AuthorizationPolicy(
        key="shop/callers",
        rules=(AuthorizationRule(sources=(AuthorizationSource(principals=(principal(account(CALLER)),)),)),),
    )
    table = Table(gateway=_workload(APP))
    table.serve(listener(APP, port, mesh=before_workload()), endpoint(app_port), policies=(only_the_caller,))
    return table.snapshot("1").resources


def _workload(name: str) -> dict[str, object]:
    workload = Workload(name=f"{name}-v1", namespace="shop", canonical_service=name, canonical_revision="v1")
    return {"workload": workload, "trusted_hops": 1}


def _token(name: str) -> str:
    return f"the-token-of-{name}"


@contextmanager
def _serving(tables: dict[str, Resources]) -> Iterator[ControllerHalf]:
    """A controller on a thread of its own; each table is that of the workload and account of its name."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    controller = ControllerHalf(pace=Pace())
    for name in tables:
        controller.tokens[_token(name)] = account(name)
        controller.workloads[account(name), f"shop/{name}"] = name

    async def begin() -> None:
        await controller.__aenter__()
        controller.subscriptions.set_tables(tables)

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(_STEP_SECONDS)
        yield controller
        asyncio.run_coroutine_threadsafe(controller.__aexit__(), loop).result(_STEP_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STEP_SECONDS)
        loop.close()


def _start(stack: ExitStack, controller: ControllerHalf, name: str, directory: Path, core: int) -> PinnedProcess:
    directory.mkdir()
    token, bundle = directory / "token", directory / "ca.crt"
    token.write_text(_token(name))
    bundle.write_text(controller.authority.bundle_pem)
    command = sekisho_command(
        "gateway", "--role", "sidecar", "--workload", f"shop/{name}", "--controller", controller.url,
        "--trust-bundle", bundle, "--token", token, "--workers", "1", "--access-log", directory / "access.log",
        "--admin", f"127.0.0.1:{free_port()}", "--health", f"127.0.0.1:{free_port()}",
        "--drain-delay", "0", "--drain-timeout", "1",
    )  # fmt: skip
    environment = {**os.environ, "POD_NAME": name}
    return stack.enter_context(PinnedProcess(command, directory / "sidecar.log", core, environment))
