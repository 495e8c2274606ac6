"""HTTPRoute's filters: header changes, redirects, rewrites, and filters of single backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, backend_ref, http_route, path_match, rule

HOST = "filters.example.com"


def request_headers(**changes: Any) -> Manifest:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": changes}


def response_headers(**changes: Any) -> Manifest:
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": changes}


def redirect(**fields: Any) -> Manifest:
    return {"type": "RequestRedirect", "requestRedirect": fields}


def rewrite(**fields: Any) -> Manifest:
    return {"type": "URLRewrite", "urlRewrite": fields}


def full_path(path: str) -> Manifest:
    return {"type": "ReplaceFullPath", "replaceFullPath": path}


def prefix(path: str) -> Manifest:
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}


def pairs(**values: str) -> list[Manifest]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


MODIFY = [
    request_headers(set=pairs(X_Set="set", X_New="new"), add=pairs(X_Add="two"), remove=["X-Remove", "x-absent"]),
    response_headers(set=pairs(X_Out_Set="set"), add=pairs(X_Out_Add="two"), remove=["x-out-remove"]),
]

REDIRECTS: dict[str, tuple[Manifest, int, str]] = {
    "/host": (redirect(hostname="other.example.com"), 302, "http://other.example.com:{port}/host/a?b=c"),
    "/scheme": (redirect(scheme="https"), 302, "https://filters.example.com/scheme/a?b=c"),
    "/port": (redirect(port=8443), 302, "http://filters.example.com:8443/port/a?b=c"),
    "/port80": (redirect(port=80), 302, "http://filters.example.com/port80/a?b=c"),
    "/https443": (redirect(scheme="https", port=443), 302, "https://filters.example.com/https443/a?b=c"),
    "/https80": (redirect(scheme="https", port=80), 302, "https://filters.example.com:80/https80/a?b=c"),
    "/full": (redirect(path=full_path("/new")), 302, "http://filters.example.com:{port}/new?b=c"),
    "/prefix": (redirect(path=prefix("/p2")), 302, "http://filters.example.com:{port}/p2/a?b=c"),
    "/301": (redirect(statusCode=301, port=80), 301, "http://filters.example.com/301/a?b=c"),
    "/303": (redirect(statusCode=303, port=80), 303, "http://filters.example.com/303/a?b=c"),
    "/307": (redirect(statusCode=307, port=80), 307, "http://filters.example.com/307/a?b=c"),
    "/308": (redirect(statusCode=308, port=80), 308, "http://filters.example.com/308/a?b=c"),
    "/all": (
        redirect(scheme="https", hostname="x.example.com", port=8443, path=full_path("/y"), statusCode=301),
        301,
        "https://x.example.com:8443/y?b=c",
    ),
}

PREFIX_REWRITES = [
    # match, replacement, path of the request, path at the backend: the table of the Gateway API's type
    ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
    ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
    ("/foo/", "/xyz", "/foo/bar", "/xyz/bar"),
    ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
    ("/foo", "/xyz", "/foo", "/xyz"),
    ("/foo", "/xyz", "/foo/", "/xyz/"),
    ("/foo", "", "/foo/bar", "/bar"),
    ("/foo", "", "/foo/", "/"),
    ("/foo", "", "/foo", "/"),
    ("/foo", "/", "/foo/", "/"),
    ("/foo", "/", "/foo", "/"),
]


@pytest.fixture(scope="module")
def edge(directory: Path) -> Iterator[Edge]:
    per_backend = [
        backend_ref("one", weight=1, filters=[request_headers(set=pairs(x_from="one"))]),
        backend_ref("two", weight=1, filters=[request_headers(set=pairs(x_from="two")), *MODIFY[1:]]),
    ]
    rules = [
        rule("one", matches=[path_match("/modify")], filters=MODIFY),
        rule(*per_backend, matches=[path_match("/per-backend")], filters=[request_headers(add=pairs(x_rule="r"))]),
        rule("one", matches=[path_match("/rewrite-host")], filters=[rewrite(hostname="inner.example.com")]),
        rule("one", matches=[path_match("/rewrite-full")], filters=[rewrite(path=full_path("/all/new"))]),
        rule("two", matches=[path_match("/rewrite-h2")], filters=[rewrite(hostname="inner.test", path=prefix("/z"))]),
    ]
    redirects = [rule(matches=[path_match(path)], filters=[built]) for path, (built, _, _) in REDIRECTS.items()]
    prefixes = [
        http_route(
            f"prefix-{number}",
            rule("one", matches=[path_match(match)], filters=[rewrite(path=prefix(replacement))]),
            hosts=[f"prefix-{number}.example.com"],
        )
        for number, (match, replacement, _, _) in enumerate(PREFIX_REWRITES)
    ]
    with Http1Backend("one") as one, Http2Backend("two") as two:
        manifests = [
            *backend("one", one.port),
            *backend("two", two.port, app_protocol="kubernetes.io/h2c"),
            http_route("rules", *rules, hosts=[HOST]),
            http_route("redirects", *redirects, hosts=[HOST]),
            *prefixes,
        ]
        with open_edge(directory, manifests) as running:
            yield running


def ask(edge: Edge, target: str, *lines: str, host: str = HOST) -> RawResponse:
    with RawClient(edge.port) as client:
        return client.request("GET", target, *lines, host=host)


def test_request_headers_are_set_added_and_removed(edge: Edge) -> None:
    seen = ask(edge, "/modify", "x-set: old", "x-set: older", "x-add: one", "X-REMOVE: 1", "x-kept: 1").report
    assert seen.values("x-set") == ["set"]
    assert seen.values("x-new") == ["new"]
    assert ", ".join(seen.values("x-add")) in {"one, two", "one,two"}
    assert seen.values("x-remove") == []
    assert seen.values("x-kept") == ["1"]


def test_response_headers_are_set_added_and_removed(edge: Edge) -> None:
    answer = ask(edge, "/modify", "x-do: header=X-Out-Set:old; header=x-out-add:one; header=X-Out-Remove:1")
    assert answer.values("x-out-set") == ["set"]
    assert ", ".join(answer.values("x-out-add")) in {"one, two", "one,two"}
    assert answer.values("x-out-remove") == []


def test_filters_of_one_backend_touch_its_share_alone(edge: Edge) -> None:
    seen = set()
    for _ in range(40):
        answer = ask(edge, "/per-backend")
        report = answer.report
        assert report.header("x-rule") == "r"
        assert report.header("x-from") == report.backend
        assert answer.values("x-out-set") == (["set"] if report.backend == "two" else [])
        seen.add(report.backend)
    assert seen == {"one", "two"}


@pytest.mark.parametrize("path", REDIRECTS)
def test_redirects(edge: Edge, path: str) -> None:
    _, status, location = REDIRECTS[path]
    answer = ask(edge, f"{path}/a?b=c")
    assert (answer.status, answer.header("location")) == (status, location.format(port=edge.port))


def test_a_redirect_is_logged_as_one(edge: Edge) -> None:
    ask(edge, "/301/logged")
    record = edge.sekisho.logged(lambda item: str(item.get("path")).startswith("/301/logged"))
    assert (record["response_code"], record["response_code_details"]) == (301, "redirect")


def test_a_redirect_over_https_keeps_scheme_and_port(edge: Edge) -> None:
    result = edge.curl(f"https://{HOST}/host/a")
    assert result.header("location") == f"https://other.example.com:{edge.https_port}/host/a"


def test_the_host_is_rewritten(edge: Edge) -> None:
    seen = ask(edge, "/rewrite-host/a").report
    assert (seen.authority, seen.path) == ("inner.example.com", "/rewrite-host/a")
    assert seen.header("x-forwarded-host") == HOST


def test_the_whole_path_is_rewritten_and_the_query_kept(edge: Edge) -> None:
    assert ask(edge, "/rewrite-full/a/b?c=d").report.target == "/all/new?c=d"


def test_host_and_prefix_are_rewritten_towards_http2(edge: Edge) -> None:
    seen = ask(edge, "/rewrite-h2/a?b=c").report
    assert (seen.authority, seen.target) == ("inner.test", "/z/a?b=c")


@pytest.mark.parametrize("number", range(len(PREFIX_REWRITES)), ids=lambda number: "→".join(PREFIX_REWRITES[number]))
def test_prefixes_are_rewritten_by_the_apis_table(edge: Edge, number: int) -> None:
    _, _, path, expected = PREFIX_REWRITES[number]
    assert ask(edge, path, host=f"prefix-{number}.example.com").report.target == expected
