"""Every way out: what a policy allows, what none does, and what one in Report mode would deny."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.egress import HTTP, PROXY, TLS, EgressGateway, egress_policy, over_tls, read_answer, ways_out
from tests.support.manifests import (
    GATEWAY_API,
    Manifest,
    authority_config_map,
    external_backend,
    external_ref,
    http_listener,
    http_route,
    manifest,
    parent,
    path_match,
    rule,
    tls_secret,
)
from tests.support.outside import OTHER_PUBLIC, PUBLIC, Outside

ENFORCED, TRIED = "127.0.0.1", "127.0.0.2"
"""Where clients come from: the one under a policy in force, the other under one in Report mode."""
OK, OTHER = "ok.example", "other.example"
POLICIES = (
    egress_policy("base", {"name": "ok", "from": [{"ipBlocks": [ENFORCED]}], "to": [{"names": [OK]}]}),
    egress_policy("trial", {"name": "ok", "from": [{"ipBlocks": [TRIED]}], "to": [{"names": [OK]}]}, mode="Report"),
)
WAYS = {
    "connect": "Proxy",
    "absolute": "Proxy",
    "server-name": "TLS",
    "host": "HTTP",
    "route": "Route",
    "tcp-route": "Route",
    "tls-route-passthrough": "Route",
    "tls-route-terminate": "Route",
}
ROUTES, PASSED, ENDED = 8080, 9443, 9444
CARRIED = {OK: 9001, OTHER: 9002}
"""Ports of the listeners with a TCPRoute, by where it leads."""
IN_THE_CLEAR = ("absolute", "host", "route")
# Source and destination; decision, mode, and whether it would be denied.
CASES = {
    "allow": ((ENFORCED, OK), ("allow", "Enforce", False)),
    "deny": ((ENFORCED, OTHER), ("deny", "Enforce", False)),
    "report, allowed": ((TRIED, OK), ("allow", "Report", False)),
    "report, would be denied": ((TRIED, OTHER), ("allow", "Report", True)),
}


def short(host: str) -> str:
    return host.partition(".")[0]


def carried() -> Iterator[Manifest]:
    """Routes of connections: of TCP, of TLS that passes through, and of TLS that ends and begins anew."""

    def route(kind: str, host: str, section: str, name: str = "") -> Manifest:
        spec: Manifest = {"parentRefs": [parent(section=section)]}
        backend = f"{short(host)}-{'begun' if section == 'ended' else 'tls'}"
        spec |= {"rules": [rule(external_ref(backend))]} | ({"hostnames": [name]} if name else {})
        return manifest(GATEWAY_API, kind, f"{short(host)}-{section}", spec=spec)

    for host in (OK, OTHER):
        yield external_backend(f"{short(host)}-tls", host, 443)
        begun = external_backend(f"{short(host)}-begun", host, 443)
        trust = {"group": "", "kind": "ConfigMap", "name": "outside"}
        begun["spec"]["tls"] = {"mode": "ServerOnly", "validation": {"hostname": host, "caCertificateRefs": [trust]}}
        yield begun
        yield route("TCPRoute", host, f"tcp-{short(host)}")
        yield route("TLSRoute", host, "passed", host)
        yield route("TLSRoute", host, "ended", inner(host))


def inner(host: str) -> str:
    """The name by which a client asks for it where the gateway ends TLS."""
    return f"{short(host)}.in.example"


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    backends = [external_backend(short(host), host, 80) for host in (OK, OTHER)]
    rules = [rule(external_ref(short(host)), matches=[path_match(f"/{short(host)}")]) for host in (OK, OTHER)]
    manifests = ways_out(
        *POLICIES,
        http_route("out", *rules, parents=[parent(section="routes")]),
        *backends,
        *carried(),
        authority_config_map("outside", authority.pem),
        tls_secret("inner", authority.issue(inner(OK), inner(OTHER))),
    )
    (edge,) = (one for one in manifests if one["kind"] == "Gateway")
    edge["spec"]["listeners"] += [
        http_listener(ROUTES, "routes"),
        *({"name": f"tcp-{short(host)}", "port": port, "protocol": "TCP"} for host, port in CARRIED.items()),
        {"name": "passed", "port": PASSED, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
        {"name": "ended", "port": ENDED, "protocol": "TLS", "tls": {"certificateRefs": [{"name": "inner"}]}},
    ]
    with EgressGateway(outside, directory / "matrix", manifests) as running:
        yield running


def go(gateway: EgressGateway, way: str, source: str, host: str, authority_file: Path) -> bytes:
    """What a client gets back, by a way out; what it cannot get is nothing."""
    ports = {"connect": PROXY, "absolute": PROXY, "server-name": TLS, "host": HTTP, "route": ROUTES}
    ports |= {"tcp-route": CARRIED[host], "tls-route-passthrough": PASSED, "tls-route-terminate": ENDED}
    port = ports[way]
    with gateway.connect(port, source=source) as client:
        try:
            if way == "connect":
                client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
                answer = read_answer(client)
                return over_tls(client, host, authority_file) if b" 200 " in answer else answer
            if way not in IN_THE_CLEAR:
                return over_tls(client, inner(host) if way == "tls-route-terminate" else host, authority_file)
            target = {"absolute": f"http://{host}/", "route": f"/{short(host)}"}.get(way, "/")
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return client.recv(65536)
        except OSError:
            return b""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_a_way_out(gateway: EgressGateway, authority_file: Path, way: str, case: str) -> None:
    (source, host), (decision, mode, would_deny) = CASES[case]
    heard, before = len(gateway.outside.heard), len(gateway.records())
    answer = go(gateway, way, source, host, authority_file)
    address = {OK: PUBLIC, OTHER: OTHER_PUBLIC}[host]
    port = 80 if way in IN_THE_CLEAR else 443
    if decision == "allow":
        assert f"outside {address}".encode() in answer
        assert {where for _, where in gateway.outside.heard[heard:]} == {address}
    else:
        assert b"outside" not in answer
        assert gateway.outside.heard[heard:] == []
    wanted = {"decision": decision, "mode": mode, "would_deny": would_deny}
    record = gateway.decision(after=before, host=host, port=port, way=WAYS[way], **wanted)
    assert record["source"].startswith(f"{source}:")
