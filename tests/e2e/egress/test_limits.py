"""Roles that are open, denials that nothing overrides, bounds of rules, clients that are slow or ask for too much."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.open_tunnels import connect_status
from tests.support.outside import OTHER_PUBLIC, Outside
from tests.support.waiting import eventually

OPEN, TRIED, OTHERS = "127.0.0.2", "127.0.0.3", "127.0.0.1"
NAMES = 6_000
"""More than a worker remembers."""
POLICIES = (
    egress_policy(
        "open",
        {"name": "all", "from": [{"ipBlocks": [OPEN]}], "to": [{"names": ["*"], "ports": [80], "protocols": ["TCP"]}]},
        acknowledge=["AllowsEveryName"],
    ),
    egress_policy(
        "trial", {"name": "none", "from": [{"ipBlocks": [TRIED]}], "to": [{"names": ["a.test"]}]}, mode="Report"
    ),
    egress_policy(
        "everybody", {"name": "ok", "to": [{"names": ["*.ok.example"], "ports": [80], "protocols": ["TCP"]}]}
    ),
    egress_policy(
        "never",
        {"name": "malicious", "action": "Deny", "to": [{"names": ["**.bad.example"]}]},
        {"name": "range", "action": "Deny", "to": [{"ipBlocks": [f"{OTHER_PUBLIC}/32"]}]},
    ),
    egress_policy(
        "bounded",
        {
            "name": "bytes",
            "to": [{"names": ["ok.example"], "ports": [80], "protocols": ["TCP"]}],
            "limits": {"bytes": 2000},
        },
        {
            "name": "requests",
            "to": [{"names": ["alias-ok.example"], "ports": [80], "protocols": ["HTTP"]}],
            "limits": {"bytes": 2000},
        },
        {
            "name": "time",
            "to": [{"names": ["ok.example"], "ports": [443], "protocols": ["TCP"]}],
            "limits": {"duration": "1s"},
        },
    ),
)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    outside.zone["very.bad.example"] = outside.zone["ok.example"]
    manifests = ways_out(*POLICIES)
    (parameters,) = (one for one in manifests if one["kind"] == "GatewayParameters")
    parameters["spec"]["limits"] = {"requestHeadTimeout": "1s"}
    with EgressGateway(outside, directory / "limits", manifests) as running:
        yield running


def connect(gateway: EgressGateway, source: str, target: str) -> int:
    client, answer = gateway.tunnel(target, source=source)
    client.close()
    return status_of(answer)


def test_a_role_may_be_open_and_is_guarded_nevertheless(gateway: EgressGateway) -> None:
    assert connect(gateway, OPEN, "alias-ok.example:80") == 200
    assert connect(gateway, OPEN, "nowhere.example:80") == 502
    assert connect(gateway, OPEN, "metadata.special.example:80") == 403
    assert connect(gateway, OPEN, "10.9.9.9:80") == 403


@pytest.mark.parametrize("source", [OPEN, TRIED, OTHERS])
def test_a_denial_of_a_name_or_a_range_overrides_every_role(gateway: EgressGateway, source: str) -> None:
    assert connect(gateway, source, "very.bad.example:80") == 403
    assert connect(gateway, source, "other.example:80") == 403


def test_who_has_no_role_has_what_everybody_has(gateway: EgressGateway) -> None:
    assert connect(gateway, OTHERS, "deep.ok.example:80") == 502
    assert connect(gateway, OTHERS, "intranet.corp.example:80") == 403


def test_a_rule_bounds_bytes_and_time(gateway: EgressGateway) -> None:
    client, answer = gateway.tunnel("ok.example:80")
    assert status_of(answer) == 200
    received = 0
    with client:
        while True:
            try:
                client.sendall(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
                piece = client.recv(65536)
            except OSError:
                break
            if not piece:
                break
            received += len(piece)
            assert received < 20_000, "nothing ends it"
    began = time.monotonic()
    client, answer = gateway.tunnel("ok.example:443")
    assert status_of(answer) == 200
    with client:
        assert client.recv(1) == b""
    assert 0.5 < time.monotonic() - began < 6

    def ended() -> bool:
        ends = [record for record in gateway.records() if record["record"] == "egress_end"]
        return {end["rule"] for end in ends if end["reason"] == "egress_limit"} == {"bytes", "time"}

    eventually(ended, within=5)


def heard_by(outside: Outside, connections: int) -> int:
    """Bytes that came to the outside since it had heard so many requests."""
    return sum(len(head) for _, head in outside.requests[connections:])


@pytest.mark.parametrize("opening", ["CONNECT", "CONNECT at once", "POST"])
def test_a_burst_does_not_pass_the_bound_on_bytes(gateway: EgressGateway, outside: Outside, opening: str) -> None:
    """All of it is there before anybody could have counted."""
    before = len(outside.requests)
    with gateway.connect() as client:
        if opening == "CONNECT":
            client.sendall(b"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example:80\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        elif opening == "CONNECT at once":
            client.sendall(b"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example:80\r\n\r\n" + b"a" * 20_000)
        else:
            head = b"POST http://alias-ok.example/ HTTP/1.1\r\nHost: alias-ok.example\r\nContent-Length: 2000000\r\n"
            client.sendall(head + b"\r\n")
        with contextlib.suppress(OSError):
            client.sendall(b"a" * 2_000_000)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
    if opening != "CONNECT at once":
        eventually(lambda: heard_by(outside, before) > 0, within=5)
    time.sleep(0.3)
    # Of a request a piece is passed on whole, and no piece after it.
    assert heard_by(outside, before) <= (2000 if opening != "POST" else 2000 + 256 * 1024)


def test_a_slow_connect_is_cut_off(gateway: EgressGateway) -> None:
    began = time.monotonic()
    with gateway.connect() as client:
        try:
            for byte in b"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example:80\r\n":
                client.sendall(bytes([byte]))
                time.sleep(0.1)
                if time.monotonic() - began > 8:
                    break
        except OSError:
            pass
        try:
            answer = client.recv(4096)
        except OSError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began < 6


def test_a_flood_of_names_costs_a_bounded_amount(gateway: EgressGateway) -> None:
    async def flood() -> set[int]:
        gate = asyncio.Semaphore(50)

        async def one(number: int) -> int:
            async with gate:
                return await connect_status(3128, f"n{number}.ok.example:80")

        return set(await asyncio.gather(*(one(number) for number in range(NAMES))))

    connect(gateway, OTHERS, "first.ok.example:80")
    before = gateway.process.resident_bytes()
    assert gateway.outside.inside.run(lambda: asyncio.run(flood()), within=90) == {502}
    grown = gateway.process.resident_bytes() - before
    assert grown < 12_000_000, f"{NAMES} names took {grown / 1e6:.1f} MB"
    assert connect(gateway, OPEN, "ok.example:80") == 200


def test_metrics_go_by_policy_and_rule(gateway: EgressGateway) -> None:
    assert connect(gateway, OPEN, "alias-ok.example:80") == 200

    def ask() -> str:
        with httpx.Client(trust_env=False, timeout=5) as client:
            return client.get("http://127.0.0.1:9901/metrics").text

    lines = [line for line in gateway.outside.inside.run(ask).splitlines() if line.startswith("sekisho_egress_")]
    assert any('policy="default/open",rule="all"' in line and 'decision="allow"' in line for line in lines)
    assert not any("ok.example" in line for line in lines)
