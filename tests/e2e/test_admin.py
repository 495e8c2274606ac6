"""The admin endpoint of a running gateway, and the commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge, open_edge
from tests.support.manifests import Manifest, backend, exact_path, http_route, path_match, rule
from tests.support.sekisho import run_sekisho
from tests.support.waiting import eventually

HOST = "admin.example.com"


@pytest.fixture(scope="module")
def edge(directory: Path) -> Iterator[Edge]:
    with Http1Backend() as origin:
        manifests: list[Manifest] = [
            *backend("origin", origin.port),
            http_route(
                "shop",
                rule("origin", matches=[path_match("/cart")], name="cart"),
                rule("absent", matches=[path_match("/absent")]),
                hosts=[HOST],
            ),
        ]
        with open_edge(directory, manifests) as running:
            yield running


def test_health(edge: Edge) -> None:
    assert edge.sekisho.admin("/healthz/live").status_code == 200
    ready = edge.sekisho.admin("/healthz/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_the_configuration_is_shown_without_its_secrets(edge: Edge) -> None:
    answer = edge.sekisho.admin("/config")
    assert answer.status_code == 200
    assert "PRIVATE KEY" not in answer.text
    routes = {route["key"] for route in answer.json()["resources"]["routes"]}
    assert "HTTPRoute/default/shop/0" in routes
    assert answer.json()["resources"]["certificates"], "certificates are listed, only their keys are hidden"


def test_requests_are_counted_with_istios_names(edge: Edge) -> None:
    labels = {"response_code": "200", "destination_service_name": "origin", "request_protocol": "http"}
    before = edge.sekisho.metric("istio_requests_total", **labels)
    for _ in range(5):
        assert edge.curl(f"http://{HOST}/cart").status == 200
    eventually(lambda: edge.sekisho.metric("istio_requests_total", **labels) == before + 5)
    text = edge.sekisho.admin("/metrics").text
    for name in ("istio_request_duration_milliseconds_bucket", "istio_request_bytes", "istio_response_bytes"):
        assert name in text
    assert 'destination_service_namespace="default"' in text


def test_failures_are_counted_with_their_flags(edge: Edge) -> None:
    assert edge.curl("http://nobody.example.com/").status == 404
    assert edge.curl(f"http://{HOST}/absent").status == 500
    eventually(lambda: edge.sekisho.metric("istio_requests_total", response_code="404", response_flags="NR") >= 1)
    eventually(lambda: edge.sekisho.metric("istio_requests_total", response_code="500", response_flags="NC") >= 1)


def test_what_a_request_says_never_becomes_a_label(edge: Edge) -> None:
    for number in range(30):
        edge.curl(f"http://{HOST}/cart/path-{number}", "-H", f"User-Agent: agent-{number}")
        edge.curl(f"http://host-{number}.example.org/")
    text = edge.sekisho.admin("/metrics").text
    assert "path-" not in text
    assert "host-" not in text
    assert "agent-" not in text


def test_series_do_not_grow_with_routes(directory: Path) -> None:
    def sizes(routes: int, name: str) -> int:
        with Http1Backend() as origin:
            items = [
                http_route(f"r{number}", rule("origin", matches=[exact_path(f"/{number}")]), hosts=[HOST])
                for number in range(routes)
            ]
            with open_edge(directory / name, [*backend("origin", origin.port), *items]) as edge:
                for number in range(min(routes, 20)):
                    assert edge.curl(f"http://{HOST}/{number}").status == 200
                return len(edge.sekisho.admin("/metrics").text.splitlines())

    assert sizes(200, "many") - sizes(2, "few") < 20


def test_the_page_for_people(edge: Edge) -> None:
    page = edge.sekisho.admin("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    data = edge.sekisho.admin("/page-data").text
    for word in ("shop", HOST, "edge"):
        assert word in data


def test_status_reports_conditions_and_versions(edge: Edge) -> None:
    document = edge.sekisho.status()
    text = json.dumps(document)
    for word in ("Programmed", "Accepted", "ResolvedRefs", "BackendNotFound", "shop", "edge"):
        assert word in text


def test_the_status_command(edge: Edge) -> None:
    done = run_sekisho("status", "--admin", f"http://127.0.0.1:{edge.sekisho.admin_port}")
    assert done.returncode == 0, done.stderr
    for word in ("edge", "shop", "Accepted"):
        assert word in done.stdout


def test_the_explain_command_on_the_live_table(edge: Edge) -> None:
    url = f"http://{HOST}:{edge.port}/cart/1"
    admin = f"http://127.0.0.1:{edge.sekisho.admin_port}"
    done = run_sekisho("explain", "--admin", admin, "GET", url, "-H", "x-a: b")
    assert done.returncode == 0, done.stderr
    for word in ("default/shop", "cart", "origin"):
        assert word in done.stdout
    answer = json.loads(run_sekisho("explain", "--admin", admin, "GET", url, "--output", "json").stdout)
    assert (answer["decision"], answer["route"], answer["name"]) == ("route", "HTTPRoute/default/shop/0", "cart")


def test_the_explain_command_on_files(edge: Edge) -> None:
    url = f"http://{HOST}:{edge.port}/cart/1"
    done = run_sekisho("explain", "-f", edge.sekisho.manifests, "GET", url, "--output", "json")
    assert json.loads(done.stdout)["route"] == "HTTPRoute/default/shop/0"


def test_a_404_is_explained_by_its_nearest_misses(edge: Edge) -> None:
    answer = edge.sekisho.explain(f"http://{HOST}:{edge.port}/carts")
    assert (answer["decision"], answer["status"]) == ("not_found", 404)
    assert answer["nearest"][0]["failed"]["predicate"] == "path"
    done = run_sekisho(
        "explain", "--admin", f"http://127.0.0.1:{edge.sekisho.admin_port}", "GET", f"http://{HOST}:{edge.port}/carts"
    )
    assert "/cart" in done.stdout


def test_explain_and_the_log_agree_on_the_reason(edge: Edge) -> None:
    edge.curl(f"http://{HOST}/absent/logged")
    record = edge.sekisho.logged(lambda item: item.get("path") == "/absent/logged")
    answer = edge.sekisho.explain(f"http://{HOST}:{edge.port}/absent/logged")
    assert answer["code"] == record["response_code_details"] == "backend_not_found"
    assert answer["status"] == record["response_code"] == 500


def test_a_web_page_of_another_name_cannot_read_the_admin_endpoint(edge: Edge) -> None:
    answer = edge.sekisho._client.get("/config", headers={"host": "rebound.example.com"})
    assert answer.status_code == 421
