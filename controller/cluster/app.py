"""Composition root of `sekisho controller`.

The start follows what needs what: addresses that could be taken, then the API server (which may not answer yet:
the process stays, says what it waits for, and is not ready), then the first translation, and only then gateways
and the election, so that nobody is served an empty table and nobody leads who knows nothing. The stop goes the
other way: the lease is given back first, so that another replica writes while this one still ends its streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from controller.ca.authority import Authority
from controller.ca.rotation import AuthorityReport
from controller.cluster.changes import Arrived, Changes
from controller.cluster.election import lease_settings, url_of
from controller.cluster.endpoints import Answering, admin_app, health_app
from controller.cluster.injection import injection_server
from controller.cluster.mesh_bundles import MeshBundles
from controller.cluster.notices import Notices, Remark
from controller.cluster.options import cluster_options, connection_of, provision_settings, watched
from controller.cluster.readiness import Readiness
from controller.cluster.reporting import Reporting
from controller.cluster.serving import (
    authority_of,
    authority_problems,
    authority_report,
    discovery_server,
    relay_to_leader,
    serve,
)
from controller.cluster.statuses import Statuses
from controller.cluster.telemetry import Gauges, Telemetry
from controller.config import ClusterSettings, ProcessIdentity
from controller.kept_secrets import KeptSecrets
from controller.key_sets.fetch import client, fetch
from controller.key_sets.follower import KeySetFollower
from controller.kube.authority_secret import follow
from controller.kube.client import Api
from controller.kube.clock import SystemClock
from controller.kube.events import EventRecorder
from controller.kube.lease import LeaderElection
from controller.kube.status_writer import StatusWriter, WriterSettings
from controller.pipeline import ObjectPipeline, Taken
from controller.provision.provisioner import Provisioner
from controller.publish.batches import batches
from controller.publish.places import table_of
from controller.publish.subscriptions import Subscriptions
from controller.resources import RequestAuthentication
from controller.sources import Change
from controller.sources.denied import follow_denied
from controller.sources.kubernetes import KubernetesSource
from controller.store import Key
from controller.translate.request_authentication import key_locations
from gateway.admin.server import AdminServer

_QUIET_SECONDS: Final = 0.005
"""Shorter than for files: what kubectl applies together arrives apart, and what one watch tells arrives at once."""
_RELEASE_SECONDS: Final = 3.0
_FIRST_KEYS_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class ClusterController:
    """One replica."""

    def __init__(self, settings: ClusterSettings, identity: ProcessIdentity) -> None:
        self._settings = settings
        self._identity = identity
        self._clock = clock = SystemClock()
        self._stop = asyncio.Event()
        self._discovery_port = 0
        self._injection_port = 0
        self._election: LeaderElection | None = None
        self._authority: Authority | None = None
        self.read = asyncio.Event()
        """Set once everything has been read and translated."""
        # 1. Addresses: what a person can fix is said before anything runs.
        self._health = AdminServer(settings.health, "--health")
        self._admin = AdminServer(settings.admin)
        # 2. The API server, and what is read from it.
        self._api = Api(connection_of(settings))
        self._source = KubernetesSource(self._api, watched(settings))
        # 3. What is made of it.
        options = cluster_options(settings, identity)
        self._telemetry = Telemetry()
        self._pipeline = ObjectPipeline(options, KeptSecrets())
        self._subscriptions = Subscriptions(self._told)
        self._writer = StatusWriter(
            self._api,
            WriterSettings(options.controller_name),
            self._source.seen,
            clock=clock,
            chance=random.random,
        )
        self._source.on_touched(self._writer.look_again)
        self._statuses = Statuses(self._source.seen, self._writer.want, self._touched, self._unprovisioned)
        self._notices = Notices(
            EventRecorder(self._api, clock, instance=identity.name),
            self._statuses.status,
            self._remarks,
            lambda: self._pipeline.snapshot,
        )
        self._changes = Changes(
            self._pipeline, self._subscriptions, self._statuses, self._telemetry, self._want_provisioned
        )
        self._provisioner = Provisioner(
            self._api,
            provision_settings(settings, ""),
            self._statuses.provisioning,
            namespaces=settings.watched_namespaces,
            clock=clock,
            chance=random.random,
        )
        self._bundles = MeshBundles(
            self._api,
            lambda: self._pipeline.snapshot,
            clock,
            webhook=settings.webhook if settings.injection is not None else "",
            namespaces=settings.watched_namespaces,
        )
        self._arrivals: asyncio.Queue[Arrived] = asyncio.Queue()
        self._http = client()
        self._key_sets = KeySetFollower(functools.partial(fetch, self._http), self._arrive)
        # 4. What it tells of itself.
        self._readiness = Readiness(self._source)
        self._reporting = Reporting(
            self._pipeline,
            self._source,
            self._statuses,
            self._subscriptions.gateways,
            self._provisioner.problems,
            lambda: authority_problems(self._authority) if self._authority is not None else (),
        )
        self._telemetry.watch(
            Gauges(
                objects=self._source.objects,
                tables=lambda: len(self._changes.tables),
                gateways=lambda: len(self._subscriptions.gateways()),
                leads=lambda: self.leads,
                synced=self._source.synced.is_set,
                status_writes=lambda: self._writer.writes,
            )
        )

    @property
    def leads(self) -> bool:
        """Whether this replica writes."""
        return self._election is not None and self._election.leads

    @property
    def discovery_port(self) -> int:
        """Where gateways connect; 0 before they can."""
        return self._discovery_port

    @property
    def injection_port(self) -> int:
        """Where API servers ask for sidecars; 0 before they can, and where there is no webhook."""
        return self._injection_port

    @property
    def admin_url(self) -> str:
        """Where people ask."""
        return self._admin.address.url

    @property
    def health_url(self) -> str:
        """Where the cluster asks."""
        return self._health.address.url

    def stop(self) -> None:
        """Has :meth:`run` come to its end."""
        self._stop.set()

    async def run(self) -> None:
        """Until it is stopped."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._api.close)
            stack.push_async_callback(self._http.aclose)
            stack.push_async_callback(self._key_sets.close)
            self._start_endpoints(stack)
            await stack.enter_async_context(self._source)
            self._background(stack, self._readiness.say_what_is_awaited(), "waiting")
            work = asyncio.create_task(self._work(stack), name="controller")
            stopped = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            self._readiness.stopping = True
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
        logger.info("stopped")

    # --- the start ------------------------------------------------------------------------------

    def _start_endpoints(self, stack: AsyncExitStack) -> None:
        answering = Answering(
            waiting_for=self._readiness.waiting_for,
            leader=lambda: self._election.holder if self._election else "",
            report=self._reporting.report,
            registry=self._telemetry.registry,
            authority=self._authority_report,
        )
        stop = asyncio.Event()
        admin = admin_app(answering, allowed_hosts=(self._settings.admin.host,))
        tasks = [
            asyncio.create_task(self._health.run(health_app(answering), stop), name="health"),
            asyncio.create_task(self._admin.run(admin, stop), name="admin"),
        ]

        async def close() -> None:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)

        stack.push_async_callback(close)

    async def _work(self, stack: AsyncExitStack) -> None:
        authority = await authority_of(self._api, self._settings, self._clock, random.random)
        self._authority = authority
        self._readiness.has_authority = True

        def provision() -> None:
            self._provisioner.use(provision_settings(self._settings, authority.bundle_pem))
            self._bundles.use(authority.bundle_pem)

        provision()
        authority.on_change(provision)
        tables = table_of(self._provisioner.gateway_of, lambda: self._pipeline.translation.sidecars)
        server = discovery_server(self._settings, self._identity, authority, self._subscriptions, self._api, tables)
        stack.callback(server.close)
        self._discovery_port = server.port
        await self._source.synced.wait()
        await self._changes.take([Arrived(self._source.load(), time.monotonic())])
        follow_denied(authority, self._arrive)
        await self._first_keys()
        self._readiness.translated = True
        self.read.set()
        logger.info("%d objects are read", sum(self._source.objects().values()))
        relay = relay_to_leader(self._settings, self._identity, authority, self._subscriptions, self._other_leader)
        self._background(stack, serve(server), "discovery")
        self._background(stack, relay.run(), "relay")
        self._background(stack, follow(self._api, self._settings.namespace, authority, self._clock), "authority")
        self._readiness.serving = True
        self._background(stack, self._changes.lapse(), "lapse")
        self._background(stack, self._writer.run(), "statuses")
        self._background(stack, self._notices.run(), "events")
        self._background(stack, self._provisioner.run(), "provision")
        self._serve_mesh(stack, authority)
        self._take_part(stack, server.port)
        await self._follow_changes(stack)

    def _serve_mesh(self, stack: AsyncExitStack, authority: Authority) -> None:
        if self._settings.mesh:
            self._background(stack, self._bundles.run(), "trust bundles")
        if self._settings.injection is not None:
            server = injection_server(self._settings, self._settings.injection, authority)
            self._injection_port = server.port
            stack.callback(server.close)
            self._background(stack, serve(server), "injection")

    def _take_part(self, stack: AsyncExitStack, port: int) -> None:
        lease = lease_settings(self._settings, self._identity, port)
        self._election = LeaderElection(self._api, lease, self._lead, clock=self._clock, chance=random.random)
        stack.push_async_callback(self._release, self._election)
        self._background(stack, self._election.run(), "lease")

    async def _release(self, election: LeaderElection) -> None:
        """Gives the lease back. It ends by itself where the API server does not answer in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await election.release()

    def _background(self, stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(end)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nothing in the background ends by itself: without it the process would only seem to work."""
        if not task.cancelled() and task.exception() is not None:
            logger.critical("%s ended", task.get_name(), exc_info=task.exception())
            self._stop.set()

    # --- while it runs --------------------------------------------------------------------------

    async def _first_keys(self) -> None:
        """Before gateways are served: tables without keys refuse tokens that the tables before took."""
        await self._key_sets.settle(_FIRST_KEYS_SECONDS)
        fetched = [self._arrivals.get_nowait() for _ in range(self._arrivals.qsize())]
        if fetched:
            await self._changes.take(fetched)

    def _arrive(self, change: Change) -> None:
        self._arrivals.put_nowait(Arrived(change, time.monotonic()))

    async def _read_changes(self) -> None:
        async for change in self._source.changes():
            self._arrive(change)

    async def _follow_changes(self, stack: AsyncExitStack) -> None:
        self._background(stack, self._read_changes(), "changes")
        async for batch in batches(self._arrivals, quiet=_QUIET_SECONDS):
            try:
                await self._changes.take(batch)
            except Exception:
                self._telemetry.fault()
                logger.exception("a change could not be taken over; what was there before it is served")

    def _remarks(self, key: Key) -> Iterator[Remark]:
        for text in self._pipeline.translation.notices.get(key, ()):
            yield Remark("WithoutEffect", text)
        for text in self._provisioner.problems(key):
            yield Remark("ProvisioningFailed", text)

    def _unprovisioned(self, gateway: Key) -> Sequence[str]:
        return self._provisioner.problems(gateway)

    def _touched(self, keys: Iterable[Key]) -> None:
        self._notices.touched(keys)

    def _told(self, table: str) -> None:
        self._changes.told(table)

    def _lead(self, leads: bool) -> None:
        self._changes.lead(leads)
        self._writer.lead(leads)
        self._notices.lead(leads)
        self._provisioner.lead(leads)
        self._bundles.lead(leads)

    def _authority_report(self) -> AuthorityReport | None:
        if self._authority is None:
            return None
        return authority_report(self._authority, self._subscriptions, leads=self.leads)

    def _other_leader(self) -> str | None:
        """Where the replica is that writes; None while that is this one."""
        return url_of(self._election.holder) if self._election is not None and not self.leads else None

    def _want_provisioned(self, taken: Taken) -> None:
        self._key_sets.want(key_locations(taken.snapshot.all(RequestAuthentication)))
        self._bundles.touched(taken.changed)
        wanted = taken.translation.infrastructure
        self._provisioner.want({key: wanted.get(key) for key in taken.changed_infrastructure})
