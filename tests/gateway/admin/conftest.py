from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from gateway.admin.app import admin_app
from gateway.admin.sources import AdminSources
from gateway.admin.status import StatusReport
from gateway.agent.agent import Agent
from gateway.telemetry.collector import GatewayCollector
from gateway.telemetry.statistics import decode_statistics
from tests.support.fake_engine import FakeEngine


@dataclass
class Admin:
    """The application over an engine without traffic, and what a test sets and reads."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    report: StatusReport = field(default_factory=StatusReport)
    draining: bool = False
    now: float = 0.0

    def __post_init__(self) -> None:
        self.agent = Agent(self.engine, None, lambda: 1_000.0)

    def sources(self) -> AdminSources:
        registry = CollectorRegistry()
        registry.register(
            GatewayCollector(lambda: decode_statistics(self.engine.statistics()), lambda: self.agent.state, dict)
        )
        return AdminSources(
            state=lambda: self.agent.state,
            table=lambda: self.agent.table,
            statistics=lambda: decode_statistics(self.engine.statistics()),
            explain=self.engine.explain,
            certificate_ends=dict,
            status=lambda: self.report,
            registry=registry,
            draining=lambda: self.draining,
            monotonic=lambda: self.now,
        )

    def app(self, *allowed_hosts: str) -> Starlette:
        return admin_app(self.sources(), allowed_hosts)

    def client(self, *allowed_hosts: str, base_url: str = "http://127.0.0.1:9901") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app(*allowed_hosts)), base_url=base_url)


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
async def client(admin: Admin) -> AsyncIterator[httpx.AsyncClient]:
    async with admin.client() as client:
        yield client
