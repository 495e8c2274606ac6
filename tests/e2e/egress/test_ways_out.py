"""The three ways out with real clients: allowed, denied, in Report mode; and what changes do to open tunnels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import HTTP, TLS, EgressGateway, egress_policy, over_tls, status_of, ways_out
from tests.support.outside import OTHER_PUBLIC, PRIVATE, PUBLIC, Outside
from tests.support.waiting import eventually

BASE = egress_policy(
    "base",
    {"name": "ok", "to": [{"names": ["ok.example", "alias-ok.example", "*.ok.example"]}]},
    {"name": "none-of-it", "action": "Deny", "to": [{"names": ["bad.ok.example"]}]},
    {"name": "intranet", "to": [{"names": ["**.corp.example"]}], "addressBlocks": ["10.0.0.0/8"]},
    {
        "name": "narrow",
        "to": [{"names": ["other.example"], "ports": [80], "methods": ["GET"], "pathPrefixes": ["/v1"]}],
    },
    {"name": "small", "to": [{"names": ["ok.example"], "ports": [8443]}], "limits": {"connections": 1}},
    contact="security@example.com",
)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    with EgressGateway(outside, directory / "ways", ways_out(BASE)) as running:
        yield running


def curl(gateway: EgressGateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", gateway.outside.inside.name, "curl", "-sS", "-m", "10", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def test_curl_goes_out_by_the_proxy(gateway: EgressGateway, authority_file: Path) -> None:
    proxy = ("-x", "http://127.0.0.1:3128")
    answered = curl(gateway, *proxy, "--cacert", str(authority_file), "https://ok.example/")
    assert answered.stdout == f"outside {PUBLIC}", answered.stderr
    assert curl(gateway, *proxy, "http://ok.example/").stdout == f"outside {PUBLIC}"
    record = gateway.decision(host="ok.example", port=443, decision="allow")
    assert (record["policy"], record["rule"], record["dialled"]) == ("default/base", "ok", f"{PUBLIC}:443")
    assert record["proved_by"] == "address"


def test_who_is_denied_hears_the_policy_and_whom_to_ask(gateway: EgressGateway) -> None:
    answered = curl(gateway, "-x", "http://127.0.0.1:3128", "http://evil.example/")
    assert answered.stdout.startswith("egress_denied: ")
    assert "default/base; ask security@example.com" in answered.stdout
    assert (
        "CONNECT tunnel failed, response 403"
        in curl(gateway, "-x", "http://127.0.0.1:3128", "https://evil.example/").stderr
    )


def test_redirected_connections_go_where_they_say(gateway: EgressGateway, authority_file: Path) -> None:
    assert f"outside {PUBLIC}".encode() in over_tls(gateway.connect(TLS), "ok.example", authority_file)
    assert f"outside {PUBLIC}".encode() in over_tls(gateway.connect(TLS), "alias-ok.example", authority_file)
    with gateway.connect(HTTP) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert f"outside {PUBLIC}".encode() in client.recv(65536)
    assert b"egress_denied" in gateway.ask(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", HTTP)


def test_a_rule_may_permit_a_private_range(gateway: EgressGateway, authority_file: Path) -> None:
    client, answer = gateway.tunnel("intranet.corp.example:443")
    assert status_of(answer) == 200
    assert f"outside {PRIVATE}".encode() in over_tls(client, "intranet.corp.example", authority_file)


def test_a_denial_wins_and_a_wildcard_is_one_label(gateway: EgressGateway) -> None:
    for target, status in (
        ("bad.ok.example:443", 403),
        ("deep.sub.ok.example:443", 403),
        ("nowhere.ok.example:443", 502),
    ):
        client, answer = gateway.tunnel(target)
        client.close()
        assert status_of(answer) == status, target


def test_methods_and_paths_count_where_requests_are_seen(gateway: EgressGateway) -> None:
    def ask(method: str, path: str) -> bytes:
        return gateway.ask(f"{method} http://other.example{path} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode())

    assert f"outside {OTHER_PUBLIC}".encode() in ask("GET", "/v1/things")
    assert status_of(ask("POST", "/v1/things")) == 403
    assert status_of(ask("GET", "/v10")) == 403
    assert status_of(ask("GET", "/v1/../admin")) == 403
    client, answer = gateway.tunnel("other.example:80")
    client.close()
    assert status_of(answer) == 403


def test_a_rule_has_so_many_connections_and_no_more(gateway: EgressGateway) -> None:
    first, answer = gateway.tunnel("ok.example:8443")
    assert status_of(answer) == 200
    second, answer = gateway.tunnel("ok.example:8443")
    second.close()
    assert (status_of(answer), b"egress_limit" in answer) == (429, True)
    first.close()

    def admitted() -> bool:
        again, answer = gateway.tunnel("ok.example:8443")
        again.close()
        return status_of(answer) == 200

    eventually(admitted, within=10)
