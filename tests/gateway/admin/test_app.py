from __future__ import annotations

import httpx
import pytest

from gateway.admin.status import Condition, ObjectStatus, StatusReport
from gateway.routing_table.model import Snapshot
from tests.gateway.admin.conftest import Admin
from tests.support import small_tables as tables

PAGES = ["/", "/page-data", "/healthz/live", "/healthz/ready", "/metrics", "/config", "/status"]


async def load(admin: Admin) -> None:
    table = tables.resources(certificates=(tables.certificate(),))
    await admin.agent.apply(Snapshot(version="7", resources=table))


async def test_it_is_alive_before_it_is_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz/live")).status_code == 200
    answer = await client.get("/healthz/ready")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False


async def test_it_is_ready_once_a_table_is_loaded(admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    answer = await client.get("/healthz/ready")
    assert answer.status_code == 200
    assert answer.json()["version"] == "7"


async def test_a_port_that_cannot_be_bound_is_reported_by_readiness(admin: Admin, client: httpx.AsyncClient) -> None:
    admin.engine.unbindable = {tables.LISTENER: "another process listens there already"}
    await load(admin)
    answer = await client.get("/healthz/ready")
    assert answer.status_code == 200
    assert answer.json()["unbound"] == {tables.LISTENER: "another process listens there already"}


async def test_it_is_not_ready_while_it_drains(admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    admin.draining = True
    assert (await client.get("/healthz/ready")).status_code == 503


async def test_metrics_come_in_both_text_formats(admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "sekisho_table_version 7.0" in plain.text
    open_metrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


async def test_the_configuration_shows_everything_but_private_keys(admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    answer = await client.get("/config")
    document = answer.json()
    assert document["version"] == "7"
    assert document["resources"]["routes"][0]["key"] == tables.route().key
    assert document["resources"]["certificates"][0]["private_key"] == "<redacted>"


@pytest.mark.parametrize("path", [*PAGES, "/config?kind=certificates", "/config?key=Secret/default/tls"])
async def test_no_page_ever_holds_a_private_key(path: str, admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "nobody-may-see-this" not in answer.text


async def test_the_configuration_is_narrowed_by_kind_and_key(admin: Admin, client: httpx.AsyncClient) -> None:
    await load(admin)
    by_kind = (await client.get("/config", params={"kind": "listeners"})).json()["resources"]
    assert list(by_kind) == ["listeners"]
    by_key = (await client.get("/config", params={"key": tables.BACKEND})).json()["resources"]
    assert {kind: len(items) for kind, items in by_key.items()} == {"endpoints": 1, "backends": 1}
    assert (await client.get("/config", params={"key": "nothing"})).status_code == 404
    unknown = await client.get("/config", params={"kind": "secrets"})
    assert unknown.status_code == 400
    assert "listeners" in unknown.json()["error"]


async def test_explain_asks_the_engine_and_adds_where_a_route_was_read(admin: Admin, client: httpx.AsyncClient) -> None:
    admin.report = StatusReport(objects=(ObjectStatus(kind="HTTPRoute", namespace="a", name="b", source="b.yaml:3"),))
    admin.engine.explanation = {
        "decision": "route",
        "route": "HTTPRoute/a/b/0@a/edge",
        "candidates": [{"route": "HTTPRoute/a/b/1", "matched": False}],
        "nearest": [],
    }
    url = "http://shop.example.com/cart"
    posted = await client.post("/explain", json={"method": "PUT", "url": url, "headers": [["x-a", "1"]]})
    assert posted.json()["source"] == "b.yaml:3"
    assert posted.json()["candidates"][0]["source"] == "b.yaml:3"
    got = await client.get("/explain", params={"method": "PUT", "url": url, "header": "x-a: 1"})
    assert got.json() == posted.json()
    assert admin.engine.questions[0] == admin.engine.questions[1]
    assert admin.engine.questions[0] == {
        "url": url,
        "method": "PUT",
        "headers": [["x-a", "1"]],
        "from": "",
        "source": "",
    }


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"url": "shop.example.com"},
        {"url": "ftp://shop.example.com"},
        {"url": "http://shop.example.com:99999/"},
        {"url": "http://shop.example.com/", "method": "G E T"},
        {"url": "http://shop.example.com/", "headers": [["only-a-name"]]},
        {"url": "http://shop.example.com/", "colour": "red"},
    ],
)
async def test_a_question_that_cannot_be_understood_is_refused_with_what_is_expected(
    question: dict[str, object], client: httpx.AsyncClient
) -> None:
    answer = await client.post("/explain", json=question)
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_an_endless_question_is_cut_off(client: httpx.AsyncClient) -> None:
    answer = await client.post("/explain", content=b"{" + b" " * 100_000)
    assert answer.status_code == 400
    assert "longer" in answer.json()["error"]


async def test_the_status_is_what_was_reported(admin: Admin, client: httpx.AsyncClient) -> None:
    condition = Condition(type="Accepted", status="False", reason="NoMatchingParent", message="no such Gateway")
    admin.report = StatusReport(objects=(ObjectStatus(kind="HTTPRoute", name="shop", conditions=(condition,)),))
    document = (await client.get("/status")).json()
    assert document["objects"][0]["conditions"][0]["reason"] == "NoMatchingParent"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_but_explain_takes_more_than_a_get(path: str, method: str, client: httpx.AsyncClient) -> None:
    assert (await client.request(method, path)).status_code == 405


async def test_an_unknown_page_names_those_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert answer.status_code == 404
    assert "/explain" in answer.json()["pages"]
