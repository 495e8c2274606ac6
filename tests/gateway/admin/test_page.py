from __future__ import annotations

import base64
import hashlib
import re

import httpx
import msgspec

from gateway.admin import page
from gateway.admin.page_data import MAX_ROWS, Reading, page_data
from gateway.admin.status import ObjectStatus, Problem, StatusReport
from gateway.agent.state import AgentState
from gateway.routing_table.model import (
    Egress,
    EgressDestination,
    EgressPolicy,
    EgressRule,
    EgressSource,
    Failure,
    ListenerState,
    Resources,
    Snapshot,
    WeightedBackend,
)
from gateway.telemetry.rates import Rates, Traffic
from gateway.telemetry.statistics import EgressBytes, EgressDecisions, Statistics
from tests.gateway.admin.conftest import Admin
from tests.support import small_tables as tables


def reading(table: Resources, **changes: object) -> Reading:
    values: dict[str, object] = {
        "state": AgentState(loaded=True, listeners=(ListenerState(key=tables.LISTENER, bound=True),)),
        "table": table,
        "statistics": Statistics(),
        "rates": Rates(),
        "status": StatusReport(),
        "certificate_ends": {},
    }
    return Reading(**{**values, **changes})  # type: ignore[arg-type]


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text)
    assert "@import" not in answer.text
    assert answer.text.count("<script>") == answer.text.count("<style>") == 1


async def test_the_content_policy_allows_exactly_the_page_s_own_script_and_style(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_script_writes_text_never_markup() -> None:
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert sink not in page.HTML


async def test_the_page_s_data_shows_gateways_routes_and_problems(admin: Admin, client: httpx.AsyncClient) -> None:
    admin.report = StatusReport(
        objects=(ObjectStatus(kind="HTTPRoute", namespace="default", name="shop", source="shop.yaml:4"),),
        problems=(Problem(message="no such Service", object="HTTPRoute default/shop"),),
    )
    await admin.agent.apply(Snapshot(version="7", resources=tables.resources()))
    document = (await client.get("/page-data")).json()
    (gateway,) = document["gateways"]
    assert gateway["key"] == "default/edge"
    assert gateway["listeners"][0]["url"] == "http://127.0.0.1:8080"
    assert gateway["listeners"][0]["routes"] == 1
    (route,) = document["routes"]
    assert route["matches"] == ["/*"]
    assert route["source"] == "shop.yaml:4"
    assert document["problems"][0]["message"] == "no such Service"
    assert document["table"]["ready"] is True


def test_rates_stand_beside_what_they_belong_to() -> None:
    rates = Rates(
        listeners={tables.LISTENER: 3.0},
        routes={tables.route().key: 2.0},
        backends={"default/shop": Traffic(requests_per_second=1.5)},
    )
    data = page_data(reading(tables.resources(), rates=rates))
    assert data.gateways[0].listeners[0].requests_per_second == 3.0
    assert data.routes[0].requests_per_second == 2.0
    assert data.backends[0].traffic.requests_per_second == 1.5


def test_a_route_that_answers_an_error_says_so() -> None:
    failure = Failure(status=500, code="backend_not_found", message="Service default/none does not exist")
    route = tables.route()
    broken = type(route)(
        key=route.key,
        kind=route.kind,
        object=route.object,
        rule=0,
        attachments=route.attachments,
        matches=route.matches,
        backends=(WeightedBackend(failure=failure),),
    )
    (row,) = page_data(reading(tables.resources(broken))).routes
    assert row.failing
    assert "Service default/none does not exist" in row.backends[0]


def test_the_document_is_bounded_and_the_search_narrows_it() -> None:
    routes = [tables.route(f"route-{number}", f"/{number}") for number in range(5_000)]
    table = tables.resources(*routes)
    data = page_data(reading(table))
    assert len(data.routes) == MAX_ROWS
    assert data.routes_total == 5_000
    found = page_data(reading(table), "route-4711 shop.example.com")
    assert [row.key for row in found.routes] == ["HTTPRoute/default/route-4711/0"]


def test_each_rule_of_a_way_out_stands_with_what_was_decided_by_it() -> None:
    table = msgspec.structs.replace(
        tables.resources(),
        listeners=(msgspec.structs.replace(tables.listener(), egress=Egress(way="Proxy", policies=("infra/base",))),),
        egress_policies=(
            EgressPolicy(
                key="infra/base",
                mode="Report",
                rules=(
                    EgressRule(
                        name="stripe",
                        sources=(EgressSource(service_accounts=("shop/cart",)),),
                        destinations=(EgressDestination(names=("api.stripe.com",), ports=(443,)),),
                    ),
                    EgressRule(name="never", action="Deny", destinations=(EgressDestination(names=("evil.test",)),)),
                ),
            ),
        ),
    )
    statistics = Statistics(
        egress=(
            EgressDecisions(policy="infra/base", rule="stripe", decision="allow", count=7),
            EgressDecisions(policy="infra/base", rule="", decision="would_deny", count=2),
            EgressDecisions(policy="", rule="", decision="deny", count=3),
        ),
        egress_bytes=(EgressBytes(policy="infra/base", rule="stripe", received=10, sent=2000),),
    )
    status = StatusReport(
        objects=(ObjectStatus(kind="EgressPolicy", namespace="infra", name="base", source="base.yaml:4"),)
    )
    data = page_data(reading(table, statistics=statistics, status=status))
    assert data.gateways[0].listeners[0].hostname == "way out: forward proxy"
    told = [(row.policy, row.rule, row.who, row.where, row.allowed, row.would_deny, row.denied) for row in data.egress]
    assert told == [
        ("infra/base", "stripe", "shop/cart", "api.stripe.com:443", 7, 0, 0),
        ("infra/base", "never", "everybody", "evil.test", 0, 0, 0),
        ("", "", "", "", 0, 0, 3),
        ("infra/base", "", "", "", 0, 2, 0),
    ]
    first = data.egress[0]
    assert (first.received, first.sent, first.mode, first.source) == (10, 2000, "Report", "base.yaml:4")
    assert [row.rule for row in page_data(reading(table, statistics=statistics), "cart stripe").egress] == ["stripe"]
