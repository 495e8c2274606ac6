"""The parts together: two controllers on one API server, source to status, through its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.kube.client import Api
from controller.kube.connection import Connection
from controller.kube.informer import WatchSettings
from controller.kube.lease import LeaderElection, LeaseSettings
from controller.kube.status_writer import StatusWriter, WriterSettings
from controller.kube.wanted import wanted_statuses
from controller.sources.kubernetes import KubernetesSettings, KubernetesSource
from controller.sources.source import Change
from controller.store import Store
from controller.translate import Options, Translator
from tests.controller.kube.test_status_merge import OURS
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import (
    HastyClock,
    broken,
    comes_true,
    gateway,
    gateway_class,
    http_route,
    service,
    stays_true,
)


class Controller:
    """One controller process, without what publishes to gateways."""

    def __init__(self, server: FakeApiServer, identity: str) -> None:
        self.api = Api(Connection(server=server.url))
        self.source = KubernetesSource(
            self.api, KubernetesSettings(watch=WatchSettings(silence=2.0)), clock=HastyClock(), chance=lambda: 0.0
        )
        self.writer = StatusWriter(
            self.api, WriterSettings(OURS), self.source.seen, clock=HastyClock(), chance=lambda: 0.0
        )
        self.source.on_touched(self.writer.look_again)
        lease = LeaseSettings("system", identity, duration=1, renew_within=0.6, every=0.05)
        self.election = LeaderElection(self.api, lease, self.writer.lead, clock=HastyClock(), chance=lambda: 0.0)
        self.store = Store()
        options = Options(regex_problem=lambda _pattern: None, implicit_class=False)
        self.translator = Translator(options)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.source.__aenter__()
        for work in (self._follow(), self.writer.run(), self.election.run()):
            self.tasks.append(asyncio.create_task(work))

    async def kill(self) -> None:
        """Without a word to anybody."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.source.__aexit__(None, None, None)
        await self.api.close()

    async def _follow(self) -> None:
        await self.source.synced.wait()
        self._take(self.source.load())
        async for change in self.source.changes():
            self._take(change)

    def _take(self, change: Change) -> None:
        changed = self.store.apply(change.upserts, change.deletes)
        snapshot = self.store.snapshot()
        update = self.translator.update(snapshot, changed)
        keys = update.changed_statuses | changed
        self.writer.want(wanted_statuses(update.translation.statuses, snapshot, keys))


@asynccontextmanager
async def running(server: FakeApiServer, *identities: str) -> AsyncIterator[list[Controller]]:
    controllers = [Controller(server, identity) for identity in identities]
    for controller in controllers:
        await controller.start()
    try:
        yield controllers
    finally:
        for controller in controllers:
            await controller.kill()


@pytest.fixture
def cluster(server: FakeApiServer) -> FakeApiServer:
    for document in (gateway_class(), gateway(), http_route("a"), service()):
        server.put(document)
    return server


def condition(server: FakeApiServer, type_: str, name: str = "a") -> str:
    parents = server.get("HTTPRoute", name).get("status", {}).get("parents", [])
    found = {item["type"]: item for parent in parents for item in parent["conditions"]}
    current = found.get(type_, {})
    generation = server.get("HTTPRoute", name)["metadata"]["generation"]
    return str(current.get("status", "")) if current.get("observedGeneration") == generation else "old"


async def test_every_object_of_ours_has_its_status(cluster: FakeApiServer) -> None:
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        await comes_true(lambda: condition(cluster, "ResolvedRefs") == "True")
        await comes_true(lambda: "status" in cluster.get("GatewayClass", "sekisho", ""))
        await comes_true(lambda: "status" in cluster.get("Gateway", "edge"))
        await comes_true(lambda: cluster.get("Gateway", "edge")["status"]["listeners"][0]["attachedRoutes"] == 1)
        before = cluster.version
        await stays_true(lambda: [key for key in cluster.history if key[0] > before and "lease" not in key[2]] == [])


async def test_a_status_follows_what_it_speaks_of(cluster: FakeApiServer) -> None:
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "ResolvedRefs") == "True")
        cluster.remove("Service", "shop")
        await comes_true(lambda: condition(cluster, "ResolvedRefs") == "False")
        cluster.put(service())
        await comes_true(lambda: condition(cluster, "ResolvedRefs") == "True")


async def test_a_killed_leader_is_followed_and_the_follower_wrote_nothing_before(cluster: FakeApiServer) -> None:
    async with running(cluster, "one", "two") as (one, two):
        await comes_true(lambda: one.election.leads or two.election.leads)
        leader, follower = (one, two) if one.election.leads else (two, one)
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        assert follower.writer.writes == 0
        await leader.kill()
        cluster.put(http_route("b"))
        assert follower.writer.writes == 0
        await comes_true(lambda: condition(cluster, "Accepted", "b") == "True")
        assert follower.election.leads


async def test_after_a_restart_of_the_server_everything_comes_to_what_it_should_be(cluster: FakeApiServer) -> None:
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        await cluster.stop()
        cluster.put(http_route("b"))
        cluster.remove("Service", "shop")
        await asyncio.sleep(0.1)
        await cluster.start()
        cluster.compact()
        await comes_true(lambda: condition(cluster, "Accepted", "b") == "True")
        await comes_true(lambda: condition(cluster, "ResolvedRefs") == "False")


async def test_an_object_that_was_deleted_and_made_again_gets_a_status_of_its_own(cluster: FakeApiServer) -> None:
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        cluster.remove("HTTPRoute", "a")
        cluster.put(http_route("a"))
        await comes_true(lambda: condition(cluster, "Accepted") == "True")


async def test_an_object_of_another_class_is_not_touched(cluster: FakeApiServer) -> None:
    cluster.put(gateway("theirs", "other"))
    cluster.put(http_route("t", parentRefs=[{"name": "theirs"}]))
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        await stays_true(lambda: "status" not in cluster.get("Gateway", "theirs"))
        assert "status" not in cluster.get("HTTPRoute", "t")


async def test_a_route_that_moves_to_another_class_loses_our_entry(cluster: FakeApiServer) -> None:
    cluster.put(gateway("theirs", "other"))
    async with running(cluster, "one"):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        cluster.put(http_route("a", parentRefs=[{"name": "theirs"}]))
        await comes_true(lambda: cluster.get("HTTPRoute", "a")["status"]["parents"] == [])


async def test_an_edit_that_cannot_be_used_leaves_the_others_served(cluster: FakeApiServer) -> None:
    async with running(cluster, "one") as (one,):
        await comes_true(lambda: condition(cluster, "Accepted") == "True")
        cluster.put(broken(http_route("a")))
        cluster.put(http_route("b"))
        await comes_true(lambda: condition(cluster, "Accepted", "b") == "True")
        assert [problem.object for problem in one.source.problems()] == ["HTTPRoute default/a"]
