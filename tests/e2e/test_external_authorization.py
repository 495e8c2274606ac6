"""External authorization by a real service: CUSTOM policies and the filter ExternalAuth."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.support.backends.grpc_echo import UNARY, GrpcBackend, Message, decode, encode
from tests.support.backends.http1 import Http1Backend
from tests.support.clients.curl import CurlResult, curl
from tests.support.guard import Guard, verdict
from tests.support.layer4 import StreamBackend
from tests.support.manifests import (
    GATEWAY_API,
    SERVICE_PORT,
    Manifest,
    backend,
    backend_ref,
    gateway,
    gateway_class,
    grpc_route,
    http_listener,
    http_route,
    manifest,
    parent,
    path_match,
    rule,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho

HOST = "shop.example.com"
GRPC_HOST = "grpc.example.com"
FILTERED = "filtered.example.com"


def provider(name: str, service: str = "guard", **fields: object) -> Manifest:
    spec = {
        "service": {"name": service, "port": SERVICE_PORT},
        "includeRequestHeadersInCheck": ["x-verdict", "x-shown"],
        **fields,
    }
    return manifest("sekisho.dev/v1alpha1", "ExternalAuthorizationProvider", name, spec=spec)


def policy(name: str, path: str, action: str = "CUSTOM", **more: object) -> Manifest:
    rules = [{"to": [{"operation": {"paths": [path]}}]}]
    return manifest(
        "security.istio.io/v1", "AuthorizationPolicy", name, spec={"action": action, "rules": rules, **more}
    )


def custom(name: str, path: str) -> Manifest:
    return policy(f"ask-{name}", path, provider={"name": name})


def external_auth(**http: object) -> Manifest:
    settings = {"protocol": "HTTP", "backendRef": backend_ref("guard"), "http": http}
    return {"type": "ExternalAuth", "externalAuth": settings}


@dataclass
class Checkpoint:
    sekisho: Sekisho
    guard: Guard
    origin: Http1Backend
    http: int
    tcp: int

    def get(self, path: str, *arguments: str, host: str = HOST) -> CurlResult:
        return curl(f"http://{host}{path}", "--connect-to", f"::127.0.0.1:{self.http}", *arguments)


def objects(http: int, tcp: int, guard: Guard, origin: Http1Backend, grpc_port: int, streams: int) -> list[Manifest]:
    tcp_route = {"parentRefs": [parent(section="tcp")], "rules": [{"backendRefs": [backend_ref("stream")]}]}
    preflight = {"type": "CORS", "cors": {"allowOrigins": ["https://app.example.com"]}}
    return [
        gateway_class(),
        gateway(http_listener(http), {"name": "tcp", "port": tcp, "protocol": "TCP"}),
        *backend("origin", origin.port),
        *backend("guard", guard.port),
        *backend("deaf", free_port()),
        *backend("grpc", grpc_port),
        *backend("stream", streams),
        http_route("shop", rule("origin"), hosts=[HOST]),
        grpc_route("grpc", rule("grpc"), hosts=[GRPC_HOST]),
        manifest(GATEWAY_API, "TCPRoute", "stream", spec=tcp_route),
        http_route(
            "filtered",
            rule("origin", matches=[path_match("/all")], filters=[external_auth()]),
            rule(
                "origin",
                matches=[path_match("/some")],
                filters=[external_auth(path="/check", allowedHeaders=["X-Verdict"], allowedResponseHeaders=["X-User"])],
            ),
            rule("origin", matches=[path_match("/cors")], filters=[external_auth(), preflight]),
            rule("origin", matches=[path_match("/gone")], filters=[lost_service()]),
            hosts=[FILTERED],
        ),
        provider(
            "full",
            pathPrefix="/check",
            timeout="500ms",
            includeAdditionalHeadersInCheck={"X-Gateway": "edge"},
            headersToUpstreamOnAllow=["X-User"],
            headersToDownstreamOnAllow=["X-Session"],
            headersToDownstreamOnDeny=["Location"],
        ),
        provider("deaf", "deaf", statusOnError=503),
        provider("open", "deaf", failOpen=True, headersToUpstreamOnAllow=["x-user"]),
        provider("plain"),
        custom("full", "/full*"),
        custom("deaf", "/deaf*"),
        custom("open", "/open*"),
        custom("unknown", "/unknown*"),
        custom("plain", "/echo.*"),
        custom("plain", "/both*") | {"metadata": {"name": "ask-both", "namespace": "default"}},
        policy("deny-both", "/both/denied", "DENY"),
        policy("dry", "/dry*", provider={"name": "plain"})
        | {"metadata": {"name": "dry", "namespace": "default", "annotations": {"istio.io/dry-run": "true"}}},
    ]


def lost_service() -> Manifest:
    settings = {"protocol": "HTTP", "backendRef": backend_ref("nowhere"), "http": {}}
    return {"type": "ExternalAuth", "externalAuth": settings}


@pytest.fixture(scope="module")
def checkpoint(directory: Path) -> Iterator[Checkpoint]:
    http, tcp = free_port(), free_port()
    streams = StreamBackend("stream")
    with Guard() as guard, Http1Backend("origin") as origin, GrpcBackend("grpc") as service:
        sekisho = Sekisho(directory)
        sekisho.write(objects(http, tcp, guard, origin, service.port, streams.port))
        with sekisho:
            yield Checkpoint(sekisho, guard, origin, http, tcp)
    streams.close()


def test_a_request_goes_on_when_the_service_says_yes(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    answer = checkpoint.get("/full/cart?id=7", "-H", "x-shown: a", "-H", "x-hidden: b", "-H", "authorization: Bearer t")
    assert answer.status == 200
    (asked,) = checkpoint.guard.take()
    assert (asked.method, asked.target, asked.headers["host"]) == ("GET", "/check/full/cart?id=7", HOST)
    assert asked.headers["authorization"] == "Bearer t"
    assert (asked.headers["x-shown"], asked.headers["x-gateway"]) == ("a", "edge")
    assert "x-hidden" not in asked.headers


def test_nobody_is_asked_about_what_no_rule_matches(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    assert checkpoint.get("/other").status == 200
    assert checkpoint.guard.take() == []


def test_a_no_is_passed_on_with_its_headers_and_content(checkpoint: Checkpoint) -> None:
    order = verdict(302, "log in", Location="/login", X_Internal="secret", Content_Type="text/html")
    answer = checkpoint.get("/full", "-H", order)
    assert (answer.status, answer.body, answer.header("location")) == (302, b"log in", "/login")
    assert (answer.header("x-internal"), answer.header("content-type")) == (None, "text/html")


def test_a_body_is_not_shown_and_reaches_the_backend_whole(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    answer = checkpoint.get("/full", "--data", "x" * 100_000)
    assert (answer.status, answer.report.body_bytes) == (200, 100_000)
    (asked,) = checkpoint.guard.take()
    assert (asked.method, asked.headers["content-length"]) == ("POST", "0")
    assert checkpoint.get("/full", "--data", "x" * 100_000, "-H", verdict(401)).status == 401


def test_only_the_service_says_who_the_user_is(checkpoint: Checkpoint) -> None:
    told = checkpoint.get("/full", "-H", "x-user: root", "-H", verdict(200, X_User="ann", X_Session="s1"))
    assert (told.report.header("x-user"), told.header("x-session")) == ("ann", "s1")
    silent = checkpoint.get("/full", "-H", "x-user: root")
    assert (silent.status, silent.report.header("x-user")) == (200, None)


def test_a_service_that_cannot_be_reached_denies(checkpoint: Checkpoint) -> None:
    answer = checkpoint.get("/deaf")
    assert answer.status == 503
    assert answer.body.startswith(b"external_authorization_failed")


def test_a_service_that_is_slow_or_fails_denies(checkpoint: Checkpoint) -> None:
    assert checkpoint.get("/full", "-H", verdict(200, delay=5)).status == 403
    assert checkpoint.get("/full", "-H", verdict(500)).status == 403


def test_fail_open_lets_requests_go_on_and_takes_out_what_nobody_said(checkpoint: Checkpoint) -> None:
    answer = checkpoint.get("/open", "-H", "x-user: root")
    assert (answer.status, answer.report.header("x-user")) == (200, None)


def test_an_unknown_provider_denies(checkpoint: Checkpoint) -> None:
    assert checkpoint.get("/unknown").status == 403


def test_deny_follows_a_yes_and_a_no_comes_first(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    assert checkpoint.get("/both/allowed").status == 200
    assert checkpoint.get("/both/denied").status == 403
    assert checkpoint.get("/both/denied", "-H", verdict(401)).status == 401
    assert len(checkpoint.guard.take()) == 3


def test_dry_run_asks_nobody(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    assert checkpoint.get("/dry", "-H", verdict(401)).status == 200
    assert checkpoint.guard.take() == []


def test_connections_to_the_service_are_used_again(checkpoint: Checkpoint) -> None:
    checkpoint.get("/both")
    checkpoint.guard.take()
    for _ in range(20):
        assert checkpoint.get("/both").status == 200
    # One for each worker at most.
    assert len({asked.connection for asked in checkpoint.guard.take()}) <= 8


def test_http2_clients_are_asked_about_stream_by_stream(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    assert checkpoint.get("/full", "--http2-prior-knowledge").version == "2"
    denied = checkpoint.get("/full", "--http2-prior-knowledge", "-H", verdict(401, "no"))
    assert (denied.version, denied.status, denied.body) == ("2", 401, b"no")
    assert len(checkpoint.guard.take()) == 2


def test_a_grpc_client_that_is_denied_gets_permission_denied(checkpoint: Checkpoint) -> None:
    with grpc.insecure_channel(
        f"127.0.0.1:{checkpoint.http}", options=[("grpc.default_authority", GRPC_HOST)]
    ) as channel:
        call = channel.unary_unary(UNARY, request_serializer=encode, response_deserializer=decode)
        call(Message(), timeout=10)
        name, _, value = verdict(302, Location="/login").partition(": ")
        with pytest.raises(grpc.RpcError) as denied:
            call(Message(), timeout=10, metadata=[(name, value)])
        assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_connections_without_requests_are_denied(checkpoint: Checkpoint) -> None:
    with socket.create_connection(("127.0.0.1", checkpoint.tcp), timeout=10) as stream:
        try:
            stream.sendall(b"x")
            assert stream.recv(64) == b""
        except ConnectionResetError:
            pass


# --- the filter ExternalAuth ----------------------------------------------------------------------


def test_the_filter_asks_and_passes_everything_on(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    answer = checkpoint.get("/all/x", "-H", "x-verdict: {}", host=FILTERED)
    assert answer.status == 200
    (asked,) = checkpoint.guard.take()
    assert asked.target == "/all/x"
    assert "x-verdict" not in asked.headers


def test_the_filter_shows_and_takes_what_is_listed(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    order = verdict(200, X_User="ann", X_Other="b")
    answer = checkpoint.get("/some", "-H", order, "-H", "x-user: root", host=FILTERED)
    assert (answer.report.header("x-user"), answer.report.header("x-other")) == ("ann", None)
    (asked,) = checkpoint.guard.take()
    assert asked.target == "/check/some"
    denied = checkpoint.get("/some", "-H", verdict(401, "no", WWW_Authenticate="Basic"), host=FILTERED)
    assert (denied.status, denied.body, denied.header("www-authenticate")) == (401, b"no", "Basic")


def test_a_preflight_is_answered_without_asking(checkpoint: Checkpoint) -> None:
    checkpoint.guard.take()
    wants = ("-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: GET")
    answer = checkpoint.get("/cors", "-X", "OPTIONS", *wants, host=FILTERED)
    assert answer.header("access-control-allow-origin") == "https://app.example.com"
    assert checkpoint.guard.take() == []
    assert checkpoint.get("/cors", host=FILTERED).status == 200
    assert len(checkpoint.guard.take()) == 1


def test_a_filter_with_nobody_to_ask_fails_closed(checkpoint: Checkpoint) -> None:
    assert checkpoint.get("/gone", host=FILTERED).status == 500
