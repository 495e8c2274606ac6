"""A fake API server, and a client of it whose waits take no time."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from controller.kube.client import Api
from controller.kube.connection import Connection
from tests.support.fake_apiserver import FakeApiServer


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
