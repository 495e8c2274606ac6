"""Traps of what is answered: status codes, redirects, filters, retries, gRPC."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.backends.grpc_echo import UNARY, GrpcBackend, decode, encode
from tests.support.backends.http1 import Http1Backend
from tests.support.edge import HTTP2, Edge, open_edge
from tests.support.manifests import (
    Manifest,
    backend,
    backend_ref,
    grpc_route,
    http_route,
    path_match,
    rule,
)
from tests.support.marked_rules import ask, channel


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend, calls: GrpcBackend) -> Iterator[Edge]:
    manifests = [
        *backend("origin", origin.port),
        *backend("calls", calls.port, app_protocol="kubernetes.io/h2c"),
        *backend("empty"),
        *TRAP_3,
        *TRAP_5,
        *TRAP_12,
        *TRAP_13,
        *TRAP_14,
    ]
    with open_edge(directory, manifests) as running:
        yield running


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
    assert edge.curl("http://t14.test/", HTTP2).version == "2"
