from __future__ import annotations

import httpx
import pytest

from gateway.admin.health import health_app
from gateway.routing_table.model import Snapshot
from tests.gateway.admin.conftest import Admin
from tests.support import small_tables as tables


def health(admin: Admin) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=health_app(admin.sources()))
    return httpx.AsyncClient(transport=transport, base_url="http://edge.prod.example:15021")


async def test_probes_and_scrapes_are_answered_under_any_name(admin: Admin) -> None:
    async with health(admin) as client:
        assert (await client.get("/healthz/live")).status_code == 200
        assert (await client.get("/healthz/ready")).status_code == 503
        await admin.agent.apply(Snapshot(version="1", resources=tables.resources()))
        assert (await client.get("/healthz/ready")).status_code == 200
        assert "sekisho_" in (await client.get("/metrics")).text
        admin.draining = True
        assert (await client.get("/healthz/ready")).json()["draining"]


@pytest.mark.parametrize("path", ["/", "/config", "/explain", "/status", "/page-data"])
async def test_nothing_is_told_of_the_table(admin: Admin, path: str) -> None:
    async with health(admin) as client:
        assert (await client.get(path)).status_code == 404
