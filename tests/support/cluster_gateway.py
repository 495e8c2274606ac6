"""`sekisho gateway` as a process, fed by a test's own half of a controller."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import httpx

from controller.sources import ManifestSource
from controller.store import Store
from controller.translate import Options, Translator
from gateway.agent.compiled import regex_problem
from gateway.routing_table.model import Resources
from tests.support.discovery import TOKEN, ControllerHalf, soon
from tests.support.manifests import Manifest, write
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.sekisho import sekisho_command


def translated(directory: Path, manifests: Iterable[Manifest], table: str) -> Resources:
    """The table of one Gateway, as a controller in a cluster makes it."""
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "main.yaml", manifests)
    change = ManifestSource((str(directory),)).load()
    assert not change.problems, change.problems
    store = Store()
    changed = store.apply(change.upserts, change.deletes)
    translator = Translator(Options(regex_problem=regex_problem, merge=False))
    return translator.update(store.snapshot(), changed).translation.tables[table]


class ClusterGateway:
    """One gateway process. Entering starts it and does not wait."""

    def __init__(
        self,
        directory: Path,
        controller: ControllerHalf,
        *,
        drain_delay: float = 0.0,
        access_log: str | Path = "none",
        network: str = "",
    ) -> None:
        """``network``: a network namespace to run in."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.token = directory / "token"
        self.token.write_text(TOKEN)
        bundle = directory / "ca.crt"
        bundle.write_text(controller.authority.bundle_pem)
        self.health_port, self.admin_port = free_port(), free_port()
        options: list[str | Path] = ["--controller", controller.url, "--trust-bundle", bundle, "--token", self.token]
        options += ["--state-dir", directory / "state", "--health", f"127.0.0.1:{self.health_port}"]
        options += ["--admin", f"127.0.0.1:{self.admin_port}", "--workers", "1", "--access-log", access_log]
        options += ["--drain-delay", str(drain_delay), "--drain-timeout", "2"]
        environment = {**os.environ, "POD_NAME": "edge-sekisho-1"}
        command = sekisho_command("gateway", "--role", "edge", *options)
        if network:
            command = ["ip", "netns", "exec", network, *command]
        self.process = ManagedProcess(command, directory / "output.log", environment=environment)

    async def __aenter__(self) -> Self:
        self.process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.stop(within=15)

    async def health(self, path: str) -> httpx.Response | None:
        """What the health address answers; None while it is not there."""
        return await _get(f"http://127.0.0.1:{self.health_port}{path}")

    async def admin(self, path: str) -> httpx.Response | None:
        return await _get(f"http://127.0.0.1:{self.admin_port}{path}")

    async def ready(self) -> bool:
        assert self.process.exit_code is None, self.process.output()
        answer = await self.health("/healthz/ready")
        return answer is not None and answer.status_code == 200

    async def wait_until_ready(self) -> None:
        await soon(self.ready, within=20)

    async def metric(self, name: str) -> float | None:
        answer = await self.health("/metrics")
        for line in answer.text.splitlines() if answer is not None else ():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return None


async def _get(url: str) -> httpx.Response | None:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            return await client.get(url)
    except httpx.TransportError:
        return None
