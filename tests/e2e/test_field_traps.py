"""Traps that implementations of the Gateway API fall into, by number: each has a test that names it.

Numbers 6 (in part: ListenerSets), 15 (several controllers) and 16 (kinds without conformance tests) concern kinds and
clusters that a standalone gateway does not have; what of them applies is here.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.backends.grpc_echo import UNARY, GrpcBackend, decode, encode
from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.edge import HTTP2, Edge, open_edge
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    backend,
    backend_ref,
    backend_tls_policy,
    exact_path,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    grpc_route,
    http_listener,
    http_route,
    https_listener,
    parent,
    path_match,
    rule,
    tls_secret,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho


def mark(value: str) -> Manifest:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": value}]}}


def marked(value: str, *matches: Manifest) -> Manifest:
    return rule("origin", matches=matches, filters=[mark(value)])


def aged(route: Manifest, created: str) -> Manifest:
    route["metadata"]["creationTimestamp"] = created
    return route


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend("origin") as server:
        yield server


@pytest.fixture(scope="module")
def calls() -> Iterator[GrpcBackend]:
    with GrpcBackend("calls") as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend, calls: GrpcBackend) -> Iterator[Edge]:
    manifests = [
        *backend("origin", origin.port),
        *backend("calls", calls.port, app_protocol="kubernetes.io/h2c"),
        *backend("empty"),
        *TRAP_1,
        *TRAP_2,
        *TRAP_3,
        *TRAP_4,
        *TRAP_5,
        *TRAP_7,
        *TRAP_12,
        *TRAP_13,
        *TRAP_14,
    ]
    with open_edge(directory, manifests) as running:
        yield running


def ask(edge: Edge, host: str, target: str = "/", *lines: str, method: str = "GET") -> RawResponse:
    with RawClient(edge.port) as client:
        return client.request(method, target, *lines, host=host)


def rule_of(edge: Edge, host: str, target: str = "/", *lines: str, method: str = "GET") -> str | None:
    answer = ask(edge, host, target, *lines, method=method)
    return answer.report.header("x-rule") if answer.status == 200 else None


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


def channel(edge: Edge, host: str) -> grpc.Channel:
    options = [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{edge.port}", options=options)


# --- trap 3: status codes ----------------------------------------------------------------------------

TRAP_3 = [
    http_route(
        "t3",
        rule("nobody", matches=[path_match("/missing")]),
        rule(backend_ref("nobody", weight=1), backend_ref("origin", weight=1), matches=[path_match("/half-missing")]),
        rule("empty", matches=[path_match("/empty")]),
        rule(backend_ref("origin", weight=0), matches=[path_match("/all-zero")]),
        rule(backend_ref("nobody", weight=0), "origin", matches=[path_match("/zero-missing")]),
        rule(backend_ref("x", kind="Bucket", group="example.com"), matches=[path_match("/kind")]),
        {"matches": [path_match("/nothing")]},
        hosts=["t3.test"],
    ),
    grpc_route(
        "t3-calls",
        rule("nobody", matches=[{"method": {"method": "Missing"}}]),
        rule("empty", matches=[{"method": {"method": "Empty"}}]),
        hosts=["t3.test"],
    ),
]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/no-route", 404),
        ("/missing", 500),
        ("/kind", 500),
        ("/empty", 503),
        ("/all-zero", 500),
        ("/zero-missing", 200),
        ("/nothing", 500),
    ],
)
def test_trap_3_status_codes(edge: Edge, path: str, status: int) -> None:
    """No route 404; invalid backendRef 500; no ready endpoint 503; all weights 0: 500."""
    assert ask(edge, "t3.test", path).status == status


def test_trap_3_an_invalid_backend_fails_its_share_alone(edge: Edge) -> None:
    """An invalid backendRef answers 500 for its weight's share, and nothing more."""
    seen = Counter(ask(edge, "t3.test", "/half-missing").status for _ in range(200))
    assert set(seen) == {200, 500}
    assert 60 < seen[500] < 140, seen


@pytest.mark.parametrize(
    ("method", "code"),
    [("NoRoute", "UNIMPLEMENTED"), ("Missing", "UNAVAILABLE"), ("Empty", "UNAVAILABLE")],
)
def test_trap_3_status_codes_in_grpc(edge: Edge, method: str, code: str) -> None:
    """No route is UNIMPLEMENTED; a backend that cannot serve is UNAVAILABLE."""
    with channel(edge, "t3.test") as opened, pytest.raises(grpc.RpcError) as caught:
        opened.unary_unary(f"/any.Service/{method}", encode, decode)({}, timeout=10)
    assert caught.value.code().name == code


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


# --- trap 5: the port of a redirect ------------------------------------------------------------------


def redirect(**fields: Any) -> Manifest:
    return rule(
        filters=[{"type": "RequestRedirect", "requestRedirect": {"hostname": "to.test", **fields}}],
        matches=[path_match("/" + "-".join(str(value) for value in fields.values()))],
    )


TRAP_5 = [
    http_route(
        "t5",
        redirect(),
        redirect(scheme="https"),
        redirect(scheme="http"),
        redirect(port=80),
        redirect(scheme="https", port=443),
        redirect(scheme="https", port=80),
        redirect(port=8080),
        hosts=["t5.test"],
    )
]


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "http://to.test:{port}/"),
        ("/https", "https://to.test/https"),
        ("/http", "http://to.test/http"),
        ("/80", "http://to.test/80"),
        ("/https-443", "https://to.test/https-443"),
        ("/https-80", "https://to.test:80/https-80"),
        ("/8080", "http://to.test:8080/8080"),
    ],
)
def test_trap_5_the_port_of_a_redirect(edge: Edge, path: str, location: str) -> None:
    """With a scheme its well-known port, without one the listener's; `:80` and `:443` are left out where they fit."""
    assert ask(edge, "t5.test", path).header("location") == location.format(port=edge.port)


# --- trap 6: conflicting listeners -------------------------------------------------------------------


def test_trap_6_conflicting_listeners_have_no_winner(tmp_path: Path, origin: Http1Backend) -> None:
    """All listeners in a conflict are Conflicted and none of them is served; the others are."""
    good, bad = free_port(), free_port()
    manifests = [
        gateway_class(),
        gateway(http_listener(good, "good"), http_listener(bad, "one"), https_listener(bad, "edge", name="two")),
        tls_secret("edge", shared_authority().issue("*.test")),
        *backend("origin", origin.port),
        http_route("all", rule("origin")),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        assert Edge(sekisho, good, 0).curl("http://t6.test/").status == 200
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", bad), timeout=1)


# --- trap 7: wildcards -------------------------------------------------------------------------------

TRAP_7 = [http_route("t7", marked("wildcard"), hosts=["*.t7.test"])]


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.t7.test", 200), ("a.b.t7.test", 200), ("A.T7.TEST", 200), ("t7.test", 404), ("at7.test", 404)],
)
def test_trap_7_wildcards_match_any_number_of_labels(edge: Edge, host: str, status: int) -> None:
    """`*.example.com` matches `a.b.example.com`, not `example.com`."""
    assert ask(edge, host).status == status


# --- trap 8: misdirected requests --------------------------------------------------------------------


@pytest.fixture(scope="module")
def misdirected(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    port, plain = free_port(), free_port()
    issued = shared_authority().issue("*.t8.test", "one.t8.test", "t8.test")
    manifests = [
        gateway_class(),
        gateway(
            https_listener(port, "t8", name="wild", hostname="*.t8.test"),
            https_listener(port, "t8", name="one", hostname="one.t8.test"),
            https_listener(port, "t8", name="two", hostname="two.t8.test"),
        ),
        tls_secret("t8", issued),
        *backend("origin", origin.port),
        http_route("wild", marked("wild"), hosts=["*.t8.test"], parents=[parent(section="wild")]),
        http_route("one", marked("one"), parents=[parent(section="one")]),
        http_route("two", marked("two"), parents=[parent(section="two")]),
    ]
    with Sekisho(directory / "t8", manifests) as sekisho:
        yield Edge(sekisho, plain, port)


@pytest.mark.parametrize(
    ("sni", "host", "status"),
    [
        ("one.t8.test", "one.t8.test", 200),
        ("one.t8.test", "two.t8.test", 421),
        ("one.t8.test", "three.t8.test", 421),
        ("three.t8.test", "one.t8.test", 421),
        ("three.t8.test", "four.t8.test", 200),
        ("one.t8.test", "nobody.test", 404),
        ("three.t8.test", "nobody.test", 404),
    ],
)
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_trap_8_misdirected_requests(misdirected: Edge, sni: str, host: str, status: int, version: str) -> None:
    """On a connection for listener A, an authority of listener B is 421, and one that nobody owns is 404."""
    if version == "2":
        with misdirected.http2_tls(sni) as streams:
            assert streams.request("/", host=host).status == status
    else:
        context = shared_authority().client_context()
        with RawClient(misdirected.https_port, tls=context, server_name=sni) as client:
            assert client.request("GET", "/", host=host).status == status


def test_trap_8_a_name_that_no_listener_owns_gets_no_certificate(misdirected: Edge) -> None:
    """Without a listener for the name the handshake is refused."""
    with pytest.raises(ssl.SSLError):
        RawClient(misdirected.https_port, tls=shared_authority().client_context(), server_name="nobody.test")


# --- trap 9: host and port ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["a.t7.test:1234", "a.t7.test:80", "a.t7.test"])
def test_trap_9_the_port_of_the_host_is_ignored_and_forwarded(edge: Edge, host: str) -> None:
    """Matching ignores the port; the backend sees the field as it was."""
    answer = ask(edge, host)
    assert (answer.status, answer.report.authority) == (200, host)


# --- trap 10: attachedRoutes -------------------------------------------------------------------------


def test_trap_10_attached_routes_count_accepted_routes_alone(tmp_path: Path, origin: Http1Backend) -> None:
    """attachedRoutes is set even on a listener that is not accepted, and counts only accepted routes."""
    manifests = [
        gateway_class(),
        gateway(http_listener(free_port(), "good", "*.t10.test"), https_listener(free_port(), "absent", name="bad")),
        *backend("origin", origin.port),
        http_route("accepted", rule("origin"), hosts=["a.t10.test"]),
        http_route("missing", rule("nobody"), hosts=["b.t10.test"]),
        http_route("elsewhere", rule("origin"), hosts=["other.test"], parents=[parent(section="good")]),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        output = sekisho.admin("/status").json()
        text = str(output)
        counts = {item["name"]: item for item in _listeners(output)}
    assert "NoMatchingListenerHostname" in text
    assert _attached(counts["good"]) == 2, counts
    assert _attached(counts["bad"]) == 2, counts


def _listeners(document: Any) -> list[dict[str, Any]]:
    """Every object of the status document that tells how many routes a listener has."""
    found = []
    if isinstance(document, dict):
        if any("attached" in str(key).lower() for key in document) and "name" in document:
            found.append(document)
        for value in document.values():
            found += _listeners(value)
    elif isinstance(document, list):
        for value in document:
            found += _listeners(value)
    return found


def _attached(listener: dict[str, Any]) -> int:
    return next(int(value) for key, value in listener.items() if "attached" in key.lower())


# --- trap 11: BackendTLSPolicy -----------------------------------------------------------------------


def test_trap_11_the_hostname_does_not_authenticate_where_names_are_given(tmp_path: Path) -> None:
    """`hostname` is SNI and identity, unless subjectAltNames are given: then it must not authenticate.

    Invalid authorities are held by test_backends and test_bad_input.
    """
    tls = shared_authority().issue("policy.test").server_context(tmp_path)
    with Http1Backend("tls", tls=tls) as server:
        manifests = [authority_config_map("ca", shared_authority().pem)]
        for name, names in (("plain", []), ("names", [{"type": "Hostname", "hostname": "other.test"}])):
            manifests += [
                *backend(name, server.port),
                backend_tls_policy(name, name, "policy.test", "ca", alternative_names=names),
                http_route(name, rule(name), hosts=[f"{name}.test"]),
            ]
        with open_edge(tmp_path, manifests) as edge:
            assert ask(edge, "plain.test").status == 200
            assert ask(edge, "names.test").status in {502, 503}
    assert {item.authority for item in server.journal.received} == {"plain.test"}


# --- trap 12: filters that cannot be resolved --------------------------------------------------------

EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Guard", "name": "guard"}}
CREDENTIALS = {
    "type": "CORS",
    "cors": {"allowOrigins": ["*"], "allowCredentials": True, "allowMethods": ["*"], "allowHeaders": ["*"]},
}

TRAP_12 = [
    http_route(
        "t12",
        rule("origin", matches=[path_match("/guarded")], filters=[EXTENSION]),
        rule("origin", matches=[path_match("/cors")], filters=[CREDENTIALS]),
        hosts=["t12.test"],
    )
]


def test_trap_12_an_unresolvable_filter_fails_its_rule(edge: Edge, origin: Http1Backend) -> None:
    """An ExtensionRef that resolves to nothing is a 500, never skipped."""
    assert ask(edge, "t12.test", "/guarded").status == 500
    assert not any(item.path == "/guarded" for item in origin.journal.received)


def test_trap_12_cors_with_credentials_never_answers_a_star(edge: Edge) -> None:
    """`allowCredentials` and `*` never meet in an answer."""
    lines = ["Origin: https://a.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a"]
    for answer in (ask(edge, "t12.test", "/cors", *lines, method="OPTIONS"), ask(edge, "t12.test", "/cors", lines[0])):
        values = {name.lower(): value for name, value in answer.headers if name.lower().startswith("access-control")}
        assert values["access-control-allow-origin"] == "https://a.test"
        assert not any("*" in value for value in values.values()), values


# --- trap 13: retries --------------------------------------------------------------------------------

RETRY = {"codes": [500, 502, 503, 504], "attempts": 2, "backoff": "200ms"}

TRAP_13 = [
    http_route(
        "t13",
        rule("origin", matches=[path_match("/retry")], retry=RETRY),
        rule("origin", matches=[path_match("/capped")], retry=RETRY | {"attempts": 9}, timeouts={"request": "500ms"}),
        hosts=["t13.test"],
    )
]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_trap_13_retries_wait_for_their_backoff(edge: Edge, status: int) -> None:
    """500, 502, 503 and 504 can be retried, and never sooner than `backoff`."""
    started = time.monotonic()
    answer = ask(edge, "t13.test", "/retry", f"x-do: fails=2; failure={status}; key=t13-{status}")
    assert answer.status == 200
    assert time.monotonic() - started >= 0.4


def test_trap_13_the_request_timeout_caps_the_sum(edge: Edge) -> None:
    """`timeouts.request` bounds all attempts and pauses together."""
    started = time.monotonic()
    assert ask(edge, "t13.test", "/capped", "x-do: fails=99; key=t13-capped").status in {503, 504}
    assert time.monotonic() - started < 1


# --- trap 14: gRPC on an HTTP listener ---------------------------------------------------------------

TRAP_14 = [grpc_route("t14", rule("calls"), hosts=["t14.test"])]


def test_trap_14_grpc_on_an_http_listener_by_prior_knowledge(edge: Edge) -> None:
    """A GRPCRoute on an HTTP listener serves h2c by prior knowledge."""
    with channel(edge, "t14.test") as opened:
        assert opened.unary_unary(UNARY, encode, decode)({"text": "a"}, timeout=10)["backend"] == "calls"
    assert edge.curl("http://a.t7.test/", HTTP2).version == "2"


# --- trap 15: status ---------------------------------------------------------------------------------


def test_trap_15_status_is_current_and_an_unknown_value_is_no_crash(tmp_path: Path, origin: Http1Backend) -> None:
    """An unknown enum value is `Accepted=False/UnsupportedValue`; the rest of the file serves."""
    port = free_port()
    manifests = [
        gateway_class(),
        gateway(http_listener(port)),
        *backend("origin", origin.port),
        http_route("fine", rule("origin"), hosts=["fine.test"]),
        http_route("odd", rule("origin", matches=[path_match("/x", "Telepathic")]), hosts=["odd.test"]),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        edge = Edge(sekisho, port, 0)
        assert ask(edge, "fine.test").status == 200
        assert ask(edge, "odd.test", "/x").status == 404
        assert "UnsupportedValue" in sekisho.admin("/status").text


# --- trap 16: XBackend -------------------------------------------------------------------------------


def test_trap_16_an_external_host_named_by_xbackend(tmp_path: Path, origin: Http1Backend) -> None:
    """XBackend has no conformance test upstream: a route to an external host serves."""
    manifests = [external_backend("out", "localhost", origin.port), http_route("out", rule(external_ref("out")))]
    with open_edge(tmp_path, manifests) as edge:
        assert ask(edge, "t16.test").report.backend == "origin"
