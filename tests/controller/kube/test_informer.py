from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
import pytest

from controller.kube.cache import Delta
from controller.kube.client import Api
from controller.kube.informer import Informer, WatchSettings
from controller.resources import BackendTLSPolicy, ConfigMap, HTTPRoute, Resource, Secret, XBackend
from controller.store import Key
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import HastyClock, broken, comes_true, config_map, http_route, secret, stays_true


class Watching:
    """An informer that runs, and what it has told."""

    def __init__(self, api: Api, type_: type[Resource], settings: WatchSettings, namespace: str = "") -> None:
        self.clock = HastyClock()
        self.deltas: list[Delta] = []
        self.informer = Informer(
            api,
            type_,
            self.deltas.append,
            namespace=namespace,
            settings=settings,
            clock=self.clock,
            chance=lambda: 0.0,
        )

    def names(self) -> set[str]:
        return {key.name for key in self.informer.cache.objects}

    def ports(self) -> dict[str, int | None]:
        routes = {key.name: item for key, item in self.informer.cache.objects.items() if isinstance(item, HTTPRoute)}
        return {name: route.spec.rules[0].backend_refs[0].port for name, route in routes.items()}


@contextlib.asynccontextmanager
async def watching(
    api: Api, type_: type[Resource] = HTTPRoute, settings: WatchSettings | None = None, namespace: str = ""
) -> AsyncIterator[Watching]:
    running = Watching(api, type_, settings or WatchSettings(), namespace)
    task = asyncio.create_task(running.informer.run())
    try:
        yield running
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def routes(server: FakeApiServer, api: Api) -> AsyncGenerator[Watching, None]:
    server.put(http_route("a"))
    async with watching(api) as running:
        await comes_true(lambda: running.informer.synced and server.watches)
        yield running


def lists(server: FakeApiServer, plural: str = "httproutes") -> int:
    return len([path for path in server.asked("GET", f"/{plural}") if "watch=1" not in path])


async def test_what_is_there_and_what_changes_is_told(server: FakeApiServer, routes: Watching) -> None:
    assert routes.names() == {"a"}
    server.put(http_route("b"))
    server.put(http_route("a", port=81))
    await comes_true(lambda: routes.ports() == {"a": 81, "b": 80})
    server.remove("HTTPRoute", "a")
    await comes_true(lambda: routes.names() == {"b"})
    assert routes.deltas[-1].deletes == (Key("HTTPRoute", "default", "a"),)
    assert lists(server) == 1


async def test_a_list_is_read_in_pages(server: FakeApiServer, api: Api) -> None:
    for number in range(7):
        server.put(config_map(f"m{number}"))
    async with watching(api, ConfigMap, WatchSettings(page=3)) as maps:
        await comes_true(lambda: len(maps.names()) == 7)
        assert lists(server, "configmaps") == 3
        assert len(maps.deltas[0].upserts) == 7


async def test_pages_that_expire_are_read_again_in_one_piece(server: FakeApiServer, api: Api) -> None:
    for number in range(7):
        server.put(config_map(f"m{number}"))
    server.fail(410, within="continue=")
    async with watching(api, ConfigMap, WatchSettings(page=3)) as maps:
        await comes_true(lambda: len(maps.names()) == 7)
    assert "limit" not in server.asked("GET", "/configmaps")[2]


async def test_a_status_of_somebody_else_is_no_change(server: FakeApiServer, routes: Watching) -> None:
    told = len(routes.deltas)
    server.set_status("HTTPRoute", "a", {"parents": []})
    await comes_true(lambda: len(routes.deltas) > told)
    assert not routes.deltas[-1]
    assert routes.deltas[-1].touched == (Key("HTTPRoute", "default", "a"),)


async def test_a_watch_cut_in_the_middle_of_an_event_goes_on_without_a_list(
    server: FakeApiServer, routes: Watching
) -> None:
    server.put(http_route("b"))
    await comes_true(lambda: "b" in routes.names())
    server.cut(partial=b'{"type":"DELETED","object":{"metadata":{"name":"a","namesp')
    server.put(http_route("c"))
    server.remove("HTTPRoute", "b")
    await comes_true(lambda: routes.names() == {"a", "c"})
    assert lists(server) == 1
    assert f"resourceVersion={server.version}" not in server.asked("GET", "watch=1")[1]


@pytest.mark.parametrize("form", ["status", "event"])
async def test_an_expired_watch_lists_anew_from_now(server: FakeApiServer, routes: Watching, form: str) -> None:
    server.put(http_route("gone"))
    await comes_true(lambda: "gone" in routes.names())
    if form == "event":
        server.error_events["httproutes"] = 1
    server.remove("HTTPRoute", "gone")
    server.put(http_route("a", port=82))
    if form == "status":
        server.compact()
    server.cut()
    await comes_true(lambda: routes.ports() == {"a": 82})
    await comes_true(lambda: lists(server) == 2 and f"resourceVersion={server.version}&" in server.requests[-1][1])
    assert all("resourceVersion" not in path for path in server.asked("GET", "limit="))


async def test_what_was_deleted_and_made_again_while_nobody_watched_is_another_object(
    server: FakeApiServer, routes: Watching
) -> None:
    uid = routes.informer.cache.objects[Key("HTTPRoute", "default", "a")].metadata.uid
    server.remove("HTTPRoute", "a")
    server.put(http_route("a", port=90))
    server.compact()
    server.cut()
    await comes_true(lambda: routes.ports() == {"a": 90})
    assert routes.informer.cache.objects[Key("HTTPRoute", "default", "a")].metadata.uid != uid


async def test_bookmarks_move_the_version_that_a_watch_goes_on_from(server: FakeApiServer, routes: Watching) -> None:
    assert routes.informer.synced
    server.put(config_map("elsewhere"))
    server.bookmark()
    at = server.version
    # A bookmark is written to the stream before it is closed.
    await asyncio.sleep(0.05)
    server.cut()
    await comes_true(lambda: len(server.asked("GET", "watch=1")) == 2)
    assert f"resourceVersion={at}&" in server.asked("GET", "watch=1")[1]
    assert lists(server) == 1


async def test_a_silent_connection_is_given_up(server: FakeApiServer, api: Api) -> None:
    server.put(http_route("a"))
    server.silent.add("httproutes")
    async with watching(api, settings=WatchSettings(silence=0.1)) as running:
        await comes_true(lambda: server.watches)
        server.put(http_route("b"))
        await stays_true(lambda: running.names() <= {"a"}, seconds=0.05)
        server.silent.clear()
        await comes_true(lambda: running.names() == {"a", "b"})
        assert max(running.clock.waits) <= WatchSettings().first_wait
    assert lists(server) == 1


async def test_a_server_in_trouble_is_asked_less_and_less_often(server: FakeApiServer, api: Api) -> None:
    server.fail(503, times=4)
    server.fail(None, times=2)
    async with watching(api) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.clock.waits[:5] == [0.125, 0.25, 0.5, 1.0, 2.0]


async def test_retry_after_is_honoured(server: FakeApiServer, api: Api) -> None:
    server.fail(429, headers={"Retry-After": "17"})
    async with watching(api) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.clock.waits[0] == 17.0


async def test_a_server_that_was_stopped_and_started_is_followed_again(server: FakeApiServer, routes: Watching) -> None:
    await server.stop()
    server.put(http_route("b"))
    await asyncio.sleep(0.05)
    assert routes.names() == {"a"}
    await server.start()
    await comes_true(lambda: routes.names() == {"a", "b"})


async def test_a_server_that_is_away_is_looked_for_every_few_seconds(server: FakeApiServer, api: Api) -> None:
    server.fail(None, times=16)
    async with watching(api) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.clock.waits[:8] == [0.125, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0]


async def test_a_server_that_is_back_does_not_pay_for_its_absence(server: FakeApiServer, api: Api) -> None:
    server.fail(None, times=12)
    server.fail(429)
    async with watching(api) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.clock.waits[6] == 0.125, "the first failure of another kind"


async def test_versions_that_expired_while_the_server_was_away_are_listed_anew_at_once(
    server: FakeApiServer, routes: Watching
) -> None:
    await server.stop()
    server.put(http_route("b"))
    await comes_true(lambda: len(routes.clock.waits) > 6)
    server.compact()
    waits = len(routes.clock.waits)
    await server.start()
    await comes_true(lambda: routes.names() == {"a", "b"})
    assert all(wait <= routes.informer._settings.unreachable_wait for wait in routes.clock.waits[waits:])


async def test_an_object_that_cannot_be_used_is_a_problem_and_its_last_version_stays(
    server: FakeApiServer, routes: Watching
) -> None:
    server.put(broken(http_route("a")))
    await comes_true(lambda: routes.informer.cache.problems)
    (problems,) = routes.informer.cache.problems.values()
    assert problems[0].object == "HTTPRoute default/a"
    assert routes.ports() == {"a": 80}
    server.put(http_route("a", port=83))
    await comes_true(lambda: routes.ports() == {"a": 83})
    assert not routes.informer.cache.problems


async def test_a_version_of_an_object_that_is_gone_is_not_kept_for_its_broken_successor(
    server: FakeApiServer, routes: Watching
) -> None:
    server.remove("HTTPRoute", "a")
    server.put(broken(http_route("a")))
    server.compact()
    server.cut()
    await comes_true(lambda: routes.informer.cache.problems)
    assert not routes.names()


async def test_a_kind_that_the_cluster_does_not_have_counts_as_read_and_is_looked_for_slowly(
    server: FakeApiServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    server.missing.add("xbackends")
    async with watching(api, XBackend) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.informer.absent
        await comes_true(lambda: running.clock.waits.count(60.0) >= 3)
        assert caplog.text.count("does not have the kind") == 1
        server.missing.clear()
        await comes_true(lambda: not running.informer.absent and server.watches)


async def test_a_moment_of_404_while_the_server_starts_removes_nothing(server: FakeApiServer, routes: Watching) -> None:
    server.compact()
    server.fail(404, times=2, within="limit=")
    server.cut()
    await comes_true(lambda: lists(server) >= 4)
    await comes_true(lambda: server.watches)
    assert routes.names() == {"a"}
    assert all(not delta.deletes for delta in routes.deltas)


async def test_an_older_version_is_read_where_the_preferred_one_is_not_served(server: FakeApiServer, api: Api) -> None:
    server.missing.add("v1/gateway.networking.k8s.io/backendtlspolicies")
    async with watching(api, BackendTLSPolicy) as running:
        await comes_true(lambda: server.watches)
        assert not running.informer.absent
    assert "/v1alpha3/" in server.asked("GET", "watch=1")[0]


async def test_what_may_not_be_read_is_a_problem_that_names_the_remedy(server: FakeApiServer, api: Api) -> None:
    server.forbidden.add("secrets")
    async with watching(api, Secret) as running:
        await comes_true(lambda: running.informer.problem is not None)
        assert running.informer.problem is not None
        assert "service account" in running.informer.problem.remedy
        assert not running.informer.synced
        server.forbidden.clear()
        await comes_true(lambda: running.informer.synced)
        assert running.informer.problem is None


async def test_secrets_of_other_trades_are_not_fetched(server: FakeApiServer, api: Api) -> None:
    server.put(secret("mine"))
    server.put(secret("release", "helm.sh/release.v1"))
    async with watching(api, Secret) as running:
        await comes_true(lambda: running.informer.synced)
        assert running.names() == {"mine"}
        key = Key("Secret", "default", "mine")
        assert running.informer.cache.seen(key) is None
        assert "hunter2" not in repr(running.informer.cache.objects[key])


async def test_one_namespace_is_watched_alone_when_asked(server: FakeApiServer, api: Api) -> None:
    server.put(config_map("a", namespace="shop"))
    server.put(config_map("b", namespace="other"))
    async with watching(api, ConfigMap, namespace="shop") as running:
        await comes_true(lambda: server.watches)
        server.put(config_map("c", namespace="other"))
        server.put(config_map("d", namespace="shop"))
        await comes_true(lambda: running.names() == {"a", "d"})


async def test_everything_is_listed_again_now_and_then(server: FakeApiServer, api: Api) -> None:
    server.put(http_route("a"))
    async with watching(api, settings=WatchSettings(resync=0.2)) as running:
        await comes_true(lambda: server.watches)
        await asyncio.sleep(0.25)
        server.bookmark()
        await comes_true(lambda: lists(server) >= 2)
        assert sum(len(delta.upserts) for delta in running.deltas) == 1


async def test_what_is_kept_for_the_status_is_the_last_that_was_told(server: FakeApiServer, routes: Watching) -> None:
    server.set_status("HTTPRoute", "a", {"parents": [{"controllerName": "other.example/x"}]})
    key = Key("HTTPRoute", "default", "a")

    def parents() -> object:
        seen = routes.informer.cache.seen(key)
        return seen and seen.status and msgspec.json.decode(seen.status)["parents"]

    await comes_true(lambda: parents() == [{"controllerName": "other.example/x"}])
    seen = routes.informer.cache.seen(key)
    assert seen is not None
    assert (seen.served, seen.version) == ("v1", str(server.version))
