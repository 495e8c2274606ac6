from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest

from controller.kube.client import Api
from controller.kube.informer import WatchSettings
from controller.kube.status_writer import StatusWriter, Wanted, WriterSettings
from controller.resources import HTTPRoute
from controller.sources.kubernetes import KubernetesSettings, KubernetesSource
from controller.store import Key
from controller.translate.statuses import Status
from tests.controller.kube.test_status_merge import OTHER, OURS, REFUSED, route_status
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import HastyClock, Object, comes_true, http_route, stays_true

KEY = Key("HTTPRoute", "default", "a")


class Writing:
    """A source of HTTPRoutes and a writer of their statuses, both running."""

    def __init__(self, server: FakeApiServer, api: Api) -> None:
        self.server = server
        self.clock = HastyClock()
        watch = KubernetesSettings(kinds=(HTTPRoute,), watch=WatchSettings())
        self.source = KubernetesSource(api, watch, clock=HastyClock(), chance=lambda: 0.0)
        self.writer = StatusWriter(api, WriterSettings(OURS), self.source.seen, clock=self.clock, chance=lambda: 0.0)
        self.source.on_touched(self.writer.look_again)

    def want(self, status: Status | None, name: str = "a", uid: str = "") -> None:
        uid = uid or self.server.get("HTTPRoute", name)["metadata"]["uid"]
        self.writer.want({KEY._replace(name=name): Wanted(uid, status)})

    def parents(self, name: str = "a") -> list[Object]:
        found: list[Object] = self.server.get("HTTPRoute", name).get("status", {}).get("parents", [])
        return found

    def patches(self) -> int:
        return len(self.server.asked("PATCH", "/status"))

    async def settled(self) -> None:
        await comes_true(lambda: self.writer.idle)
        # The server's word on what was written comes back over the watch.
        await asyncio.sleep(0.05)
        await comes_true(lambda: self.writer.idle)


@pytest.fixture
async def writing(server: FakeApiServer, api: Api) -> AsyncGenerator[Writing, None]:
    server.put(http_route("a"))
    running = Writing(server, api)
    async with running.source:
        await comes_true(lambda: running.source.synced.is_set() and server.watches)
        task = asyncio.create_task(running.writer.run())
        running.writer.lead(leads=True)
        yield running
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_status_is_written_once(writing: Writing) -> None:
    writing.want(route_status("edge"))
    await writing.settled()
    assert writing.parents()[0]["controllerName"] == OURS
    writing.want(route_status("edge"))
    writing.writer.look_again([KEY])
    await writing.settled()
    assert writing.patches() == 1
    assert not writing.server.asked("GET", "/httproutes/a"), "what was seen is not read again"


async def test_followers_write_nothing_and_a_new_leader_everything_that_differs(
    server: FakeApiServer, writing: Writing
) -> None:
    writing.writer.lead(leads=False)
    server.put(http_route("b"))
    writing.want(route_status("edge"))
    writing.want(route_status("edge"), name="b")
    await stays_true(lambda: not writing.patches())
    writing.writer.lead(leads=True)
    await writing.settled()
    assert [len(writing.parents(name)) for name in ("a", "b")] == [1, 1]


async def test_a_conflict_is_read_again_and_both_controllers_entries_stand(
    server: FakeApiServer, writing: Writing
) -> None:
    theirs = {"parentRef": {"name": "edge"}, "controllerName": OTHER, "conditions": []}
    server.before_write = lambda _key: server.set_status("HTTPRoute", "a", {"parents": [theirs]})
    writing.want(route_status("edge"))
    await writing.settled()
    assert [item["controllerName"] for item in writing.parents()] == [OTHER, OURS]
    assert writing.parents()[0] == theirs


async def test_two_controllers_of_different_names_write_to_one_route_and_come_to_rest(
    server: FakeApiServer, api: Api, writing: Writing
) -> None:
    clock = HastyClock()
    other = StatusWriter(api, WriterSettings(OTHER), writing.source.seen, clock=clock, chance=lambda: 0.0)

    def touched(keys: tuple[Key, ...]) -> None:
        writing.writer.look_again(keys)
        other.look_again(keys)

    writing.source.on_touched(touched)
    task = asyncio.create_task(other.run())
    other.lead(leads=True)
    uid = server.get("HTTPRoute", "a")["metadata"]["uid"]
    wanted = route_status("edge", "second")
    replace = msgspec.structs.replace
    theirs = replace(wanted, parents=tuple(replace(item, controller_name=OTHER) for item in wanted.parents))
    writing.want(wanted)
    other.want({KEY: Wanted(uid, theirs)})
    await writing.settled()
    await comes_true(lambda: other.idle)
    assert sorted(item["controllerName"] for item in writing.parents()) == sorted([OURS, OURS, OTHER, OTHER])
    before = writing.patches()
    await stays_true(lambda: writing.patches() == before)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_somebody_undoes_is_repaired(server: FakeApiServer, writing: Writing) -> None:
    writing.want(route_status("edge"))
    await writing.settled()
    server.set_status("HTTPRoute", "a", {"parents": []})
    await comes_true(writing.parents)
    assert len(writing.parents()) == 1


async def test_a_quarrel_over_a_status_slows_down(server: FakeApiServer, writing: Writing) -> None:
    writing.want(route_status("edge"))
    await writing.settled()
    for _ in range(4):
        server.set_status("HTTPRoute", "a", {"parents": []})
        await comes_true(writing.parents)
        await writing.settled()
    waits = [wait for wait in writing.clock.waits if wait > 0.05]
    assert max(waits) > 0.3, waits


async def test_an_object_that_vanished_is_no_trouble(
    server: FakeApiServer, writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    uid = server.get("HTTPRoute", "a")["metadata"]["uid"]
    server.before_write = lambda _key: server.remove("HTTPRoute", "a")
    writing.want(route_status("edge"), uid=uid)
    await writing.settled()
    assert "could not be written" not in caplog.text


async def test_a_moment_of_404_while_the_server_starts_loses_no_status(server: FakeApiServer, writing: Writing) -> None:
    server.fail(404, times=2, method="PATCH")
    writing.want(route_status("edge"))
    await comes_true(writing.parents)


async def test_a_status_for_an_object_is_not_written_to_its_successor(writing: Writing) -> None:
    writing.want(route_status("edge", condition=REFUSED), uid="of-the-one-before")
    await writing.settled()
    assert not writing.patches()
    writing.want(route_status("edge"))
    await writing.settled()
    assert len(writing.parents()) == 1


@pytest.mark.parametrize("status", [429, 500, 503, None])
async def test_a_write_that_fails_is_tried_again(server: FakeApiServer, writing: Writing, status: int | None) -> None:
    server.fail(status, times=3, method="PATCH", headers={"Retry-After": "2"})
    writing.want(route_status("edge"))
    await comes_true(writing.parents)
    assert status not in (429, 503) or 2.0 in writing.clock.waits


async def test_statuses_are_written_after_a_restart_of_the_server(server: FakeApiServer, writing: Writing) -> None:
    await server.stop()
    writing.want(route_status("edge"))
    await asyncio.sleep(0.05)
    await server.start()
    await comes_true(writing.parents)


async def test_a_newer_wish_while_one_is_written_is_not_lost(server: FakeApiServer, writing: Writing) -> None:
    server.before_write = lambda _key: writing.want(route_status("edge", "two"))
    writing.want(route_status("edge"))
    await comes_true(lambda: len(writing.parents()) == 2)


async def test_a_route_that_is_no_longer_ours_is_left_clean(writing: Writing) -> None:
    writing.want(route_status("edge"))
    await writing.settled()
    writing.want(None)
    await comes_true(lambda: not writing.parents())


async def test_many_statuses_are_written_once_each(server: FakeApiServer, writing: Writing) -> None:
    for number in range(500):
        server.put(http_route(f"r{number}"))
    for number in range(500):
        writing.want(route_status("edge"), name=f"r{number}")
    await comes_true(lambda: writing.patches() >= 500, within=20.0)
    await writing.settled()
    assert writing.patches() == 500
    assert all(writing.parents(f"r{number}") for number in range(500))


async def test_who_stops_leading_while_a_write_waits_for_its_turn_does_not_write(
    server: FakeApiServer, api: Api, writing: Writing
) -> None:
    writing.writer.lead(leads=False)
    settings = WriterSettings(OURS, per_second=1.0, burst=0)
    writer = StatusWriter(api, settings, writing.source.seen, clock=writing.clock, chance=lambda: 0.0)
    task = asyncio.create_task(writer.run())
    writer.lead(leads=True)
    writer.want({KEY: Wanted(server.get("HTTPRoute", "a")["metadata"]["uid"], route_status("edge"))})
    await comes_true(lambda: writing.clock.waits)
    writer.lead(leads=False)
    await comes_true(lambda: writer.idle)
    assert not writing.patches()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
