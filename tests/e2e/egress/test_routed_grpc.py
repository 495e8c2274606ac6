"""gRPC by the routed way, with grpcio at both ends: over TLS that the gateway begins, with a certificate of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.grpc_echo import SERVICE, GrpcBackend
from tests.support.certificates import Authority
from tests.support.egress import EgressGateway, egress_policy
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    grpc_route,
    http_listener,
    manifest,
    rule,
    tls_secret,
)
from tests.support.outside import NAME_SERVER, THIRD_PUBLIC, Outside
from tests.support.processes import ManagedProcess
from tests.support.waiting import eventually

WEB, PROXY, PORT = 8080, 3128, 8446
ANOTHER = Authority("Another authority")
NAMES = ("calls", "anonymous", "pinned", "bytes", "time", "denied")
"""Hosts outside, and the first label of what clients ask for."""
MOST = 20_000


def to(name: str) -> Manifest:
    return {"names": [f"{name}.grpc.example"], "ports": [PORT], "pathPrefixes": [f"/{SERVICE}"]}


RULES: tuple[Manifest, ...] = (
    {"name": "calls", "to": [to("calls")]},
    {"name": "others", "to": [to("anonymous"), to("pinned")]},
    {"name": "bytes", "to": [to("bytes")], "limits": {"bytes": MOST}},
    {"name": "time", "to": [to("time")], "limits": {"duration": "1s"}},
)


def backend(name: str) -> Manifest:
    """With a certificate for the host, but for one; verified by the host's authority, but for one."""
    resource = external_backend(name, f"{name}.grpc.example", PORT, "GRPC")
    trust = {"group": "", "kind": "ConfigMap", "name": "another" if name == "pinned" else "outside"}
    tls: Manifest = {"validation": {"hostname": f"{name}.grpc.example", "caCertificateRefs": [trust]}}
    mutual = {"mode": "ClientAndServer", "clientCertificateRef": {"name": "client"}}
    resource["spec"]["tls"] = tls | ({"mode": "ServerOnly"} if name == "anonymous" else mutual)
    return resource


def manifests(authority: Authority, *rules: Manifest) -> list[Manifest]:
    proxy = {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"}
    return [
        gateway_class(),
        gateway(proxy, http_listener(WEB, "web"), parameters="edge"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        authority_config_map("outside", authority.pem),
        authority_config_map("another", ANOTHER.pem),
        tls_secret("client", authority.issue("gateway.example")),
        *(backend(name) for name in NAMES),
        *(grpc_route(name, rule(external_ref(name)), hosts=[f"{name}.internal"]) for name in NAMES),
        egress_policy("base", *rules, contact="security@example.com"),
    ]


@pytest.fixture(scope="module")
def server(outside: Outside, authority: Authority) -> Iterator[GrpcBackend]:
    """It asks for certificates."""
    outside.zone.update({f"{name}.grpc.example": [THIRD_PUBLIC] for name in NAMES})
    issued = authority.issue(*(f"{name}.grpc.example" for name in NAMES))
    tls, clients = (issued.private_key.encode(), issued.chain.encode()), authority.pem.encode()
    server = outside.beyond.run(lambda: GrpcBackend(tls=tls, clients=clients, address=THIRD_PUBLIC, port=PORT))
    with server:
        yield server


@pytest.fixture(scope="module")
def edge(outside: Outside, directory: Path, authority: Authority, server: GrpcBackend) -> Iterator[EgressGateway]:
    assert server.port == PORT
    with EgressGateway(outside, directory / "grpc", manifests(authority, *RULES)) as running:
        yield running


def words(edge: EgressGateway, name: str, kind: str, message: str = "{}", service: str = SERVICE) -> list[str]:
    """The program that calls, beside the gateway, with nothing in its environment."""
    root = str(Path(__file__).parents[3])
    inside = ["ip", "netns", "exec", edge.outside.inside.name, "env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={root}"]
    program = [sys.executable, "-m", "tests.support.clients.grpc_streams"]
    return [*inside, *program, f"127.0.0.1:{WEB}", f"{name}.internal", kind, service, message]


def call(edge: EgressGateway, name: str, kind: str, message: str = "{}", service: str = SERVICE) -> list[str]:
    """The lines that it prints."""
    command = words(edge, name, kind, message, service)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr.startswith("Traceback"), done.stderr
    return done.stdout.splitlines()


def ends(edge: EgressGateway, **wanted: Any) -> list[dict[str, Any]]:
    found = [record for record in edge.records() if record["record"] == "egress_end"]
    return [end for end in found if all(end[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize(
    ("kind", "answers"), {"Unary": 1, "ServerStream": 3, "ClientStream": 1, "Bidirectional": 2}.items()
)
def test_calls_go_outside_over_mutual_tls(edge: EgressGateway, kind: str, answers: int) -> None:
    before = len(edge.records())
    lines = call(edge, "calls", kind, '{"text": "through"}')
    assert len(lines) == answers, lines
    assert all(f"/{SERVICE}/{kind}" in line for line in lines), lines
    record = edge.decision(after=before, host="calls.grpc.example", port=PORT, way="Route")
    assert (record["decision"], record["rule"], record["method"]) == ("allow", "calls", "POST")
    assert record["dialled"] == f"{THIRD_PUBLIC}:{PORT}"
    eventually(lambda: ends(edge, id=record["id"], reason="via_upstream"), within=5, what="the record of the end")


@pytest.mark.parametrize(("name", "service"), [("denied", SERVICE), ("calls", "admin.Admin")])
def test_what_no_rule_allows_is_denied(edge: EgressGateway, server: GrpcBackend, name: str, service: str) -> None:
    calls, before = len(server.calls), len(edge.records())
    [line] = call(edge, name, "Unary", service=service)
    assert line.startswith("PERMISSION_DENIED")
    assert "security@example.com" in line
    edge.decision(after=before, host=f"{name}.grpc.example", decision="deny", reason="egress_denied")
    assert len(server.calls) == calls


@pytest.mark.parametrize("name", ["anonymous", "pinned"])
def test_without_a_certificate_or_by_another_authority_there_is_no_destination(
    edge: EgressGateway, server: GrpcBackend, name: str
) -> None:
    calls = len(server.calls)
    [line] = call(edge, name, "Unary")
    assert line.startswith("UNAVAILABLE")
    assert len(server.calls) == calls


def test_a_rule_bounds_the_bytes_of_a_stream(edge: EgressGateway) -> None:
    lines = call(edge, "bytes", "ServerStream", '{"count": 2000}')
    assert 10 < len(lines) < 1000
    assert lines[-1].startswith(("UNAVAILABLE", "INTERNAL", "CANCELLED", "UNKNOWN")), lines[-1]
    eventually(lambda: ends(edge, rule="bytes", reason="egress_limit"), within=5, what="the end")


def test_a_rule_bounds_the_duration_of_a_stream(edge: EgressGateway) -> None:
    began = time.monotonic()
    lines = call(edge, "time", "ServerStream", '{"count": 100, "pause": 0.2}')
    assert 2 < len(lines) < 60
    assert time.monotonic() - began < 10
    eventually(lambda: ends(edge, rule="time", reason="egress_limit"), within=5, what="the end")


def test_a_stream_that_is_no_longer_allowed_ends(
    edge: EgressGateway, authority: Authority, server: GrpcBackend, directory: Path
) -> None:
    command = words(edge, "calls", "ServerStream", '{"count": 150, "pause": 0.1}')
    server.cancelled.clear()
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(ManagedProcess(command, directory / "stream.log"))
        eventually(lambda: process.output().count("number") > 2, within=20, what="the stream")
        began = time.monotonic()
        edge.write(manifests(authority, *RULES[1:]))
        eventually(lambda: process.exit_code is not None, within=10, what="the end of the stream")
        # The manifests are read in that time as well, and the program ends.
        assert time.monotonic() - began < 3
        assert not process.output().splitlines()[-1].startswith("{")
    assert server.cancelled.wait(5)
    eventually(lambda: ends(edge, rule="calls", reason="egress_revoked"), within=5, what="the record")
    edge.write(manifests(authority, *RULES))
    eventually(lambda: call(edge, "calls", "Unary")[0].startswith("{"), within=20, what="the policy is back")
