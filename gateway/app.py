"""Composition root of the gateway: builds the parts in the order in which traffic needs them.

First the engine and the last good table, so that a restart serves at once; then, on the event
loop, everything that only watches: the table file's writer, metrics and the admin endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.registry import Collector

from gateway.admin.app import admin_app
from gateway.admin.health import health_app
from gateway.admin.server import AdminServer
from gateway.admin.sources import AdminSources
from gateway.admin.status import StatusReport
from gateway.agent.agent import Agent
from gateway.agent.compiled import start_engine
from gateway.agent.engine import CollectorOptions, Engine, EngineOptions, RecordOptions
from gateway.agent.persistence import TableFile
from gateway.config import GatewaySettings
from gateway.limits import raise_file_limit
from gateway.telemetry.certificates import CertificateExpiry
from gateway.telemetry.collector import GatewayCollector
from gateway.telemetry.identity import IdentityCollector
from gateway.telemetry.statistics import Statistics, decode_statistics

_DRAIN_POLL_SECONDS = 0.05


class GatewayApp:
    """A running data plane and its admin endpoint."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Serves the last good table by the time this returns. Needs no event loop."""
        self._settings = settings
        self._draining = False
        self._stop_admin = asyncio.Event()
        self._admin_tasks: list[asyncio.Task[None]] = []
        # 1. Addresses and directories: what a person can fix is said before anything runs.
        raise_file_limit()
        self._admin = AdminServer(settings.admin)
        self._health: AdminServer | None = None
        try:
            if settings.health is not None:
                self._health = AdminServer(settings.health, "--health")
            table_file = TableFile(settings.state_dir) if settings.state_dir is not None else None
            # 2. The engine: its workers wait for a table.
            self._engine = start_engine(
                EngineOptions(
                    workers=settings.workers,
                    access_log=settings.access_log,
                    records=_records(settings),
                    name_server_authorities=str(settings.egress_dns_ca or ""),
                )
            )
        except Exception:
            self._close_addresses()
            raise
        # 3. The last good table.
        self.agent = Agent(self._engine, table_file, time.time)
        self.notice = self.agent.restore()
        """What a person should know about the start, or empty."""
        self._certificates = CertificateExpiry()
        self._identity = IdentityCollector()

    def _close_addresses(self) -> None:
        for server in (self._admin, self._health):
            if server is not None:
                server.close()

    @property
    def admin_url(self) -> str:
        """Where the admin endpoint is."""
        return self._admin.address.url

    @property
    def engine(self) -> Engine:
        """For questions only; the agent alone changes it."""
        return self._engine

    def identify(self, chain: str, private_key: str, bundle: str, trust_domain: str) -> str:
        """Who this gateway is in the mesh from now on (all PEM but the name); why it cannot be, or empty."""
        try:
            self._engine.set_identity(chain, private_key, bundle, trust_domain)
        except ValueError as error:
            return f"the data plane cannot use this gateway's identity: {error}"
        self._identity.took(chain)
        return ""

    def statistics(self) -> Statistics:
        """The engine's counters now."""
        return decode_statistics(self._engine.statistics())

    def start(self, status: Callable[[], StatusReport], collectors: Iterable[Collector] = ()) -> None:
        """Starts everything that needs the event loop. ``collectors``: metrics besides the data plane's."""
        self.agent.start_saving()
        sources = self._sources(status, collectors)
        app = admin_app(sources, allowed_hosts=(self._settings.admin.host,))
        self._admin_tasks.append(asyncio.create_task(self._admin.run(app, self._stop_admin), name="admin"))
        if self._health is not None:
            health = self._health.run(health_app(sources), self._stop_admin)
            self._admin_tasks.append(asyncio.create_task(health, name="health"))

    def _sources(self, status: Callable[[], StatusReport], collectors: Iterable[Collector]) -> AdminSources:
        registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, self._identity, *collectors):
            registry.register(collector)
        registry.register(GatewayCollector(self.statistics, lambda: self.agent.state, self._certificate_ends))
        return AdminSources(
            state=lambda: self.agent.state,
            table=lambda: self.agent.table,
            statistics=self.statistics,
            explain=self._engine.explain,
            certificate_ends=self._certificate_ends,
            status=status,
            registry=registry,
            draining=lambda: self._draining,
            monotonic=time.monotonic,
        )

    def _certificate_ends(self) -> dict[str, float]:
        return self._certificates.of(self.agent.resources(("certificates",)))

    def active_connections(self) -> int:
        """Client connections that are still open."""
        return self._engine.active()

    async def drain(self) -> int:
        """Stops accepting and waits, within the bound, for connections to end; returns how many are left.

        Not ready from here on; it still accepts for as long as the settings say, while whoever sends clients here
        learns that it should not.
        """
        self._draining = True
        await asyncio.sleep(self._settings.drain_delay)
        self._engine.drain()
        deadline = time.monotonic() + self._settings.drain_seconds
        while (left := self._engine.active()) and time.monotonic() < deadline:  # noqa: ASYNC110 - workers signal no loop
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        return left

    async def close(self) -> None:
        """Stops the admin endpoint, saves the table, ends what is left of the traffic."""
        if self._admin_tasks:
            self._stop_admin.set()
            await asyncio.gather(*self._admin_tasks, return_exceptions=True)
        else:
            self._close_addresses()
        try:
            # The table is the engine's: it is written before the engine ends.
            await self.agent.close()
        finally:
            await asyncio.to_thread(self._engine.close)


def _records(settings: GatewaySettings) -> RecordOptions:
    asked = settings.egress_otlp
    files = (asked.authorities, asked.certificate, asked.private_key)
    authorities, certificate, private_key = (str(path or "") for path in files)
    collector = CollectorOptions(
        url=asked.url, authorities=authorities, certificate=certificate, private_key=private_key
    )
    if settings.egress_log is None:
        return RecordOptions(collector=collector)
    return RecordOptions(
        file=str(settings.egress_log),
        file_bytes=settings.egress_log_bytes,
        files=settings.egress_log_files,
        collector=collector,
    )
