from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from controller.terminal.curl import curl_lines
from gateway.admin.explain import Question, encode_question
from gateway.agent.compiled import explain_offline
from gateway.routing_table import wire
from gateway.routing_table.model import (
    Attachment,
    Endpoints,
    GRPCMethodMatch,
    Listener,
    Match,
    PathMatch,
    Resources,
    Snapshot,
    ValueMatch,
)
from tests.support import small_tables as tables


def explainer(table: Resources) -> Callable[[Question], dict[str, Any]]:
    snapshot = wire.encode(Snapshot(version="1", resources=table))
    return lambda question: json.loads(explain_offline(snapshot, encode_question(question)))


def lines(table: Resources, **options: Any) -> list[str]:
    return [line.command for line in curl_lines(table, explainer(table), **options)]


def with_route(match: Match, hostname: str = "shop.example.com", **changes: Any) -> Resources:
    attachment = Attachment(listener=tables.LISTENER, hostnames=(hostname,))
    return tables.resources(replace(tables.route(), matches=(match,), attachments=(attachment,), **changes))


def test_a_name_that_needs_dns_goes_into_the_host_header() -> None:
    assert lines(tables.resources()) == ["curl -H 'Host: shop.example.com' http://127.0.0.1:8080/"]


def test_names_under_localhost_need_nothing() -> None:
    assert lines(with_route(Match(), "shop.localhost")) == ["curl http://shop.localhost:8080/"]


def test_a_route_for_every_host_is_asked_by_address() -> None:
    assert lines(with_route(Match(), "*")) == ["curl http://127.0.0.1:8080/"]


def test_a_wildcard_gets_a_name_that_it_covers() -> None:
    assert lines(with_route(Match(), "*.example.com")) == ["curl -H 'Host: www.example.com' http://127.0.0.1:8080/"]


def test_a_request_carries_what_the_match_asks_for() -> None:
    match = Match(
        path=PathMatch(type="Exact", value="/cart"),
        method="PUT",
        headers=(ValueMatch(name="x-a", value="it's"),),
        query=(ValueMatch(name="q", value="a b"),),
    )
    (line,) = lines(with_route(match, "shop.localhost"))
    assert line == """curl -H 'x-a: it'"'"'s' -X PUT 'http://shop.localhost:8080/cart?q=a%20b'"""


def test_what_cannot_be_written_down_or_would_fail_is_left_out() -> None:
    assert lines(with_route(Match(path=PathMatch(type="RegularExpression", value="/v[0-9]+")))) == []
    without_endpoints = replace(tables.resources(), endpoints=(Endpoints(key=tables.BACKEND),))
    assert lines(without_endpoints) == []
    shadowed = tables.resources(tables.route("first"), tables.route("second"))
    assert len(lines(shadowed)) == 1


def test_https_names_its_authority_and_grpc_speaks_http2(tmp_path: Path) -> None:
    https = Listener(
        key="default/edge/https",
        gateway=tables.GATEWAY,
        address="127.0.0.1",
        port=443,
        bind_port=8443,
        protocol="HTTPS",
        certificates=("Secret/default/tls",),
    )
    attachments = (
        Attachment(listener=tables.LISTENER, hostnames=("shop.localhost",)),
        Attachment(listener=https.key, hostnames=("shop.localhost",)),
    )
    shop = replace(tables.route(), attachments=attachments)
    cart = replace(tables.route("cart", "/cart"), attachments=attachments)
    greeter = replace(
        tables.route("greeter"),
        key="GRPCRoute/default/greeter/0",
        kind="GRPCRoute",
        attachments=(Attachment(listener=tables.LISTENER, hostnames=("greeter.localhost",)),),
        matches=(Match(grpc=GRPCMethodMatch(service="demo.Greeter", method="SayHello")),),
    )
    table = tables.resources(shop, cart, greeter)
    table = replace(table, listeners=(*table.listeners, https))
    # Without its certificate the listener would be refused, so the questions are answered as if it were there.
    questions = explainer(replace(table, listeners=table.listeners[:1]))

    def explain(question: Question) -> dict[str, Any]:
        plain = question.url.replace("https://shop.localhost:8443", "http://shop.localhost:8080")
        return questions(replace(question, url=plain))

    found = [line.command for line in curl_lines(table, explain, authority=tmp_path / "ca.pem")]
    grpc = (
        "printf '\\0\\0\\0\\0\\0' | curl --http2-prior-knowledge -si -H 'content-type: application/grpc' "
        "-H 'te: trailers' --data-binary @- --output - http://greeter.localhost:8080/demo.Greeter/SayHello"
    )
    assert found == [
        "curl http://shop.localhost:8080/",
        f"curl --cacert {tmp_path}/ca.pem https://shop.localhost:8443/cart",
        grpc,
    ]
