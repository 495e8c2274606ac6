"""What goes wrong around a controller, and that everything comes to what it should be without a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import RunningController, conditions, controllers, gateway_of, give_address
from tests.support.discovery import GatewayHalf
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import comes_true, gateway, http_route, stays_true

REFUSED = "sekisho.dev/Programmed"


@pytest.fixture
async def one(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[RunningController]:
    async with controllers(server, tmp_path, "one") as (running,):
        await running.serves()
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        yield running


@pytest.fixture
async def edge(server: FakeApiServer, one: RunningController, tmp_path: Path) -> AsyncIterator[GatewayHalf]:
    async with gateway_of(server, one, tmp_path) as running:
        await comes_true(lambda: programmed(server) == "True")
        yield running


def programmed(server: FakeApiServer) -> str:
    return str(conditions(server.get("Gateway", "edge")).get("Programmed", {}).get("status"))


def programmed_since(server: FakeApiServer, version: int) -> set[str]:
    """Every value that ``Programmed`` of the Gateway had after ``version``."""
    return {
        conditions(document)["Programmed"]["status"]
        for number, _, where, document in server.history
        if number > version and where.endswith("/gateways") and document["metadata"]["name"] == "edge"
    }


def route_conditions(server: FakeApiServer, name: str = "a") -> dict[str, str]:
    parents = server.get("HTTPRoute", name).get("status", {}).get("parents", [])
    return {item["type"]: item["status"] for parent in parents for item in parent["conditions"]}


def routes(edge: GatewayHalf) -> list[str]:
    return sorted(route.key.split("/")[2] for route in edge.engine.table.routes)


async def test_a_watch_cut_in_the_middle_of_an_event_goes_on(server: FakeApiServer, edge: GatewayHalf) -> None:
    server.cut("httproutes", partial=b'{"type": "ADDED", "object": {"kind": "HTTPR')
    server.put(http_route("b"))
    await comes_true(lambda: routes(edge) == ["a", "b"])


async def test_what_was_deleted_while_no_watch_could_tell_is_gone(server: FakeApiServer, edge: GatewayHalf) -> None:
    server.put(http_route("b"))
    await comes_true(lambda: routes(edge) == ["a", "b"])
    await server.stop()
    server.remove("HTTPRoute", "b")
    server.put(http_route("c"))
    await stays_true(lambda: routes(edge) == ["a", "b"])
    server.compact()
    await server.start()
    await comes_true(lambda: routes(edge) == ["a", "c"])
    await comes_true(lambda: route_conditions(server, "c").get("Accepted") == "True")


@pytest.mark.usefixtures("edge")
async def test_an_edit_does_not_send_programmed_back_and_forth(server: FakeApiServer) -> None:
    version = server.version
    server.put(http_route("b"))
    edited = gateway()
    edited["spec"]["listeners"].append({"name": "more", "port": 81, "protocol": "HTTP"})
    server.put(edited)
    await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Programmed"]["observedGeneration"] == 2)
    await comes_true(lambda: len(server.get("Gateway", "edge")["status"]["listeners"]) == 2)
    assert programmed_since(server, version) == {"True"}


async def test_what_a_gateway_refuses_is_said_on_that_object_alone(server: FakeApiServer, edge: GatewayHalf) -> None:
    key = "HTTPRoute/default/b/0"
    edge.engine.refused[key] = "the test refuses it"
    server.put(http_route("b"))
    await comes_true(lambda: route_conditions(server, "b").get(REFUSED) == "False")
    assert REFUSED not in route_conditions(server, "a")
    assert programmed(server) == "True"
    version = server.version
    server.put(http_route("c"))
    await comes_true(lambda: route_conditions(server, "c").get("Accepted") == "True")
    assert not [document for number, _, _, document in server.history if number > version and is_route(document, "b")]
    del edge.engine.refused[key]
    server.put(http_route("b", hostnames=["b.example.com"]))
    await comes_true(lambda: REFUSED not in route_conditions(server, "b"))
    await comes_true(lambda: routes(edge) == ["a", "b", "c"])


def is_route(document: dict[str, object], name: str) -> bool:
    metadata = document.get("metadata")
    return document.get("kind") == "HTTPRoute" and isinstance(metadata, dict) and metadata.get("name") == name


async def test_a_gateway_of_a_deleted_gateway_gets_nothing_more(server: FakeApiServer, edge: GatewayHalf) -> None:
    server.remove("Gateway", "edge")
    await comes_true(lambda: "has no table" in edge.discovery.state.last_error, within=15.0)
    assert routes(edge) == ["a"], "it serves what it has until its pod is stopped"


async def test_a_follower_takes_over_and_its_gateways_count(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one", "two") as running:
        for controller in running:
            await controller.serves()
        await comes_true(lambda: any(controller.leads for controller in running))
        leader, follower = sorted(running, key=lambda controller: not controller.leads)
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        async with gateway_of(server, follower, tmp_path) as edge:
            await comes_true(lambda: programmed(server) == "True", what="the relayed answer")
            assert follower.app._writer.writes == 0
            version = server.version
            await leader.kill()
            server.put(http_route("b"))
            await comes_true(lambda: routes(edge) == ["a", "b"])
            await comes_true(lambda: route_conditions(server, "b").get("Accepted") == "True")
            assert follower.leads
            assert programmed_since(server, version) <= {"True"}


async def test_a_replica_that_takes_over_goes_on_from_what_stands(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one", "two") as running:
        for controller in running:
            await controller.serves()
        await comes_true(lambda: any(controller.leads for controller in running))
        leader, follower = sorted(running, key=lambda controller: not controller.leads)
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        async with gateway_of(server, leader, tmp_path):
            await comes_true(lambda: programmed(server) == "True")
            version = server.version
            await leader.kill()
            await comes_true(lambda: follower.leads, within=10.0)
            server.put(http_route("b"))
            await comes_true(lambda: route_conditions(server, "b").get("Accepted") == "True")
            assert programmed_since(server, version) <= {"True"}


async def test_the_lease_is_given_back_at_the_end(server: FakeApiServer, one: RunningController) -> None:
    await comes_true(lambda: one.leads)
    await one.stop()
    assert "holderIdentity" not in server.get("Lease", "sekisho-controller", "sekisho-system")["spec"]


async def test_a_restart_does_not_take_programmed_back(
    server: FakeApiServer, one: RunningController, edge: GatewayHalf, tmp_path: Path
) -> None:
    version = server.version
    await one.stop()
    async with controllers(server, tmp_path, "again") as (again,):
        await again.serves()
        await comes_true(lambda: again.leads)
        server.put(http_route("b"))
        await comes_true(lambda: route_conditions(server, "b").get("Accepted") == "True")
        assert routes(edge) == ["a"], "this gateway knows of the old address alone"
        assert programmed_since(server, version) <= {"True"}


async def test_it_stays_and_says_what_it_waits_for(server: FakeApiServer, tmp_path: Path) -> None:
    await server.stop()
    async with controllers(server, tmp_path, "one") as (one,), httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{one.app.health_url}/healthz/ready")
        assert answer.status_code == 503
        assert "a first list of Gateway" in answer.json()["waiting_for"]
        assert (await client.get(f"{one.app.health_url}/healthz/live")).status_code == 200
        await server.start()
        await one.serves()
        await comes_true(lambda: one.leads)
        answer = await client.get(f"{one.app.health_url}/healthz/ready")
        assert (answer.status_code, answer.json()["waiting_for"]) == (200, [])


async def test_a_missing_right_and_a_missing_kind_are_named(server: FakeApiServer, tmp_path: Path) -> None:
    server.missing.add("xbackends")
    async with controllers(server, tmp_path, "one") as (one,), httpx.AsyncClient(trust_env=False) as client:
        await one.serves()
        server.forbidden.add("configmaps")
        server.cut("configmaps")
        await comes_true(one.app._source.problems, within=10.0)
        report = (await client.get(f"{one.app.admin_url}/status")).json()
        problems = {problem["object"]: problem for problem in report["problems"]}
        assert problems["XBackend"]["severity"] == "warning"
        assert "refuses to list or watch ConfigMap" in problems["ConfigMap"]["message"]
        assert "service account" in problems["ConfigMap"]["remedy"]
