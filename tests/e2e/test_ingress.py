"""Ingresses in standalone: hosts, paths, TLS, classes, annotations, and life beside HTTPRoutes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.grpc_echo import GrpcBackend
from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.edge import Edge
from tests.support.ingress import ingress, ingress_class, ingress_path, open_ingress
from tests.support.manifests import (
    Manifest,
    backend,
    gateway,
    http_listener,
    http_route,
    https_listener,
    parent,
    rule,
    service,
    tls_secret,
    write,
)
from tests.support.sekisho import run_sekisho
from tests.support.waiting import eventually


def certificate(name: str, *hosts: str) -> Manifest:
    return tls_secret(name, shared_authority().issue(*hosts))


def served_by(edge: Edge, url: str, *arguments: str) -> str:
    answer = edge.curl(url, *arguments)
    assert answer.status == 200, f"{url}: {answer.status} {answer.errors}"
    return answer.report.backend


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Http1Backend]]:
    with Http1Backend("one") as one, Http1Backend("two") as two, Http1Backend("rest") as rest:
        yield {"one": one, "two": two, "rest": rest}


@pytest.fixture(scope="module")
def edge(directory: Path, servers: dict[str, Http1Backend]) -> Iterator[Edge]:
    manifests = [
        *(item for name, server in servers.items() for item in backend(name, server.port)),
        *backend("unready", servers["one"].port, ready=False),
        ingress(
            "paths",
            ["paths.example.com"],
            ingress_path("one", "/exact", "Exact"),
            ingress_path("one", "/prefix"),
            ingress_path("two", "/prefix/longer", "ImplementationSpecific"),
            ingress_path("two", "/named", port="main"),
            ingress_path("gone", "/gone"),
            ingress_path("one", "/port", port=81),
            ingress_path("unready", "/unready"),
        ),
        ingress("wild", ["*.wild.example.com"], ingress_path("one")),
        ingress("every-host", [""], ingress_path("two", "/every")),
        ingress("default", [], defaultBackend={"service": {"name": "rest", "port": {"number": 80}}}),
        ingress(
            "secure",
            ["secure.example.com", "below.example.org"],
            ingress_path("one"),
            tls=[
                {"hosts": ["secure.example.com"], "secretName": "secure"},
                {"hosts": ["*.example.org"], "secretName": "wild"},
                {"hosts": ["missing.example.com"], "secretName": "missing"},
            ],
        ),
        certificate("secure", "secure.example.com"),
        certificate("wild", "*.example.org"),
        ingress("theirs", ["theirs.example.com"], ingress_path("one"), class_name="nginx"),
    ]
    with open_ingress(directory, manifests) as edge:
        yield edge


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/exact", "one"),
        ("/exact/", "rest"),
        ("/prefix", "one"),
        ("/prefix/", "one"),
        ("/prefix/a", "one"),
        ("/prefixed", "rest"),
        ("/prefix/longer/a", "two"),
        ("/named", "two"),
        ("/every/a", "two"),
        ("/", "rest"),
    ],
)
def test_the_most_specific_path_wins_and_the_default_backend_has_the_rest(edge: Edge, path: str, expected: str) -> None:
    assert served_by(edge, f"http://paths.example.com{path}") == expected


@pytest.mark.parametrize("path", ["/gone", "/port", "/unready"])
def test_what_nothing_stands_behind_is_answered_with_503(edge: Edge, path: str) -> None:
    assert edge.curl(f"http://paths.example.com{path}").status == 503


@pytest.mark.parametrize(
    ("host", "expected"),
    [("a.wild.example.com", "one"), ("a.b.wild.example.com", "rest"), ("wild.example.com", "rest")],
)
def test_a_wildcard_stands_for_one_label(edge: Edge, host: str, expected: str) -> None:
    assert served_by(edge, f"http://{host}/") == expected


def test_a_host_with_tls_is_served_over_both(edge: Edge) -> None:
    assert served_by(edge, "https://secure.example.com/") == "one"
    assert served_by(edge, "http://secure.example.com/") == "one"
    assert served_by(edge, "https://below.example.org/") == "one"


def test_a_host_without_certificate_is_refused_by_the_handshake(edge: Edge) -> None:
    assert edge.curl("https://missing.example.com/").exit_code != 0
    assert served_by(edge, "http://missing.example.com/") == "rest"


def test_an_ingress_of_another_class_is_not_served(edge: Edge) -> None:
    assert served_by(edge, "http://theirs.example.com/") == "rest"


def test_explain_names_the_ingress_and_its_file(edge: Edge) -> None:
    answer = edge.sekisho.explain(f"http://paths.example.com:{edge.port}/prefix/a")
    assert answer["route"] == "Ingress/default/paths/1"
    assert answer["name"] == "paths.example.com/prefix"
    assert answer["source"].startswith(str(edge.sekisho.manifests))


def test_a_certificate_that_comes_later_opens_its_host(edge: Edge) -> None:
    edge.sekisho.change([certificate("missing", "missing.example.com")], "late")
    try:
        eventually(lambda: edge.curl("https://missing.example.com/").status == 200, what="the host over TLS")
    finally:
        edge.sekisho.remove("late")


def test_ingresses_and_routes_share_a_gateway_and_move_over_one_by_one(
    tmp_path: Path, servers: dict[str, Http1Backend]
) -> None:
    gateway_ = gateway(http_listener(80), https_listener(443, "edge", hostname="edge.example.com"))
    manifests = [
        gateway_,
        certificate("edge", "edge.example.com"),
        certificate("shop", "shop.example.com"),
        ingress_class("web", gateway=("default", "edge")),
        *(item for name, server in servers.items() for item in backend(name, server.port)),
    ]
    shop = ingress(
        "shop",
        ["shop.example.com", "edge.example.com"],
        ingress_path("one"),
        tls=[{"hosts": ["shop.example.com"], "secretName": "shop"}],
        class_name="web",
    )
    route = http_route("shop", rule("two"), hosts=["shop.example.com"], parents=[parent(section="http")])
    with open_ingress(tmp_path, [*manifests, shop]) as edge:
        for url in ("http://shop.example.com/", "https://shop.example.com/", "https://edge.example.com/"):
            assert served_by(edge, url) == "one"
        edge.change([*manifests, shop, route])
        assert served_by(edge, "http://shop.example.com/") == "two"
        assert served_by(edge, "https://shop.example.com/") == "one"
        edge.change([*manifests, route])
        assert served_by(edge, "http://shop.example.com/") == "two"
        assert edge.curl("https://shop.example.com/").exit_code != 0


def test_a_route_goes_before_an_ingress_whatever_else_the_ingress_matches(
    tmp_path: Path, servers: dict[str, Http1Backend]
) -> None:
    canary = {"canary": "true", "canary-by-header": "x-canary"}
    manifests = [
        gateway(http_listener(80)),
        ingress_class("web", gateway=("default", "edge")),
        *(item for name, server in servers.items() for item in backend(name, server.port)),
        ingress("wild", ["*.example.com"], ingress_path("one"), class_name="web"),
        ingress("main", ["a.example.org"], ingress_path("one"), class_name="web"),
        ingress("next", ["a.example.org"], ingress_path("rest"), annotations=canary, class_name="web"),
    ]
    route = http_route("shop", rule("two"), hosts=["*.example.com", "a.example.org"])
    with open_ingress(tmp_path, manifests) as edge:
        assert served_by(edge, "http://a.example.com/") == "one"
        assert served_by(edge, "http://a.example.org/", "-H", "x-canary: always") == "rest"
        edge.change([*manifests, route])
        assert served_by(edge, "http://a.example.com/") == "two"
        assert served_by(edge, "http://a.example.org/", "-H", "x-canary: always") == "two"


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory, servers: dict[str, Http1Backend]) -> Iterator[Edge]:
    secure = [{"hosts": ["ssl.example.com"], "secretName": "ssl"}]
    with GrpcBackend() as echo:
        manifests = [
            *(item for name, server in servers.items() for item in backend(name, server.port)),
            *backend("echo", echo.port),
            certificate("ssl", "ssl.example.com"),
            _annotated("ssl", {"ssl-redirect": "true"}, ingress_path("one"), tls=secure),
            _annotated("force", {"force-ssl-redirect": "true"}, ingress_path("one")),
            _annotated("full", {"rewrite-target": "/new"}, ingress_path("one", "/app")),
            _annotated(
                "prefix",
                {"rewrite-target": "/in/$2", "use-regex": "true"},
                ingress_path("one", "/app(/|$)(.*)", "ImplementationSpecific"),
            ),
            _annotated("regex", {"use-regex": "true"}, ingress_path("one", "/v[0-9]+", "ImplementationSpecific")),
            _annotated("moved", {"permanent-redirect": "https://new.example.com$request_uri"}, ingress_path("one")),
            _annotated("root", {"app-root": "/start"}, ingress_path("one")),
            _annotated("cors", {"enable-cors": "true", "cors-allow-origin": "https://a.test"}, ingress_path("one")),
            _annotated("inner", {"upstream-vhost": "inner.test", "x-forwarded-prefix": "/p"}, ingress_path("one")),
            _annotated("tls-backend", {"backend-protocol": "HTTPS"}, ingress_path("one")),
            _annotated("office", {"whitelist-source-range": "127.0.0.8, 192.0.2.0/24"}, ingress_path("one")),
            _annotated("banned", {"denylist-source-range": "127.0.0.8/32"}, ingress_path("one")),
            _annotated("misread", {"whitelist-source-range": "the office"}, ingress_path("one")),
            _annotated("guarded", {"auth-url": "https://auth.example.com"}, ingress_path("one")),
            _annotated("canary", {}, ingress_path("one")),
            ingress(
                "canary-next",
                ["canary.example.com"],
                ingress_path("two"),
                annotations={
                    "canary": "true",
                    "canary-by-header": "X-Canary",
                    "canary-by-cookie": "canary",
                    "canary-weight": "30",
                },
            ),
        ]
        with open_ingress(tmp_path_factory.mktemp("annotated"), manifests) as edge:
            yield edge


def _annotated(name: str, annotations: dict[str, str], *paths: Manifest, tls: list[Manifest] | None = None) -> Manifest:
    return ingress(name, [f"{name}.example.com"], *paths, annotations=annotations, tls=tls or ())


def test_ssl_redirect_sends_plain_requests_to_https(annotated: Edge) -> None:
    answer = annotated.curl("http://ssl.example.com/a?b=1")
    assert (answer.status, answer.header("location")) == (308, "https://ssl.example.com/a?b=1")
    assert served_by(annotated, "https://ssl.example.com/a") == "one"
    assert annotated.curl("http://force.example.com/").status == 308


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("full.example.com/app/a?b=1", "/new?b=1"),
        ("prefix.example.com/app", "/in"),
        ("prefix.example.com/app/", "/in/"),
        ("prefix.example.com/app/a/b?c=1", "/in/a/b?c=1"),
        ("regex.example.com/V12/x", "/V12/x"),
    ],
)
def test_paths_are_rewritten_before_they_go_on(annotated: Edge, url: str, target: str) -> None:
    assert annotated.curl(f"http://{url}").report.target == target


def test_redirects_and_app_root(annotated: Edge) -> None:
    moved = annotated.curl("http://moved.example.com/a?b=1")
    assert (moved.status, moved.header("location")) == (301, "https://new.example.com/a?b=1")
    root = annotated.curl("http://root.example.com/")
    assert (root.status, root.header("location")) == (302, "http://root.example.com/start")
    assert served_by(annotated, "http://root.example.com/other") == "one"


def test_cross_origin_requests_are_answered_by_the_gateway(annotated: Edge) -> None:
    url = "http://cors.example.com/"
    assert annotated.curl(url, "-H", "Origin: https://a.test").header("access-control-allow-origin") == "https://a.test"
    assert annotated.curl(url, "-H", "Origin: https://b.test").header("access-control-allow-origin") is None


def test_host_and_prefix_that_the_backend_sees(annotated: Edge) -> None:
    report = annotated.curl("http://inner.example.com/").report
    assert (report.authority, report.header("x-forwarded-prefix")) == ("inner.test", "/p")


def test_nothing_is_sent_unverified_or_unguarded(annotated: Edge) -> None:
    assert annotated.curl("http://tls-backend.example.com/").status == 500
    assert annotated.curl("http://guarded.example.com/").status == 500


def test_clients_are_let_in_by_their_address(annotated: Edge) -> None:
    from_there = ("--interface", "127.0.0.8")
    assert served_by(annotated, "http://office.example.com/", *from_there) == "one"
    assert served_by(annotated, "http://banned.example.com/") == "one"
    for url, arguments in (("http://office.example.com/", ()), ("http://banned.example.com/", from_there)):
        answer = annotated.curl(url, *arguments)
        assert answer.status == 403
        assert b"source_denied" in answer.body
    claimed = annotated.curl("http://office.example.com/", "-H", "X-Forwarded-For: 127.0.0.8")
    assert claimed.status == 403, "nobody is trusted to say so"
    assert annotated.curl("http://misread.example.com/", *from_there).status == 500


def test_explain_knows_whom_a_rule_answers(annotated: Edge) -> None:
    url, admin = f"http://office.example.com:{annotated.port}/", f"http://127.0.0.1:{annotated.sekisho.admin_port}"
    asked = ("explain", "--admin", admin, "GET", url, "--output", "json")
    denied, allowed = run_sekisho(*asked), run_sekisho(*asked, "--source", "127.0.0.8")
    assert (denied.returncode, allowed.returncode) == (1, 0)
    answer = json.loads(denied.stdout)
    assert (answer["decision"], answer["status"], answer["code"]) == ("denied", 403, "source_denied")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("X-Canary: always", {"two"}),
        ("X-Canary: never", {"one"}),
        ("Cookie: a=b; canary=always; c=d", {"two"}),
        ("Cookie: canary=never", {"one"}),
        ("Cookie: othercanary=always", {"one", "two"}),
    ],
)
def test_a_canary_takes_requests_by_header_and_by_cookie(annotated: Edge, header: str, expected: set[str]) -> None:
    found = {served_by(annotated, "http://canary.example.com/", "-H", header) for _ in range(12)}
    assert found <= expected
    assert len(expected) > 1 or found == expected


def test_a_canary_takes_its_share_of_the_rest(annotated: Edge) -> None:
    with annotated.raw() as client:
        found: Counter[str] = Counter()
        for _ in range(400):
            found[client.request(host="canary.example.com").report.backend] += 1
    assert 60 < found["two"] < 180


def test_check_names_what_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "ingress.yaml"
    broken = ingress(
        "shop",
        ["shop.example.com"],
        ingress_path("shop"),
        tls=[{"hosts": ["shop.example.com"], "secretName": "gone"}],
        annotations={"limit-rps": "5", "auth-type": "basic"},
    )
    write(path, [broken, service("shop")])
    done = run_sekisho("check", "-f", path)
    assert done.returncode == 1
    assert "nginx.ingress.kubernetes.io/limit-rps has no effect" in done.stdout
    assert "nginx.ingress.kubernetes.io/auth-type is not supported" in done.stdout
    assert "Secret default/gone does not exist" in done.stdout
