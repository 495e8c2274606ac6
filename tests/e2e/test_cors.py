"""The CORS filter, as browsers use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, http_route, path_match, rule

HOST = "cors.example.com"
APP = "https://app.example.com"


def cors(**fields: Any) -> Manifest:
    return {"type": "CORS", "cors": fields}


POLICIES = {
    "/strict": cors(
        allowOrigins=[APP, "https://*.partner.example"],
        allowMethods=["GET", "PUT"],
        allowHeaders=["x-token", "Content-Type"],
        exposeHeaders=["x-visible"],
        maxAge=600,
    ),
    "/credentials": cors(allowOrigins=["*"], allowMethods=["*"], allowHeaders=["*"], allowCredentials=True),
    "/open": cors(allowOrigins=["*"]),
}


@pytest.fixture(scope="module")
def edge(directory: Path) -> Iterator[Edge]:
    rules = [rule("origin", matches=[path_match(path)], filters=[policy]) for path, policy in POLICIES.items()]
    with Http1Backend() as origin:
        manifests = [*backend("origin", origin.port), http_route("cors", *rules, hosts=[HOST])]
        with open_edge(directory, manifests) as running:
            yield running


def ask(edge: Edge, method: str, path: str, *lines: str) -> RawResponse:
    with RawClient(edge.port) as client:
        return client.request(method, path, *lines, host=HOST)


def preflight(edge: Edge, path: str, origin: str, method: str = "PUT", headers: str = "") -> RawResponse:
    lines = [f"Origin: {origin}", f"Access-Control-Request-Method: {method}"]
    if headers:
        lines.append(f"Access-Control-Request-Headers: {headers}")
    return ask(edge, "OPTIONS", path, *lines)


def words(answer: RawResponse, name: str) -> set[str]:
    return {word.strip().lower() for word in (answer.header(name) or "").split(",") if word.strip()}


@pytest.mark.parametrize("origin", [APP, "https://a.partner.example", "https://a.b.partner.example"])
def test_a_preflight_from_an_allowed_origin_is_answered_by_the_gateway(edge: Edge, origin: str) -> None:
    answer = preflight(edge, "/strict", origin, headers="x-token")
    assert answer.status in {200, 204}
    assert answer.header("access-control-allow-origin") == origin
    assert words(answer, "access-control-allow-methods") == {"get", "put"}
    assert words(answer, "access-control-allow-headers") == {"x-token", "content-type"}
    assert answer.header("access-control-max-age") == "600"
    assert answer.header("access-control-allow-credentials") is None
    assert "origin" in words(answer, "vary")
    assert answer.body == b"", "a preflight reached the backend"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://partner.example"],
)
def test_a_preflight_from_another_origin_gets_no_permission(edge: Edge, origin: str) -> None:
    answer = preflight(edge, "/strict", origin)
    assert answer.header("access-control-allow-origin") is None


def test_an_actual_request_carries_the_permission(edge: Edge) -> None:
    answer = ask(edge, "GET", "/strict", f"Origin: {APP}")
    assert answer.status == 200
    assert answer.report.method == "GET"
    assert answer.header("access-control-allow-origin") == APP
    assert words(answer, "access-control-expose-headers") == {"x-visible"}


def test_an_actual_request_of_another_origin_carries_none(edge: Edge) -> None:
    answer = ask(edge, "GET", "/strict", "Origin: https://evil.example")
    assert answer.header("access-control-allow-origin") is None


def test_a_request_without_origin_is_left_alone(edge: Edge) -> None:
    answer = ask(edge, "GET", "/strict")
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") is None


def test_the_backends_own_answer_gives_way_to_the_route(edge: Edge) -> None:
    answer = ask(edge, "GET", "/strict", f"Origin: {APP}", "x-do: header=access-control-allow-origin:*")
    assert answer.values("access-control-allow-origin") == [APP]


def test_an_options_request_that_is_no_preflight_reaches_the_backend(edge: Edge) -> None:
    answer = ask(edge, "OPTIONS", "/strict", f"Origin: {APP}")
    assert answer.report.method == "OPTIONS"


def test_with_credentials_no_answer_is_a_star(edge: Edge) -> None:
    answer = preflight(edge, "/credentials", APP, method="DELETE", headers="x-anything")
    assert answer.header("access-control-allow-origin") == APP
    assert answer.header("access-control-allow-credentials") == "true"
    assert words(answer, "access-control-allow-methods") == {"delete"}
    assert words(answer, "access-control-allow-headers") == {"x-anything"}
    for name, value in [*answer.headers, *ask(edge, "GET", "/credentials", f"Origin: {APP}").headers]:
        if name.lower().startswith("access-control-"):
            assert "*" not in value, f"{name}: {value}"


def test_without_credentials_every_origin_may_be_a_star(edge: Edge) -> None:
    assert ask(edge, "GET", "/open", f"Origin: {APP}").header("access-control-allow-origin") in {"*", APP}


def test_a_preflight_is_logged_as_one(edge: Edge) -> None:
    preflight(edge, "/strict/logged", APP)
    record = edge.sekisho.logged(lambda item: item.get("path") == "/strict/logged")
    assert record["response_code_details"] == "cors_preflight"
