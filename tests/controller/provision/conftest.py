"""A fake API server, and a provisioner at work on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from controller.kube.client import Api
from controller.kube.connection import Connection
from controller.provision import Provisioner, ProvisionerSettings, ProvisionSettings
from controller.store import Key
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import HastyClock, comes_true

SETTINGS = ProvisionSettings(image="registry.example/sekisho:1", bundle_pem="bundle")
BOUNDS = ProvisionerSettings(per_second=10_000.0, first_wait=0.01, longest_wait=0.05, quarrel=0.0)


class Working:
    """A provisioner, and who was told of problems."""

    def __init__(self, api: Api, bounds: ProvisionerSettings = BOUNDS) -> None:
        self.told: list[Key] = []
        self.clock = HastyClock()
        self.provisioner = Provisioner(
            api, SETTINGS, self.told.append, bounds=bounds, clock=self.clock, chance=lambda: 0.5
        )

    async def settled(self) -> None:
        """Until nothing is left to do."""
        await comes_true(lambda: self.provisioner.idle, what="idle")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncGenerator[FakeApiServer, None]:
    async with FakeApiServer() as running:
        yield running


@pytest.fixture
async def api(server: FakeApiServer) -> AsyncGenerator[Api, None]:
    client = Api(Connection(server=server.url))
    yield client
    await client.close()


@pytest.fixture
async def working(api: Api) -> AsyncGenerator[Working, None]:
    """It leads."""
    begun = Working(api)
    begun.provisioner.lead(leads=True)
    task = asyncio.create_task(begun.provisioner.run())
    yield begun
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
