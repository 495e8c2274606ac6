from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from controller.config import TranslationSettings
from controller.kube.client import Api
from controller.kube.connection import Connection
from controller.kube.informer import WatchSettings
from controller.pipeline import Pipeline
from controller.resources import ConfigMap, GatewayClass, HTTPRoute, Service
from controller.sources.kubernetes import KubernetesSettings, KubernetesSource
from controller.sources.source import Change
from controller.store import Key
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import (
    HastyClock,
    broken,
    comes_true,
    config_map,
    gateway,
    gateway_class,
    http_route,
    service,
    stays_true,
)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[FakeApiServer, None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with FakeApiServer() as running:
        yield running


@pytest.fixture
async def api(server: FakeApiServer) -> AsyncGenerator[Api, None]:
    client = Api(Connection(server=server.url))
    yield client
    await client.close()


def source_of(api: Api, **settings: object) -> KubernetesSource:
    settings.setdefault("watch", WatchSettings(silence=5.0))
    return KubernetesSource(api, KubernetesSettings(**settings), clock=HastyClock(), chance=lambda: 0.0)  # type: ignore[arg-type]


async def next_change(source: KubernetesSource) -> Change:
    changes = source.changes()
    try:
        return await asyncio.wait_for(anext(changes), 5.0)
    finally:
        await changes.aclose()


async def test_objects_of_a_cluster_make_the_same_table_as_manifests(server: FakeApiServer, api: Api) -> None:
    for document in (gateway_class(), gateway(), http_route("a"), service()):
        server.put(document)
    pipeline = Pipeline(TranslationSettings(), lambda _pattern: None)
    async with source_of(api) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        pipeline.take([source.load()], source.places())
        assert [route.key for route in pipeline.table.routes] == ["HTTPRoute/default/a/0"]
        server.put(http_route("b"))
        changed = pipeline.take([await next_change(source)], source.places())
        assert changed == {Key("HTTPRoute", "default", "b")}
        assert len(pipeline.table.routes) == 2
        server.remove("HTTPRoute", "a")
        pipeline.take([await next_change(source)], source.places())
        assert [route.key for route in pipeline.table.routes] == ["HTTPRoute/default/b/0"]


async def test_nothing_is_told_before_every_kind_has_been_read(server: FakeApiServer, api: Api) -> None:
    server.put(http_route("a"))
    server.put(service())
    server.forbidden.add("services")
    async with source_of(api, kinds=(HTTPRoute, Service)) as source:
        await comes_true(lambda: source.unsynced() == ("Service",))
        await stays_true(lambda: not source.synced.is_set())
        with pytest.raises(RuntimeError, match="synced"):
            source.load()
        assert [problem.object for problem in source.problems()] == ["Service"]
        server.forbidden.clear()
        await asyncio.wait_for(source.synced.wait(), 5.0)
        change = source.load()
        assert {type(resource) for resource in change.upserts} == {HTTPRoute, Service}
        assert change.problems == ()


async def test_kinds_whose_crd_is_missing_hold_nobody_up(server: FakeApiServer, api: Api) -> None:
    server.missing |= {"xbackends", "gatewayparameters", "backendtlspolicies"}
    server.put(http_route("a"))
    async with source_of(api) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        assert [resource.metadata.name for resource in source.load().upserts] == ["a"]


async def test_an_edit_that_cannot_be_used_is_told_as_a_problem_alone(server: FakeApiServer, api: Api) -> None:
    server.put(http_route("a"))
    async with source_of(api, kinds=(HTTPRoute,)) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        source.load()
        await comes_true(lambda: server.watches)
        server.put(broken(http_route("a")))
        change = await next_change(source)
        assert (change.upserts, change.deletes) == ((), ())
        assert [problem.object for problem in change.problems] == ["HTTPRoute default/a"]
        server.put(http_route("a", port=81))
        assert (await next_change(source)).problems == ()


async def test_changes_that_nobody_has_taken_yet_are_one_change(server: FakeApiServer, api: Api) -> None:
    async with source_of(api, kinds=(ConfigMap,)) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        source.load()
        await comes_true(lambda: server.watches)
        server.put(config_map("a"))
        server.put(config_map("b"))
        server.remove("ConfigMap", "a")
        server.put(config_map("b", "y"))
        await asyncio.sleep(0.1)
        change = await next_change(source)
        assert [resource.metadata.name for resource in change.upserts] == ["b"]
        assert change.deletes == (Key("ConfigMap", "default", "a"),)


async def test_only_the_namespaces_asked_for_are_watched(server: FakeApiServer, api: Api) -> None:
    for namespace in ("shop", "blog", "other"):
        server.put(config_map("m", namespace=namespace))
    server.put(gateway_class())
    async with source_of(api, kinds=(ConfigMap, GatewayClass), namespaces=("shop", "blog")) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        assert {resource.metadata.namespace for resource in source.load().upserts} == {"shop", "blog", ""}


async def test_a_namespace_that_is_deleted_takes_its_objects_with_it(server: FakeApiServer, api: Api) -> None:
    for name in ("a", "b"):
        server.put(config_map(name, namespace="shop"))
    server.put(config_map("c"))
    async with source_of(api, kinds=(ConfigMap,)) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        source.load()
        await comes_true(lambda: server.watches)
        for name in ("a", "b"):
            server.remove("ConfigMap", name, namespace="shop")
        await asyncio.sleep(0.1)
        assert {key.name for key in (await next_change(source)).deletes} == {"a", "b"}


async def test_a_right_that_was_taken_and_given_back_is_told_both_times(server: FakeApiServer, api: Api) -> None:
    server.put(config_map("a"))
    async with source_of(api, kinds=(ConfigMap,)) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        source.load()
        await comes_true(lambda: server.watches)
        server.forbidden.add("configmaps")
        server.cut()
        change = await next_change(source)
        assert [problem.object for problem in change.problems] == ["ConfigMap"]
        assert change.deletes == ()
        server.forbidden.clear()
        assert (await next_change(source)).problems == ()


async def test_leaving_ends_every_watch(server: FakeApiServer, api: Api) -> None:
    async with source_of(api) as source:
        await asyncio.wait_for(source.synced.wait(), 5.0)
        await comes_true(lambda: server.watches)
    await comes_true(lambda: not server.watches)
