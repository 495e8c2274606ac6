"""Requests of routes that lead outside: who the two ends must be to each other, and the bounds of a rule."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mutual_host
from tests.support.certificates import Authority
from tests.support.egress import PROXY, EgressGateway, egress_policy, status_of
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    manifest,
    path_match,
    rule,
    tls_secret,
)
from tests.support.outside import NAME_SERVER, PUBLIC, Outside
from tests.support.waiting import eventually

WEB, PORT = 8080, 8450
HOST = "mutual.example"
ANOTHER = Authority("Another authority")
MOST = 20_000
RULES = (
    {"name": "mutual", "to": [{"names": [HOST], "ports": [PORT], "protocols": ["HTTP"]}]},
    {"name": "bytes", "to": [{"names": ["bytes.example"]}], "limits": {"bytes": MOST}},
    {"name": "time", "to": [{"names": ["time.example"]}], "limits": {"duration": "1s"}},
    {"name": "one", "to": [{"names": ["one.example"]}], "limits": {"connections": 1}},
)


def secured(name: str, authority: str, client: str = "") -> Manifest:
    backend = external_backend(name, HOST, PORT)
    trust = {"group": "", "kind": "ConfigMap", "name": authority}
    tls: Manifest = {"mode": "ServerOnly", "validation": {"hostname": HOST, "caCertificateRefs": [trust]}}
    backend["spec"]["tls"] = tls | (
        {"mode": "ClientAndServer", "clientCertificateRef": {"name": client}} if client else {}
    )
    return backend


def manifests(authority: Authority) -> list[Manifest]:
    names = ("mutual", "anonymous", "pinned", "stranger", "bytes", "time", "one")
    proxy = {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"}
    return [
        gateway_class(),
        gateway(proxy, http_listener(WEB, "web"), parameters="edge"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        authority_config_map("outside", authority.pem),
        authority_config_map("another", ANOTHER.pem),
        tls_secret("client", authority.issue("gateway.example")),
        tls_secret("stranger", ANOTHER.issue("stranger.example")),
        secured("mutual", "outside", "client"),
        secured("anonymous", "outside"),
        secured("pinned", "another", "client"),
        secured("stranger", "outside", "stranger"),
        *(external_backend(name, f"{name}.example", 80) for name in names[4:]),
        http_route("out", *(rule(external_ref(name), matches=[path_match(f"/{name}")]) for name in names)),
        egress_policy("base", *RULES),
    ]


@pytest.fixture(scope="module")
def edge(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    outside.zone |= {name: [PUBLIC] for name in (HOST, "bytes.example", "time.example", "one.example")}
    context = authority.issue(HOST).server_context(directory)
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    # So that a client hears in the handshake that it is refused, and not with its first answer.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        mutual_host.serving((PUBLIC, PORT), context, outside.beyond.run),
        EgressGateway(outside, directory / "bounds", manifests(authority)) as running,
    ):
        yield running


def ends(edge: EgressGateway, **wanted: Any) -> list[dict[str, Any]]:
    found = [record for record in edge.records() if record["record"] == "egress_end"]
    return [end for end in found if all(end[name] == value for name, value in wanted.items())]


def ask(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: api.internal\r\nConnection: close\r\n\r\n".encode()


def test_the_destination_sees_the_certificate_of_the_xbackend(edge: EgressGateway) -> None:
    answer = edge.ask(ask("/mutual"), WEB)
    assert status_of(answer) == 200
    assert b"hello gateway.example" in answer
    record = edge.decision(host=HOST, port=PORT, decision="allow")
    assert (record["way"], record["rule"], record["dialled"]) == ("Route", "mutual", f"{PUBLIC}:{PORT}")


@pytest.mark.parametrize("name", ["anonymous", "pinned", "stranger"])
def test_where_either_end_is_another_nothing_is_sent(edge: EgressGateway, name: str) -> None:
    before = len(edge.records())
    answer = edge.ask(ask(f"/{name}"), WEB)
    assert (status_of(answer), b"upstream_tls_failed" in answer) == (503, True), answer
    record = edge.decision(after=before, host=HOST)
    assert (record["decision"], record["reason"]) == ("failed", "upstream_tls_failed")


def test_a_rule_bounds_the_bytes_of_a_request(edge: EgressGateway, outside: Outside) -> None:
    before = len(outside.requests)
    with edge.connect(WEB) as client:
        client.sendall(b"POST /bytes?wait HTTP/1.1\r\nHost: api.internal\r\nContent-Length: 10000000\r\n\r\n")
        try:
            for _ in range(1000):
                # Whatever piece of it the host outside gets, it waits for more.
                client.sendall(b"?wait " * 200)
                time.sleep(0.001)
        except OSError:
            pass
    [end] = eventually(lambda: ends(edge, rule="bytes", reason="egress_limit"), within=5, what="the end")
    assert MOST <= end["bytes_received"] < 20 * MOST
    sent = sum(len(head) for _, head in outside.requests[before:])
    assert sent < 20 * MOST


def test_a_burst_does_not_pass_the_bound_on_bytes(edge: EgressGateway, outside: Outside) -> None:
    """All of it is there before anybody could have counted."""
    before = len(outside.requests)
    with edge.connect(WEB) as client:
        client.sendall(b"POST /bytes?wait HTTP/1.1\r\nHost: api.internal\r\nContent-Length: 4000000\r\n\r\n")
        with contextlib.suppress(OSError):
            client.sendall(b"?wait " * 600_000)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
    time.sleep(0.3)
    # A piece is passed on whole, and no piece after it.
    assert 0 < sum(len(head) for _, head in outside.requests[before:]) <= MOST + 256 * 1024


def test_a_rule_bounds_the_duration_of_a_request(edge: EgressGateway) -> None:
    began = time.monotonic()
    assert status_of(edge.ask(ask("/time?wait"), WEB)) == 429
    assert 0.5 < time.monotonic() - began < 6
    eventually(lambda: ends(edge, rule="time", reason="egress_limit"), within=5, what="the end")


def test_a_rule_bounds_requests_at_once(edge: EgressGateway) -> None:
    with edge.connect(WEB) as waiting:
        waiting.sendall(ask("/one?wait"))
        edge.decision(host="one.example", decision="allow")
        answer = edge.ask(ask("/one"), WEB)
        assert (status_of(answer), b"egress_limit" in answer) == (429, True), answer
    eventually(lambda: status_of(edge.ask(ask("/one"), WEB)) == 200, within=5, what="room again")
