"""A fake API server with a Gateway of ours and a route to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import gateway, gateway_class, http_route, service


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncGenerator[FakeApiServer, None]:
    async with FakeApiServer() as running:
        for document in (gateway_class(), gateway(), http_route("a"), service()):
            running.put(document)
        yield running
