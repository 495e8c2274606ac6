from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from controller.terminal.announce import Changed, Started, announce, announce_change, change_in_words, problems
from controller.terminal.curl import CurlLine
from controller.terminal.explanation import write_explanation
from controller.terminal.report import write_report, write_verdict
from controller.terminal.writer import Writer, printable
from gateway.admin.explain import Question
from gateway.admin.status import Condition, GatewayVersion, ObjectStatus, Part, Problem, StatusReport, WorkloadStatus
from gateway.routing_table.model import Failure, ListenerState, Resources
from tests.support import small_tables as tables

PROBLEM = Problem(
    message="Service default/none does not exist",
    object="HTTPRoute default/shop",
    source="shop.yaml:4",
    remedy="create it",
)


def written(write: Callable[[Writer], None], *, styled: bool = False, width: int = 120) -> str:
    file = io.StringIO()
    write(Writer(file, styled=styled, width=width))
    return file.getvalue()


def started(**changes: object) -> Started:
    values: dict[str, object] = {
        "table": tables.resources(),
        "listeners": (ListenerState(key=tables.LISTENER, bound=True),),
        "version": "1",
        "milliseconds": 41.7,
        "paths": ("shop.yaml",),
        "sources": {"HTTPRoute/default/shop": "shop.yaml:4"},
        "problems": (),
        "curl": (CurlLine(command="curl http://127.0.0.1:8080/", shows=tables.route().key, kind="http"),),
        "admin_url": "http://127.0.0.1:9901",
    }
    return Started(**{**values, **changes})  # type: ignore[arg-type]


def test_the_start_in_plain_lines() -> None:
    assert written(lambda writer: announce(writer, started())).splitlines() == [
        "sekisho 0.1.0: table v1, 1 listener, 1 route, 42 ms",
        "listening on http://127.0.0.1:8080 for every host (default/edge/http)",
        "route shop.example.com /* -> Service/default/shop/80 (HTTPRoute/default/shop/0 shop.yaml:4)",
        "try: curl http://127.0.0.1:8080/",
        "admin page at http://127.0.0.1:9901",
        "watching shop.yaml",
    ]


def test_the_start_for_people_shows_the_same_facts() -> None:
    shown = written(lambda writer: announce(writer, started()), styled=True)
    for fact in ("Sekisho", "http://127.0.0.1:8080", "shop.example.com", "shop.yaml:4", "curl http://127.0.0.1:8080/"):
        assert fact in shown
    assert "\x1b[" in shown


def test_people_see_a_route_s_file_as_the_watched_folder_has_it() -> None:
    sources = {"HTTPRoute/default/shop": "deep/manifests/shop.yaml:4"}
    shown = written(lambda writer: announce(writer, started(paths=("deep/manifests",), sources=sources)), styled=True)
    assert "shop.yaml:4" in shown
    assert "deep/manifests/shop.yaml" not in shown
    alone = started(paths=("deep/manifests/shop.yaml",), sources=sources)
    assert "deep/manifests/shop.yaml:4" in written(lambda writer: announce(writer, alone), styled=True)


def test_in_a_narrow_terminal_a_route_s_target_stays_in_one_piece() -> None:
    table = tables.resources(tables.route("shop", "/a-path-that-is-far-too-long-for-the-room-that-there-is"))
    shown = written(lambda writer: announce(writer, started(table=table)), styled=True, width=80)
    assert "Service/default/shop/80" in shown
    assert "shop.yaml:4" not in shown


def test_a_route_that_fails_says_all_of_why_in_a_narrow_terminal() -> None:
    why = Failure(status=500, code="filter_not_resolved", message="words " * 30 + "and the last one")
    table = tables.resources(replace(tables.route(), failure=why))
    shown = written(lambda writer: announce(writer, started(table=table)), styled=True, width=80)
    assert shown.count("words") == 30
    assert "…" not in shown


def test_a_port_that_cannot_be_bound_is_named_with_its_cause() -> None:
    error = "cannot bind 127.0.0.1:8080: another process listens there already"
    state = ListenerState(key=tables.LISTENER, bound=False, error=error)
    shown = written(lambda writer: announce(writer, started(listeners=(state,))))
    assert (
        "NOT listening on http://127.0.0.1:8080 for every host (default/edge/http): "
        "another process listens there already\n" in shown
    )


def test_without_listeners_the_start_says_so() -> None:
    assert "nothing is listening" in written(lambda writer: announce(writer, started(table=Resources(), curl=())))


def test_many_routes_are_counted_and_not_listed() -> None:
    table = tables.resources(*(tables.route(f"route-{number}") for number in range(500)))
    shown = written(lambda writer: announce(writer, started(table=table)))
    assert shown.count("\nroute ") == 12
    assert "and 488 more routes" in shown


def test_a_problem_is_one_line_with_place_object_and_remedy() -> None:
    assert written(lambda writer: problems(writer, [PROBLEM])) == (
        "error: shop.yaml:4: HTTPRoute default/shop: Service default/none does not exist → create it\n"
    )


def test_the_start_says_once_what_was_left_alone() -> None:
    kinds = {f"Kind{number}": 2 for number in range(9)}
    shown = written(lambda writer: announce(writer, started(left_alone=kinds)))
    assert shown.count("18 objects of other kinds left alone: Kind0, Kind1, ") == 1
    assert "Kind7, …\n" in shown


def test_long_lines_are_never_wrapped_for_programs() -> None:
    long = Problem(message="x" * 500)
    assert written(lambda writer: problems(writer, [long])).count("\n") == 1


def test_a_change_is_one_line_and_its_new_problems() -> None:
    changed = Changed(
        files=("shop.yaml",),
        before=tables.resources(),
        after=tables.resources(tables.route(), tables.route("cart", "/cart")),
        version="7",
        milliseconds=3.6,
        problems=(PROBLEM,),
        solved=1,
    )
    first, second = written(lambda writer: announce_change(writer, changed)).splitlines()
    assert first == "reloaded shop.yaml: +1 route, 1 problem solved, v7, 4 ms"
    assert second.startswith("error: shop.yaml:4")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (tables.resources(), tables.resources(), "no change to the traffic"),
        (Resources(), Resources(routes=(tables.route(),)), "+1 route"),
        (Resources(routes=(tables.route("a"), tables.route("b"))), Resources(), "-2 routes"),
        (Resources(routes=(tables.route(),)), Resources(routes=(tables.route(path="/x"),)), "~1 route"),
    ],
)
def test_what_a_change_did_is_counted_by_kind(before: Resources, after: Resources, words: str) -> None:
    assert change_in_words(before, after) == words


def test_control_characters_in_a_manifest_never_reach_the_terminal() -> None:
    evil = Problem(message="\x1b]0;owned\x07 \x1b[2J [bold]not markup[/bold]")
    for styled in (False, True):
        shown = written(lambda writer: problems(writer, [evil]), styled=styled)
        assert "\x1b]0" not in shown
        assert "\x1b[2J" not in shown
        assert "[bold]not markup[/bold]" in shown
    assert printable("a\tb") == "a\ufffdb"


ROUTED = {
    "decision": "route",
    "listener": "default/edge/http",
    "status": None,
    "code": "via_upstream",
    "route": "HTTPRoute/default/shop/1",
    "rule_match": 0,
    "name": "everything",
    "source": "shop.yaml:4",
    "filters": [{"type": "ResponseHeaderModifier", "set": [{"name": "x-a", "value": "1"}]}],
    "backends": [{"backend": "Service/default/a/80", "weight": 9}, {"backend": "Service/default/b/80", "weight": 1}],
    "timeouts": {"request_ms": 500},
    "retry": {"codes": [503], "attempts": 2},
    "candidates": [
        {
            "route": "HTTPRoute/default/shop/0",
            "match": 0,
            "matched": False,
            "failed": {"predicate": "header", "name": "x-canary", "want": "yes", "got": None},
        },
        {"route": "HTTPRoute/default/shop/1", "match": 0, "matched": True, "failed": None},
    ],
    "nearest": [],
}


def test_an_explanation_shows_route_filters_backends_and_what_was_passed_over() -> None:
    question = Question(url="http://shop.example.com/")
    assert written(lambda writer: write_explanation(writer, question, ROUTED)).splitlines() == [
        "GET http://shop.example.com/",
        "  listener default/edge/http",
        "  routed",
        "  route HTTPRoute/default/shop/1 “everything”, match 0  shop.yaml:4",
        "    filter response headers: set x-a",
        "    backend Service/default/a/80 90%",
        "    backend Service/default/b/80 10%",
        "    timeout whole request 500 ms",
        "    retry 2 times on 503",
        "  tried before it, without a match",
        "    HTTPRoute/default/shop/0 match 0",
        "      header x-canary: wants 'yes', the request has none",
    ]


def test_a_404_is_explained_by_its_nearest_misses() -> None:
    answer = {
        "decision": "not_found",
        "listener": "default/edge/http",
        "status": 404,
        "code": "route_not_found",
        "nearest": [
            {
                "route": "HTTPRoute/default/shop/0",
                "match": 1,
                "matched": False,
                "failed": {"predicate": "path", "name": "PathPrefix", "want": "/cart", "got": "/carts"},
            }
        ],
    }
    shown = written(lambda writer: write_explanation(writer, Question(url="http://a/carts"), answer))
    assert "no route takes it, answers 404 (route_not_found)" in shown
    assert "path PathPrefix: wants '/cart', the request has '/carts'" in shown


def test_a_url_that_no_listener_has_says_which_port_it_means() -> None:
    answer = {"decision": "no_listener", "listener": None, "status": None, "code": ""}
    shown = written(lambda writer: write_explanation(writer, Question(url="http://a/"), answer))
    assert shown.splitlines() == [
        "GET http://a/",
        "  nothing listens there",
        "  no listener has this scheme and port; a URL without a port means 80, or 443 with https",
    ]


REPORT = StatusReport(
    gateways=(GatewayVersion(name="standalone", version="2", wanted="3"),),
    objects=(
        ObjectStatus(
            kind="Gateway",
            namespace="default",
            name="edge",
            source="edge.yaml:1",
            conditions=(Condition(type="Accepted", status="True", reason="Accepted"),),
            parts=(
                Part(
                    name="http",
                    attached_routes=3,
                    urls=("http://127.0.0.1:8080",),
                    conditions=(
                        Condition(type="Programmed", status="False", reason="PortUnavailable"),
                        Condition(type="Conflicted", status="False", reason="NoConflicts"),
                    ),
                ),
            ),
        ),
    ),
    problems=(PROBLEM,),
)


def test_a_report_shows_objects_parts_conditions_and_versions() -> None:
    unbound = "Programmed=False PortUnavailable, Conflicted=False NoConflicts"
    assert written(lambda writer: write_report(writer, REPORT)).splitlines() == [
        "gateway standalone holds v2 of v3",
        "Gateway/default/edge (edge.yaml:1): Accepted=True Accepted",
        f"  http http://127.0.0.1:8080 (3 routes attached): {unbound}",
        "error: shop.yaml:4: HTTPRoute default/shop: Service default/none does not exist → create it",
    ]
    styled = written(lambda writer: write_report(writer, REPORT), styled=True)
    assert "http://127.0.0.1:8080" in styled
    assert "Programmed: PortUnavailable" in styled
    assert "Conflicted" not in styled


def test_a_gateway_that_knows_only_what_it_holds_is_shown_with_that() -> None:
    report = StatusReport(gateways=(GatewayVersion(name="edge-0", version="ab12"),))
    assert written(lambda writer: write_report(writer, report)) == "gateway edge-0 holds vab12\n"
    assert "●" in written(lambda writer: write_report(writer, report), styled=True)


def test_the_verdict_counts_errors_and_warnings() -> None:
    warning = Problem(message="a field is unknown", severity="warning")
    both = StatusReport(problems=(PROBLEM, PROBLEM, warning))
    assert written(lambda writer: write_verdict(writer, both)) == "2 errors, 1 warning\n"
    assert written(lambda writer: write_verdict(writer, StatusReport(problems=(warning,)))) == "1 warning\n"
    fine = StatusReport(objects=REPORT.objects)
    assert written(lambda writer: write_verdict(writer, fine)) == "ok: 1 object, no problem\n"


def test_a_report_shows_who_workloads_are_what_they_take_and_who_decides() -> None:
    identity = "spiffe://cluster.local/ns/shop/sa/cart"
    report = StatusReport(
        gateways=(
            GatewayVersion(
                name="shop/cart/1: vm", version="a", wanted="a", identity=identity, certificate_ends=86_400.0
            ),
        ),
        workloads=(
            WorkloadStatus(
                kind="Pod",
                namespace="shop",
                name="cart-1",
                identity=identity,
                mode="STRICT",
                port_modes={"9000": "DISABLE"},
                policies=("DENY shop/nobody",),
            ),
            WorkloadStatus(kind="WorkloadEntry", namespace="shop", name="machine", identity=identity),
        ),
    )
    assert written(lambda writer: write_report(writer, report)).splitlines() == [
        f"gateway shop/cart/1: vm holds va of va as {identity} until 1970-01-02 00:00:00Z",
        f"workload Pod/shop/cart-1 is {identity}: mTLS STRICT, 9000 DISABLE; DENY shop/nobody",
        f"workload WorkloadEntry/shop/machine is {identity}: mTLS on no port; no policy",
    ]
    styled = written(lambda writer: write_report(writer, report), styled=True)
    assert all(word in styled for word in ("Workloads", "shop/cart-1", "mTLS STRICT", "1970-01-02"))


NONE = {"connections": 0, "bytes": 0, "duration_ms": 0}


def test_a_destination_outside_is_told_with_what_policies_say_of_it() -> None:
    tried = {
        "policy": "shop/out",
        "rule": "stripe",
        "action": "Allow",
        "mode": "Enforce",
        "matched": True,
        "failed": None,
    }
    egress = {
        "allowed": True,
        "would_deny": False,
        "reason": "rule stripe of shop/out allows it",
        "policy": "shop/out",
        "rule": "stripe",
        "mode": "Enforce",
        "contact": "",
        "limits": {"connections": 9, "bytes": 0, "duration_ms": 5000},
        "address_blocks": ["10.0.0.1/32"],
        "tried": [{**tried, "source": "out.yaml:3"}],
        "policies": 1,
    }
    place = {"backend": "XBackend/shop/stripe/443", "weight": 1, "host": "api.stripe.com", "port": 443}
    sent = {"protocol": "HTTP", "method": "POST", "path": "/v1", "must_ask_for_host": False}
    sent |= {"status": None, "code": None, "credentials": ["authorization"]}
    unguarded = {**place, **sent, "host": "other.example", "credentials": [], "egress": None}
    mismatch = {**unguarded, "status": 421, "code": "egress_name_mismatch"}
    carried = {**mismatch, "protocol": "TLS", "method": "", "path": ""}
    tunnel = {
        **carried,
        "protocol": "TCP",
        "must_ask_for_host": True,
        "egress": {**egress, "tried": [], "limits": NONE},
    }
    places = [{**place, **sent, "egress": egress}, unguarded, mismatch, carried, tunnel]
    answer = {**ROUTED, "destinations": places}
    lines = written(lambda writer: write_explanation(writer, Question(url="http://a/"), answer)).splitlines()
    at = lines.index("  outside api.stripe.com:443 as POST /v1")
    assert lines[at:] == [
        "  outside api.stripe.com:443 as POST /v1",
        "    egress allowed: rule stripe of shop/out allows it",
        "      shop/out/stripe Allow: matches  out.yaml:3",
        "      guard every address that the name has must be public, or in 10.0.0.1/32",
        "      limits 9 connections at once, 5000 ms",
        "    credentials from a Secret: authorization",
        "  outside other.example:443 as POST /v1",
        "    no egress policy speaks for this listener, so none is asked",
        "  outside other.example:443 as POST /v1",
        "    denied: answers 421 (egress_name_mismatch)",
        "  outside other.example:443 as TLS",
        "    denied: closed (egress_name_mismatch)",
        "  outside other.example:443 as TCP",
        "    what the client sends must be TLS that asks for other.example",
        "    egress allowed: rule stripe of shop/out allows it",
        "      the one policy does not name this destination",
        "      guard every address that the name has must be public, or in 10.0.0.1/32",
    ]
