"""Where a part plays: one peer with its Gateway ready, the backend running, and what both cost so far."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.control import objects
from tests.bench.control.api import Objects
from tests.bench.control.client import Client
from tests.bench.control.peers import Peer
from tests.bench.control.usage import Usage, find, usage
from tests.support.processes import ManagedProcess

READY_SECONDS = 120.0
FIRST_HOST = "first.bench.example"
BACKEND = "backend"


@dataclass(frozen=True)
class Stage:
    peer: Peer
    objects: Objects
    address: str
    """Of the Gateway's pod: nothing between the client and the gateway but the bridge."""
    controller: int
    gateway: int
    deadline: float
    """On the event loop's clock; a part that reaches it tells how far it came."""

    def client(self) -> Client:
        return Client(self.address)

    def usage(self) -> dict[str, Usage]:
        return {"controller": usage(self.controller), "gateway": usage(self.gateway)}

    def over(self) -> bool:
        return asyncio.get_running_loop().time() > self.deadline

    def say(self, text: str) -> None:
        print(f"  {time.strftime('%H:%M:%S')} {self.peer.name}: {text}", flush=True)


def spent(before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, dict[str, float]]:
    return {name: after[name].since(before[name]) for name in after}


@asynccontextmanager
async def staged(peer: Peer, seconds: float) -> AsyncIterator[Stage]:
    """The Gateway, its backend, and a first route that answers."""
    api = Objects()
    log = Path(os.environ["CLUSTER_STATE"]) / "logs" / "backend.log"
    ports = [str(port) for port in objects.BACKEND_PORTS]
    with ManagedProcess([sys.executable, "-m", "tests.bench.control.backend", *ports], log):
        try:
            await api.create(objects.namespace(objects.SPACE))
            first = objects.route("first", host=FIRST_HOST, backend=BACKEND)
            for manifest in (objects.service(BACKEND), objects.endpoints(BACKEND), *peer.manifests, first):
                await api.create(manifest)
            address = await _address(api, peer)
            await answers(Client(address), FIRST_HOST)
            deadline = asyncio.get_running_loop().time() + seconds
            stage = Stage(peer, api, address, find(peer.is_controller), find(peer.is_gateway), deadline)
            stage.say(f"the Gateway answers at {address}")
            await asyncio.sleep(2)  # whatever starting set in motion
            yield stage
        finally:
            await api.close()


async def _address(api: Objects, peer: Peer) -> str:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            pods = await api.pods(peer.pods)
            if len(pods) == 1 and _is_ready(pods[0]):
                return str(pods[0]["status"]["podIP"])
            await asyncio.sleep(0.2)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


async def answers(client: Client, host: str) -> None:
    """Wait for the first 200."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if (await client.ask(host)).status == 200:
                break
            await asyncio.sleep(0.05)
    client.close()
