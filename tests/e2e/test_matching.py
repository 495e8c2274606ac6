"""Which rule of an HTTPRoute takes a request: paths, headers, query parameters, methods, precedence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.clients.raw import RawClient
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, exact_path, http_route, path_match, rule

HOST = "match.example.com"


def tagged(tag: str, *matches: Manifest, name: str | None = None) -> Manifest:
    """A rule that marks the request with its tag on the way to the backend."""
    mark = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": tag}]}}
    built = rule("origin", matches=matches, filters=[mark])
    return {"name": name, **built} if name else built


def header(name: str, value: str, kind: str = "Exact") -> Manifest:
    return {"headers": [{"name": name, "value": value, "type": kind}]}


def query(name: str, value: str, kind: str = "Exact") -> Manifest:
    return {"queryParams": [{"name": name, "value": value, "type": kind}]}


RULES = [
    tagged("exact", exact_path("/exact")),
    tagged("prefix", path_match("/prefix")),
    tagged("longer-prefix", path_match("/prefix/longer")),
    tagged("regex", path_match("/items/[0-9]+", "RegularExpression")),
    tagged("regex-below-exact", path_match("/both/.*", "RegularExpression")),
    tagged("exact-above-regex", exact_path("/both/exact")),
    tagged("prefix-below-regex", path_match("/both/prefix")),
    tagged("header", path_match("/h", **header("x-color", "blue"))),
    tagged("header-regex", path_match("/h", **header("x-color", "gr[ae]y", "RegularExpression"))),
    tagged(
        "two-headers",
        path_match("/h", headers=[{"name": "x-color", "value": "blue"}, {"name": "X-Size", "value": "L"}]),
    ),
    tagged("query", path_match("/q", **query("colour", "blue"))),
    tagged("query-regex", path_match("/q", **query("colour", "gr[ae]y", "RegularExpression"))),
    tagged(
        "two-queries",
        path_match("/q", queryParams=[{"name": "colour", "value": "blue"}, {"name": "size", "value": "L"}]),
    ),
    tagged("method", path_match("/m", method="POST")),
    tagged("method-and-header", path_match("/m", method="POST", **header("x-color", "blue"))),
    tagged("any-method-headers", path_match("/m", **header("x-color", "blue"))),
    tagged("either", exact_path("/either/one"), exact_path("/either/two")),
    tagged("named", exact_path("/named"), name="a-rule-with-a-name"),
    tagged("default", path_match("/")),
]


@pytest.fixture(scope="module")
def edge(directory: Path) -> Iterator[Edge]:
    with Http1Backend() as origin:
        many = http_route("many", *RULES[:12], hosts=[HOST])
        more = http_route("more", *RULES[12:], hosts=[HOST])
        only_post = http_route("only-post", tagged("post", {"method": "POST"}), hosts=["post.example.com"])
        with open_edge(directory, [*backend("origin", origin.port), many, more, only_post]) as running:
            yield running


def rule_for(edge: Edge, target: str, *lines: str, method: str = "GET", host: str = HOST) -> str | None:
    with RawClient(edge.port) as client:
        answer = client.request(method, target, *lines, host=host)
        return answer.report.header("x-rule") if answer.status == 200 else None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/exact", "exact"),
        ("/exact/", "default"),
        ("/exact/more", "default"),
        ("/EXACT", "default"),
        ("/exact?query=1", "exact"),
        ("/prefix", "prefix"),
        ("/prefix/", "prefix"),
        ("/prefix/deeper", "prefix"),
        ("/prefixed", "default"),
        ("/prefix/longer", "longer-prefix"),
        ("/prefix/longer/still", "longer-prefix"),
        ("/prefix/longers", "prefix"),
        ("/items/42", "regex"),
        ("/items/42/more", "default"),
        ("/items/x", "default"),
        ("/more/items/42", "default"),
        ("/both/exact", "exact-above-regex"),
        ("/both/prefix", "regex-below-exact"),
        ("/either/one", "either"),
        ("/either/two", "either"),
        ("/either/three", "default"),
        ("/named", "named"),
        ("/", "default"),
        ("/%65xact", "exact"),
        ("//exact", "exact"),
        ("/a/../exact", "exact"),
        ("/./exact", "exact"),
    ],
)
def test_paths(edge: Edge, target: str, expected: str) -> None:
    assert rule_for(edge, target) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), "default"),
        (("x-color: blue",), "header"),
        (("X-COLOR: blue",), "header"),
        (("x-color: Blue",), "default"),
        (("x-color: blue ",), "header"),
        (("x-color: gray",), "header-regex"),
        (("x-color: grey",), "header-regex"),
        (("x-color: grayish",), "default"),
        (("x-color: blue", "x-size: L"), "two-headers"),
        (("x-size: L",), "default"),
    ],
)
def test_headers(edge: Edge, lines: tuple[str, ...], expected: str) -> None:
    assert rule_for(edge, "/h", *lines) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/q", "default"),
        ("/q?colour=blue", "query"),
        ("/q?other=1&colour=blue", "query"),
        ("/q?Colour=blue", "default"),
        ("/q?colour=bluer", "default"),
        ("/q?colour=grey", "query-regex"),
        ("/q?colour=greyer", "default"),
        ("/q?colour=blue&size=L", "two-queries"),
        ("/q?size=L&colour=blue", "two-queries"),
        ("/q?colour=red&colour=blue", "default"),
        ("/q?colour=blue&colour=red", "query"),
        ("/q?colour=%62lue", "query"),
    ],
)
def test_query_parameters(edge: Edge, target: str, expected: str) -> None:
    assert rule_for(edge, target) == expected


@pytest.mark.parametrize(
    ("method", "lines", "expected"),
    [
        ("GET", (), "default"),
        ("POST", (), "method"),
        ("POST", ("x-color: blue",), "method-and-header"),
        ("GET", ("x-color: blue",), "any-method-headers"),
        ("PUT", (), "default"),
    ],
)
def test_methods(edge: Edge, method: str, lines: tuple[str, ...], expected: str) -> None:
    assert rule_for(edge, "/m", *lines, method=method) == expected


def test_a_host_whose_only_rule_does_not_match_is_a_404(edge: Edge) -> None:
    assert rule_for(edge, "/", host="post.example.com") is None
    assert rule_for(edge, "/", method="POST", host="post.example.com") == "post"


def test_the_access_log_names_the_rule(edge: Edge) -> None:
    with edge.raw() as client:
        client.request("GET", "/named", "x-request-id: rule-name", "user-agent: rule-name", host=HOST)
    record = edge.sekisho.logged(lambda item: item.get("user_agent") == "rule-name")
    assert record["rule_name"] == "a-rule-with-a-name"
    assert record["route_name"] == "HTTPRoute/default/more/5"


def test_a_header_that_comes_twice_is_matched_on_all_its_values(edge: Edge) -> None:
    assert rule_for(edge, "/h", "x-color: blue", "x-color: red") == "default"
    assert rule_for(edge, "/h", "x-color: red", "x-color: blue") == "default"
