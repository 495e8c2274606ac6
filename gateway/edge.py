"""Composition root of `sekisho gateway`: a data plane whose tables come from a controller.

The order of the start is the order in which traffic needs things: the last good table is served before anybody
is asked, then come the probes, an identity and the subscription. The end is the reverse: not ready, still
accepting while the cluster takes this gateway out of its endpoints, then the drain.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable

from gateway.admin.status import GatewayVersion, Problem, StatusReport
from gateway.agent.discovery import Discovery, Subscriber
from gateway.app import GatewayApp
from gateway.config import ClusterSettings
from gateway.identity.credentials import Credentials, trust_domain_of
from gateway.identity.identity import identity_source
from gateway.telemetry.discovery import DiscoveryCollector

_RETRY_BIND_SECONDS = 5.0
_RESTART_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger("sekisho.gateway")


class Edge:
    """One gateway of a cluster."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        # 1. Traffic: the last good table is served from here on.
        self._gateway = GatewayApp(settings.gateway)
        # 2. Everything that gets the next table.
        self._identity = identity_source(settings.identity, _utc_now, random.random)
        self._identity.on_change(self._take_identity)
        self._unusable = ""
        """Why the data plane cannot use the identity."""
        self._discovery = Discovery(
            settings.identity.controller,
            Subscriber(settings.name, settings.workload),
            self._gateway.agent,
            self._identity,
            random.random,
        )

    async def run(self) -> int:
        """Until a signal; returns the exit status."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        background: list[asyncio.Task[None]] = []
        try:
            self._gateway.start(self._report, (DiscoveryCollector(lambda: self._discovery.state),))
            self._announce()
            background = [
                asyncio.create_task(_for_ever(self._identity.keep), name="identity"),
                asyncio.create_task(_for_ever(self._discovery.run), name="discovery"),
                asyncio.create_task(_for_ever(self._retry_unbound), name="unbound-listeners"),
            ]
            await self._stop.wait()
            await self._drain()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._gateway.close()
        return 0

    def _announce(self) -> None:
        state = self._gateway.agent.state
        if self._gateway.notice:
            logger.warning("%s", self._gateway.notice)
        if state.loaded:
            logger.info("table %s of the last run is served until the controller answers", state.version)
        logger.info("%s subscribes at %s", self._settings.name, self._settings.identity.controller)

    def _take_identity(self, credentials: Credentials, bundle: str) -> None:
        """Peers of the mesh see the new certificate from the next handshake on."""
        domain = trust_domain_of(credentials.uri)
        self._unusable = self._gateway.identify(credentials.chain, credentials.private_key, bundle, domain)
        if self._unusable:
            logger.error("%s", self._unusable)

    # --- what is told ---------------------------------------------------------------------------

    def _report(self) -> StatusReport:
        table, stream = self._gateway.agent.state, self._discovery.state
        problems: tuple[Problem, ...] = ()
        if not stream.connected:
            served = f"table {table.version} is served meanwhile" if table.loaded else "no table is served yet"
            reason = stream.last_error or "it has not answered yet"
            problems = (Problem(message=f"no controller is subscribed to; {served}: {reason}"),)
        for warning in (self._identity.warning(), self._unusable):
            if warning:
                problems = (*problems, Problem(message=warning))
        refused = tuple(
            Problem(message=f"refused: {item.reason}", object=f"{item.kind} {item.key}") for item in table.rejected
        )
        version = GatewayVersion(name=self._settings.name, version=table.version, error=table.last_error)
        return StatusReport(gateways=(version,), problems=(*problems, *refused))

    # --- upkeep ---------------------------------------------------------------------------------

    async def _retry_unbound(self) -> None:
        """A port that was taken may be free by now; the engine tries again with every update."""
        while True:
            await asyncio.sleep(_RETRY_BIND_SECONDS)
            if self._gateway.agent.state.unbound:
                await self._gateway.agent.refresh()

    # --- the end --------------------------------------------------------------------------------

    def _signalled(self) -> None:
        if self._stop.is_set():
            logger.warning("stopped at once")
            os._exit(1)
        self._stop.set()

    async def _drain(self) -> None:
        settings = self._settings.gateway
        logger.info(
            "stopping: accepting for %g s more, then %g s for connections to end",
            settings.drain_delay,
            settings.drain_seconds,
        )
        left = await self._gateway.drain()
        logger.info("stopped with %d connections still open", left)


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def _for_ever(program: Callable[[], Awaitable[None]]) -> None:
    """Traffic depends on nothing that only watches: what breaks begins again."""
    while True:
        try:
            await program()
        except Exception:
            logger.exception("a background task broke; it begins again")
        await asyncio.sleep(_RESTART_SECONDS)


def run_edge(settings: ClusterSettings) -> int:
    """Runs `sekisho gateway` to its end; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore", "hpack", "h2", "sekisho.admin"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return asyncio.run(_main(settings))


async def _main(settings: ClusterSettings) -> int:
    return await Edge(settings).run()
