"""What the start says of ways out, and the command that it offers."""

from __future__ import annotations

import io
from typing import Any

from msgspec.structs import replace
from rich.text import Text

from controller.terminal.ways_out import way_out_line, write_ways_out
from controller.terminal.writer import Writer
from gateway.admin.explain import Question
from gateway.routing_table.describe_egress import way_out
from gateway.routing_table.model import (
    Egress,
    EgressDestination,
    EgressPolicy,
    EgressRule,
    EgressSource,
    Listener,
    MeshServer,
    Resources,
)
from tests.support import small_tables as tables

POLICY = "infra/base"


def proxy(**changes: Any) -> Listener:
    return replace(tables.listener(), egress=Egress(way="Proxy", policies=(POLICY,)), **changes)


def policy(*rules: EgressRule, **fields: Any) -> EgressPolicy:
    return EgressPolicy(key=POLICY, rules=rules, **fields)


def rule(name: str, *names: str, **fields: Any) -> EgressRule:
    ports = fields.pop("ports", ())
    return EgressRule(name=name, destinations=(EgressDestination(names=names, ports=ports),), **fields)


def table(listener: Listener, *policies: EgressPolicy) -> Resources:
    return replace(tables.resources(), listeners=(listener,), egress_policies=policies)


def written(shown: Resources, *, styled: bool = False) -> str:
    file = io.StringIO()
    write_ways_out(Writer(file, styled=styled, width=120), shown)
    return file.getvalue()


def lets_out(*names: str) -> Any:
    def explain(question: Question) -> dict[str, Any]:
        out = question.method == "CONNECT" and question.url in names
        return {"decision": "egress" if out else "denied", "listener": tables.LISTENER}

    return explain


def test_rules_are_told_with_who_and_where() -> None:
    cart = EgressSource(service_accounts=("shop/cart",), namespaces=("pay",))
    shown = table(
        proxy(),
        policy(
            rule("stripe", "api.stripe.com", "*.github.com", ports=(443, 8443), sources=(cart,)),
            rule("never", "evil.example", action="Deny"),
            mode="Report",
        ),
    )
    where = "api.stripe.com:443,8443, *.github.com:443,8443"
    assert written(shown).splitlines() == [
        f"egress policy infra/base (Report) allows shop/cart, namespace pay -> {where} (stripe)",
        "egress policy infra/base (Report) denies everybody -> evil.example (never)",
    ]
    for part in ("Ways out", "shop/cart", "→ api.stripe.com", "✗ evil.example", "(Report)"):
        assert part in Text.from_ansi(written(shown, styled=True)).plain, part


def test_a_way_out_without_a_policy_says_what_it_lets_through() -> None:
    assert "lets nothing out: no policy speaks for it" in written(table(proxy()))
    assert written(table(tables.listener())) == ""


def test_many_rules_are_cut() -> None:
    many = policy(*(rule(f"r{number}", f"h{number}.example") for number in range(30)))
    assert "and 18 more rules" in written(table(proxy(), many))


def test_the_command_is_one_that_is_let_out() -> None:
    shown = table(proxy(), policy(rule("a", "*.wild.example", "denied.example", "fine.example", ports=(8443,))))
    line = way_out_line(shown, lets_out("fine.example:8443"))
    assert line is not None
    assert line.command == "curl --proxy http://127.0.0.1:8080 https://fine.example:8443/"
    assert way_out_line(shown, lets_out()) is None


def test_no_command_where_more_is_needed_than_a_line_shows() -> None:
    everything = lets_out("fine.example:443")
    stated = policy(rule("a", "fine.example"))
    assert way_out_line(table(proxy(), stated), everything) is not None
    assert way_out_line(table(proxy(protocol="HTTPS"), stated), everything) is None
    redirected = replace(tables.listener(), egress=Egress(way="HTTP", policies=(POLICY,)))
    assert way_out(redirected) == "way out: redirected HTTP"
    assert way_out_line(table(redirected, stated), everything) is None


def test_a_way_out_for_the_mesh_alone_says_so_and_offers_no_command() -> None:
    rules = policy(rule("a", "fine.example"))
    strict = proxy(mesh=MeshServer(mode="STRICT"))
    assert way_out(strict) == "way out: forward proxy, for workloads of the mesh alone"
    assert way_out_line(table(strict, rules), lets_out("fine.example:443")) is None
    permissive = proxy(mesh=MeshServer())
    assert way_out(permissive) == "way out: forward proxy"
    assert way_out_line(table(permissive, rules), lets_out("fine.example:443")) is not None
