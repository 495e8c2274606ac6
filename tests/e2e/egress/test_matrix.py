"""Every way out: what a policy allows, what none does, and what one in Report mode would deny."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import HTTP, PROXY, TLS, EgressGateway, egress_policy, over_tls, read_answer, ways_out
from tests.support.manifests import external_backend, external_ref, http_listener, http_route, path_match, rule
from tests.support.outside import OTHER_PUBLIC, PUBLIC, Outside

ENFORCED, TRIED = "127.0.0.1", "127.0.0.2"
"""Where clients come from: the one under a policy in force, the other under one in Report mode."""
OK, OTHER = "ok.example", "other.example"
POLICIES = (
    egress_policy("base", {"name": "ok", "from": [{"ipBlocks": [ENFORCED]}], "to": [{"names": [OK]}]}),
    egress_policy("trial", {"name": "ok", "from": [{"ipBlocks": [TRIED]}], "to": [{"names": [OK]}]}, mode="Report"),
)
WAYS = {"connect": "Proxy", "absolute": "Proxy", "server-name": "TLS", "host": "HTTP", "route": "Route"}
ROUTES = 8080
# Source and destination; decision, mode, and whether it would be denied.
CASES = {
    "allow": ((ENFORCED, OK), ("allow", "Enforce", False)),
    "deny": ((ENFORCED, OTHER), ("deny", "Enforce", False)),
    "report, allowed": ((TRIED, OK), ("allow", "Report", False)),
    "report, would be denied": ((TRIED, OTHER), ("allow", "Report", True)),
}


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    backends = [external_backend(host.partition(".")[0], host, 80) for host in (OK, OTHER)]
    rules = [
        rule(external_ref(name), matches=[path_match(f"/{name}")])
        for name in (it["metadata"]["name"] for it in backends)
    ]
    manifests = ways_out(*POLICIES, http_route("out", *rules), *backends)
    (edge,) = (one for one in manifests if one["kind"] == "Gateway")
    edge["spec"]["listeners"].append(http_listener(ROUTES, "routes"))
    with EgressGateway(outside, directory / "matrix", manifests) as running:
        yield running


def go(gateway: EgressGateway, way: str, source: str, host: str, authority_file: Path) -> bytes:
    """What a client gets back, by a way out; what it cannot get is nothing."""
    port = {"connect": PROXY, "absolute": PROXY, "server-name": TLS, "host": HTTP, "route": ROUTES}[way]
    with gateway.connect(port, source=source) as client:
        try:
            if way == "connect":
                client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
                answer = read_answer(client)
                return over_tls(client, host, authority_file) if b" 200 " in answer else answer
            if way == "server-name":
                return over_tls(client, host, authority_file)
            target = {"absolute": f"http://{host}/", "route": f"/{host.partition('.')[0]}"}.get(way, "/")
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
    port = 443 if way in ("connect", "server-name") else 80
    if decision == "allow":
        assert f"outside {address}".encode() in answer
        assert {where for _, where in gateway.outside.heard[heard:]} == {address}
    else:
        assert b"outside" not in answer
        assert gateway.outside.heard[heard:] == []
    record = gateway.decision(host=host, port=port, way=WAYS[way], decision=decision, mode=mode, would_deny=would_deny)
    assert record["source"].startswith(f"{source}:")
    assert len(gateway.records()) > before
