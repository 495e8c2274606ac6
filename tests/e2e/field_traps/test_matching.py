"""Traps of matching: which rule takes a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.grpc_echo import GrpcBackend, decode, encode
from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge, open_edge
from tests.support.manifests import (
    Manifest,
    backend,
    exact_path,
    grpc_route,
    http_route,
    path_match,
    rule,
)
from tests.support.marked_rules import ask, channel, mark, marked, rule_of


def aged(route: Manifest, created: str) -> Manifest:
    route["metadata"]["creationTimestamp"] = created
    return route


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend, calls: GrpcBackend) -> Iterator[Edge]:
    manifests = [
        *backend("origin", origin.port),
        *backend("calls", calls.port, app_protocol="kubernetes.io/h2c"),
        *backend("empty"),
        *TRAP_1,
        *TRAP_2,
        *TRAP_4,
        *TRAP_7,
    ]
    with open_edge(directory, manifests) as running:
        yield running


# --- trap 1: match order across all routes -----------------------------------------------------------

BLUE: Manifest = {"headers": [{"name": "x-color", "value": "blue"}]}
BLUE_L: Manifest = {"headers": [*BLUE["headers"], {"name": "x-size", "value": "L"}]}
ONE: Manifest = {"queryParams": [{"name": "one", "value": "1"}]}
ONE_TWO: Manifest = {"queryParams": [*ONE["queryParams"], {"name": "two", "value": "2"}]}

TRAP_1 = [
    http_route("t1-exact-host", marked("exact host", path_match("/")), hosts=["a.b.t1.test"]),
    http_route("t1-long-wildcard", marked("long wildcard", path_match("/longer/path")), hosts=["*.b.t1.test"]),
    http_route("t1-wildcard", marked("wildcard", exact_path("/longer/path/still")), hosts=["*.t1.test"]),
    http_route("t1-p-exact", marked("exact", exact_path("/a/b")), hosts=["order.t1"]),
    http_route("t1-p-long", marked("long prefix", path_match("/a")), hosts=["order.t1"]),
    http_route("t1-p-method", marked("method", path_match("/m", method="GET")), hosts=["order.t1"]),
    http_route("t1-p-header", marked("one header", path_match("/m", **BLUE)), hosts=["order.t1"]),
    http_route("t1-p-headers", marked("two headers", path_match("/h", **BLUE_L)), hosts=["order.t1"]),
    http_route("t1-p-one", marked("one header", path_match("/h", **BLUE)), hosts=["order.t1"]),
    http_route("t1-p-query", marked("one query", path_match("/h", **ONE)), hosts=["order.t1"]),
    http_route("t1-p-queries", marked("two queries", path_match("/h", **ONE_TWO)), hosts=["order.t1"]),
    http_route("t1-p-root", marked("root", path_match("/")), hosts=["order.t1"]),
    aged(http_route("t1-a-younger", marked("younger", path_match("/age")), hosts=["order.t1"]), "2024-05-02T00:00:00Z"),
    aged(http_route("t1-z-older", marked("older", path_match("/age")), hosts=["order.t1"]), "2024-05-01T00:00:00Z"),
    aged(http_route("t1-n-b", marked("b", path_match("/name")), hosts=["order.t1"]), "2024-05-01T00:00:00Z"),
    aged(http_route("t1-n-a", marked("a", path_match("/name")), hosts=["order.t1"]), "2024-05-01T00:00:00Z"),
    http_route("t1-r", marked("first", path_match("/rule")), marked("second", path_match("/rule")), hosts=["order.t1"]),
]


@pytest.mark.parametrize(
    ("host", "target", "lines", "expected"),
    [
        ("a.b.t1.test", "/longer/path/still", (), "exact host"),
        ("x.b.t1.test", "/longer/path/still", (), "long wildcard"),
        ("x.y.t1.test", "/longer/path/still", (), "wildcard"),
        ("order.t1", "/a/b", (), "exact"),
        ("order.t1", "/a/b/c", (), "long prefix"),
        ("order.t1", "/m", ("x-color: blue",), "method"),
        ("order.t1", "/h", ("x-color: blue", "x-size: L"), "two headers"),
        ("order.t1", "/h?one=1&two=2", ("x-color: blue",), "one header"),
        ("order.t1", "/h?one=1&two=2", (), "two queries"),
        ("order.t1", "/h?one=1", (), "one query"),
        ("order.t1", "/age", (), "older"),
        ("order.t1", "/name", (), "a"),
        ("order.t1", "/rule", (), "first"),
        ("order.t1", "/else", (), "root"),
    ],
)
def test_trap_1_match_order_across_all_routes(
    edge: Edge, host: str, target: str, lines: tuple[str, ...], expected: str
) -> None:
    """Hostname, then path, method, headers, query parameters, age, name, first rule: over all routes."""
    assert rule_of(edge, host, target, *lines) == expected


# --- trap 2: the order of GRPCRoutes -----------------------------------------------------------------


def call_rule(value: str, *matches: Manifest) -> Manifest:
    return rule("calls", matches=matches, filters=[mark(value)])


SERVICE_AND_METHOD = {"method": {"service": "echo.Echo", "method": "Unary"}}
SERVICE = {"method": {"service": "echo.Echo"}}
METHOD = {"method": {"method": "Unary"}}

TRAP_2 = [
    grpc_route("t2-all", call_rule("all"), hosts=["t2.test"]),
    grpc_route("t2-method", call_rule("method", METHOD), hosts=["t2.test"]),
    grpc_route("t2-service", call_rule("service", SERVICE), hosts=["t2.test"]),
    grpc_route("t2-both", call_rule("both", SERVICE_AND_METHOD), hosts=["t2.test"]),
    grpc_route("t2-header", call_rule("header", SERVICE_AND_METHOD | BLUE), hosts=["t2.test"]),
    http_route("t2-http", marked("http", exact_path("/echo.Echo/Unary")), hosts=["t2.test"]),
]


@pytest.mark.parametrize(
    ("method", "metadata", "expected"),
    [
        ("/echo.Echo/Unary", (("x-color", "blue"),), "header"),
        ("/echo.Echo/Unary", (), "both"),
        ("/echo.Echo/Other", (), "service"),
        ("/other.Service/Unary", (), "method"),
        ("/other.Service/Other", (), "all"),
    ],
)
def test_trap_2_order_of_grpc_routes(edge: Edge, method: str, metadata: tuple[Any, ...], expected: str) -> None:
    """Characters in the service, then in the method, then the number of headers; never merged with HTTPRoutes."""
    with channel(edge, "t2.test") as opened:
        answer = opened.unary_unary(method, encode, decode)({}, metadata=metadata, timeout=10)
    assert answer["metadata"]["x-rule"] == expected
    assert rule_of(edge, "t2.test", "/echo.Echo/Unary") == "http"


# --- trap 4: prefixes by element ---------------------------------------------------------------------

TRAP_4 = [
    http_route("t4", marked("abc", path_match("/abc")), marked("slash", path_match("/def/")), hosts=["t4.test"]),
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/abc", "abc"),
        ("/abc/", "abc"),
        ("/abc/d", "abc"),
        ("/abcd", None),
        ("/ab", None),
        ("/def", "slash"),
        ("/def/", "slash"),
        ("/def/x", "slash"),
        ("/defx", None),
    ],
)
def test_trap_4_prefixes_are_matched_by_element(edge: Edge, path: str, expected: str | None) -> None:
    """`/abc` matches `/abc`, `/abc/` and `/abc/d`, not `/abcd`; a trailing slash of the match is ignored.

    The table of ReplacePrefixMatch is held by test_filters.
    """
    assert rule_of(edge, "t4.test", path) == expected


# --- trap 7: wildcards -------------------------------------------------------------------------------

TRAP_7 = [http_route("t7", marked("wildcard"), hosts=["*.t7.test"])]


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.t7.test", 200), ("a.b.t7.test", 200), ("A.T7.TEST", 200), ("t7.test", 404), ("at7.test", 404)],
)
def test_trap_7_wildcards_match_any_number_of_labels(edge: Edge, host: str, status: int) -> None:
    """`*.example.com` matches `a.b.example.com`, not `example.com`."""
    assert ask(edge, host).status == status


# --- trap 9: host and port ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["a.t7.test:1234", "a.t7.test:80", "a.t7.test"])
def test_trap_9_the_port_of_the_host_is_ignored_and_forwarded(edge: Edge, host: str) -> None:
    """Matching ignores the port; the backend sees the field as it was."""
    answer = ask(edge, host)
    assert (answer.status, answer.report.authority) == (200, host)
