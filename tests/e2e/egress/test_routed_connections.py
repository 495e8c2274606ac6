"""Connections of routes that lead outside: TCPRoute and TLSRoute to an XBackend, under the listener's policies."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import mutual_host
from tests.support.certificates import Authority
from tests.support.egress import PROXY, EgressGateway, egress_policy, over_tls, read_answer
from tests.support.manifests import (
    GATEWAY_API,
    Manifest,
    authority_config_map,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    manifest,
    parent,
    rule,
    tls_secret,
)
from tests.support.outside import NAME_SERVER, OTHER_PUBLIC, PRIVATE, PUBLIC, Outside
from tests.support.waiting import eventually

OPEN, THROUGH, ENDED = 8081, 9443, 9444
MUTUAL = ("mutual.example", 8450)
TRIED, OTHERS = "127.0.0.3", "127.0.0.1"
BYTES = 20_000


class Way(NamedTuple):
    """Where a TCPRoute leads, or a TLSRoute with a server name. ``tls``: the part of the XBackend."""

    host: str
    port: int
    tls: Manifest | None = None


def begins(name: str, authority: str = "outside", client: str = "") -> Manifest:
    """TLS that the gateway begins, and the name and the authority that it is verified by."""
    reference = {"group": "", "kind": "ConfigMap", "name": authority}
    tls: Manifest = {"mode": "ServerOnly", "validation": {"hostname": name, "caCertificateRefs": [reference]}}
    return tls | ({"mode": "ClientAndServer", "clientCertificateRef": {"name": client}} if client else {})


WAYS = {
    "plain": Way("ok.example", 80),
    "hello": Way("ok.example", 443),
    "tls": Way("ok.example", 443, begins("ok.example")),
    "mutual": Way(*MUTUAL, begins(MUTUAL[0], client="client")),
    "anonymous": Way(*MUTUAL, begins(MUTUAL[0])),
    "pinned": Way("ok.example", 443, begins("ok.example", authority="another")),
    "bytes": Way("bytes.example", 80),
    "time": Way("time.example", 80),
    "one": Way("one.example", 80),
    "permitted": Way("private-10.special.example", 80),
}
"""Each by a TCPRoute of a listener of its own, and by the name ``*.in.example`` of a listener that ends TLS."""
REFUSED = {
    "denied": (Way("evil.example", 80), "egress_denied"),
    "port": (Way("ok.example", 22), "egress_denied"),
    "private": (Way("intranet.corp.example", 80), "egress_address_prohibited"),
    "metadata": (Way("metadata.special.example", 80), "egress_address_prohibited"),
    "mapped": (Way("v6-mapped-metadata.special.example", 80), "egress_address_prohibited"),
    "mixed": (Way("mixed.example", 80), "egress_address_prohibited"),
    "alias": (Way("alias-private.example", 80), "egress_address_prohibited"),
    "gateway": (Way("gateway.special.example", 80), "egress_address_prohibited"),
    "loopback": (Way("loopback.special.example", 80), "egress_address_prohibited"),
    "nowhere": (Way("nowhere.ok.example", 80), "egress_name_unresolved"),
    "sni": (Way("ok.example", 443, begins("other.example")), "egress_name_mismatch"),
}
PASSED = {
    "ok.example": Way("ok.example", 443),
    "fronted.example": Way("ok.example", 443),
    "other.example": Way("other.example", 443),
    "metadata.special.example": Way("metadata.special.example", 443),
    "turning.example": Way("turning.example", 443),
}
"""By the server name that a client asks for, on a listener that passes TLS through."""
PORTS = {name: 9500 + number for number, name in enumerate([*WAYS, *REFUSED, "turning"])}

RAW: Mapping[str, Any] = {"ports": [80], "protocols": ["TCP"]}
BASE = egress_policy(
    "base",
    {"name": "tls", "to": [{"names": ["ok.example", "fronted.example", "turning.example"]}]},
    {"name": "mutual", "to": [{"names": [MUTUAL[0]], "ports": [MUTUAL[1]]}]},
    {"name": "raw", "to": [{"names": ["ok.example", "**.ok.example", "mixed.example", "alias-private.example",
                                      "turning.example", "*.corp.example", "*.special.example"], **RAW}]},
    {"name": "metadata", "to": [{"names": ["metadata.special.example"]}]},
    {"name": "ten", "to": [{"names": ["private-10.special.example"], **RAW}], "addressBlocks": ["10.9.9.9/32"]},
    {"name": "bytes", "to": [{"names": ["bytes.example"], **RAW}], "limits": {"bytes": BYTES}},
    {"name": "time", "to": [{"names": ["time.example"], **RAW}], "limits": {"duration": "1s"}},
    {"name": "one", "to": [{"names": ["one.example"], **RAW}], "limits": {"connections": 1}},
    contact="security@example.com",
)  # fmt: skip
TRIAL = egress_policy(
    "trial", {"name": "none", "from": [{"ipBlocks": [TRIED]}], "to": [{"names": ["a.test"]}]}, mode="Report"
)
# The same but for `ok.example` in the clear.
LESS = egress_policy("base", *(rule for rule in BASE["spec"]["rules"] if rule["name"] != "raw"))


def attached(kind: str, name: str, section: str, hosts: list[str] | None = None, backend: str = "") -> Manifest:
    spec: Manifest = {"parentRefs": [parent(section=section)], "rules": [rule(external_ref(backend or name))]}
    return manifest(GATEWAY_API, kind, name, spec=spec | ({"hostnames": hosts} if hosts else {}))


def outward(name: str, way: Way) -> Manifest:
    backend = external_backend(name, way.host, way.port, None if way.tls else "TCP")
    backend["spec"] |= {"tls": way.tls} if way.tls else {}
    return backend


def manifests(authority: Authority, *policies: Manifest) -> list[Manifest]:
    ways = WAYS | {name: way for name, (way, _) in REFUSED.items()} | {"turning": Way("turning.example", 80)}
    listeners: list[Manifest] = [{"name": name, "port": port, "protocol": "TCP"} for name, port in PORTS.items()]
    listeners += [
        {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "through", "port": THROUGH, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
        {
            "name": "ended",
            "port": ENDED,
            "protocol": "TLS",
            "hostname": "*.in.example",
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": "internal"}]},
        },
    ]
    return [
        gateway_class(),
        gateway(*listeners, parameters="edge"),
        gateway({"name": "open", "port": OPEN, "protocol": "TCP"}, name="open"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        authority_config_map("outside", authority.pem),
        authority_config_map("another", ANOTHER.pem),
        tls_secret("internal", authority.issue("*.in.example")),
        tls_secret("client", authority.issue("gateway.example")),
        *(outward(name, way) for name, way in ways.items()),
        *(attached("TCPRoute", name, name) for name in ways),
        *(attached("TLSRoute", f"{name}-ended", "ended", [f"{name}.in.example"], name) for name in ways),
        *(outward(f"through-{number}", way) for number, way in enumerate(PASSED.values())),
        *(attached("TLSRoute", f"through-{number}", "through", [name]) for number, name in enumerate(PASSED)),
        manifest(
            GATEWAY_API,
            "TCPRoute",
            "open",
            spec={"parentRefs": [parent("open")], "rules": [rule(external_ref("plain"))]},
        ),
        *policies,
    ]


ANOTHER = Authority("Another authority")


@pytest.fixture(scope="module")
def edge(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    """With a host that asks for certificates."""
    outside.zone |= {f"{name}.example": [PUBLIC] for name in ("mutual", "bytes", "time", "one", "fronted")}
    context = authority.issue(MUTUAL[0]).server_context(directory)
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with (
        mutual_host.serving((PUBLIC, MUTUAL[1]), context, outside.beyond.run),
        EgressGateway(outside, directory / "carried", manifests(authority, BASE, TRIAL)) as running,
    ):
        yield running


def ask(client: socket.socket) -> bytes:
    client.sendall(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
    answer = read_answer(client)
    return answer if not answer.endswith(b"\r\n\r\n") else answer + client.recv(65536)


def by_tcp(edge: EgressGateway, name: str, source: str = "") -> bytes:
    with edge.connect(PORTS[name], source) as client:
        return ask(client)


def by_tls(edge: EgressGateway, name: str, authority: Authority) -> bytes:
    """Through the listener that ends TLS."""
    context = authority.client_context()
    with edge.connect(ENDED) as client, context.wrap_socket(client, server_hostname=f"{name}.in.example") as stream:
        try:
            return ask(stream)
        except OSError:
            return b""


ANSWERS = {"plain": f"outside {PUBLIC}", "tls": f"outside {PUBLIC}", "mutual": "hello gateway.example"}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_tcp_route_leads_outside(edge: EgressGateway, name: str) -> None:
    before = len(edge.records())
    assert ANSWERS[name].encode() in by_tcp(edge, name)
    way = WAYS[name]
    record = edge.decision(after=before, host=way.host, port=way.port, decision="allow")
    assert (record["way"], record["listener"]) == ("Route", f"default/edge/{name}")
    assert (record["dialled"], record["policy"]) == (f"{PUBLIC}:{way.port}", "default/base")

    def end() -> list[dict[str, Any]]:
        ends = [one for one in edge.records() if one["record"] == "egress_end" and one["id"] == record["id"]]
        return [one for one in ends if one["bytes_received"] > 0 and one["bytes_sent"] > 0]

    assert eventually(end, within=5, what="the record of the end")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_tls_route_that_ends_tls_leads_outside(edge: EgressGateway, authority: Authority, name: str) -> None:
    before = len(edge.records())
    assert ANSWERS[name].encode() in by_tls(edge, name, authority)
    record = edge.decision(after=before, host=WAYS[name].host, decision="allow")
    assert (record["way"], record["listener"]) == ("Route", "default/edge/ended")


def test_a_tls_route_passes_through_to_the_name_that_the_client_asks_for(
    edge: EgressGateway, authority_file: Path
) -> None:
    before = len(edge.records())
    with edge.connect(THROUGH) as client:
        assert f"outside {PUBLIC}".encode() in over_tls(client, "ok.example", authority_file)
    record = edge.decision(after=before, host="ok.example", port=443, decision="allow")
    assert (record["listener"], record["dialled"]) == ("default/edge/through", f"{PUBLIC}:443")


@pytest.mark.parametrize("name", ["anonymous", "pinned"])
def test_who_shows_no_certificate_or_one_of_another_authority_is_no_destination(
    edge: EgressGateway, outside: Outside, authority: Authority, name: str
) -> None:
    """What the client sent reaches nobody."""
    before = len(outside.requests)
    assert by_tcp(edge, name) == b""
    assert by_tls(edge, name, authority) == b""
    assert len(outside.requests) == before


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_reached_is_not(edge: EgressGateway, outside: Outside, authority: Authority, name: str) -> None:
    before, records = len(outside.reached), len(edge.records())
    way, reason = REFUSED[name]
    assert by_tcp(edge, name) == b""
    record = edge.decision(after=records, host=way.host, port=way.port, reason=reason)
    assert record["listener"] == f"default/edge/{name}"
    assert by_tls(edge, name, authority) == b""
    edge.decision(after=records, host=way.host, listener="default/edge/ended", reason=reason)
    assert len(outside.reached) == before


THROUGH_REFUSED = {
    "fronted.example": ("ok.example", "egress_name_mismatch"),
    "other.example": ("other.example", "egress_denied"),
    "metadata.special.example": ("metadata.special.example", "egress_address_prohibited"),
}


@pytest.mark.parametrize("name", THROUGH_REFUSED)
def test_what_passes_through_must_ask_for_the_name_that_it_goes_to(
    edge: EgressGateway, outside: Outside, authority_file: Path, name: str
) -> None:
    before, records = len(outside.reached), len(edge.records())
    with edge.connect(THROUGH) as client, pytest.raises((ssl.SSLError, ConnectionError)):
        over_tls(client, name, authority_file)
    host, reason = THROUGH_REFUSED[name]
    edge.decision(after=records, host=host, listener="default/edge/through", decision="deny", reason=reason)
    assert len(outside.reached) == before


def test_what_no_rule_for_tcp_allows_must_turn_out_to_be_tls_with_that_name(
    edge: EgressGateway, outside: Outside, authority_file: Path
) -> None:
    with edge.connect(PORTS["hello"]) as client:
        assert f"outside {PUBLIC}".encode() in over_tls(client, "ok.example", authority_file)
    before = len(outside.reached)
    assert by_tcp(edge, "hello") == b""
    edge.decision(host="ok.example", listener="default/edge/hello", decision="deny", reason="egress_not_tls")
    with edge.connect(PORTS["hello"]) as client, pytest.raises((ssl.SSLError, ConnectionError)):
        over_tls(client, "other.example", authority_file)
    edge.decision(host="ok.example", listener="default/edge/hello", decision="deny", reason="egress_name_mismatch")
    assert len(outside.reached) == before


EXPLAINED = {
    f"tcp://127.0.0.1:{PORTS['plain']}": ("route", "via_upstream", "TCP", False),
    f"tcp://127.0.0.1:{PORTS['hello']}": ("route", "via_upstream", "TCP", True),
    f"tcp://127.0.0.1:{PORTS['tls']}": ("route", "via_upstream", "TLS", False),
    f"tcp://127.0.0.1:{PORTS['denied']}": ("denied", "egress_denied", "TCP", False),
    f"tcp://127.0.0.1:{PORTS['sni']}": ("denied", "egress_name_mismatch", "TLS", False),
    f"tls://mutual.in.example:{ENDED}": ("route", "via_upstream", "TLS", False),
    f"tls://denied.in.example:{ENDED}": ("denied", "egress_denied", "TCP", False),
    f"tls://ok.example:{THROUGH}": ("route", "via_upstream", "TLS", True),
    f"tls://fronted.example:{THROUGH}": ("denied", "egress_name_mismatch", "TLS", True),
    f"tls://other.example:{THROUGH}": ("denied", "egress_denied", "TLS", False),
}


@pytest.mark.parametrize("url", EXPLAINED)
def test_explain_says_of_a_connection_what_the_gateway_does(edge: EgressGateway, url: str) -> None:
    said = json.loads(edge.admin(f"/explain?url={url}").partition("\r\n\r\n")[2])
    [outside] = said["destinations"]
    found = (said["decision"], said["code"], outside["protocol"], outside["must_ask_for_host"])
    assert found == EXPLAINED[url]


def test_a_rule_may_permit_a_private_address(edge: EgressGateway) -> None:
    assert f"outside {PRIVATE}".encode() in by_tcp(edge, "permitted")


def test_a_name_that_turns_between_addresses_never_leads_to_the_private_one(
    edge: EgressGateway, outside: Outside
) -> None:
    before = len(outside.reached)
    for _ in range(4):
        by_tcp(edge, "turning")
    assert {address for address, _ in outside.reached[before:]} <= {PUBLIC}


def test_a_policy_that_reports_lets_through_what_it_would_deny(edge: EgressGateway, outside: Outside) -> None:
    outside.zone["evil.example"] = [OTHER_PUBLIC]
    before = len(edge.records())
    assert f"outside {OTHER_PUBLIC}".encode() in by_tcp(edge, "denied", TRIED)
    record = edge.decision(after=before, host="evil.example", decision="allow")
    assert (record["would_deny"], record["mode"]) == (True, "Report")
    # The guard denies whatever a policy reports.
    assert by_tcp(edge, "metadata", TRIED) == b""
    edge.decision(after=before, host="metadata.special.example", reason="egress_address_prohibited")
    assert by_tcp(edge, "denied") == b""


def test_a_rule_bounds_bytes_and_time(edge: EgressGateway) -> None:
    received = 0
    with edge.connect(PORTS["bytes"]) as client:
        try:
            while received < 10 * BYTES and (piece := ask(client)):
                received += len(piece)
        except OSError:
            pass
    assert received < BYTES
    began = time.monotonic()
    with edge.connect(PORTS["time"]) as client:
        assert ask(client)
        assert client.recv(1) == b""
    assert 0.5 < time.monotonic() - began < 6

    def ended() -> bool:
        ends = [record for record in edge.records() if record["record"] == "egress_end"]
        return {end["rule"] for end in ends if end["reason"] == "egress_limit"} == {"bytes", "time"}

    eventually(ended, within=5, what="both ends")


def test_a_rule_bounds_connections(edge: EgressGateway) -> None:
    with edge.connect(PORTS["one"]) as first:
        assert ask(first)
        assert by_tcp(edge, "one") == b""
        edge.decision(host="one.example", decision="deny", reason="egress_limit")
    eventually(lambda: by_tcp(edge, "one") != b"", within=5, what="room again")


def test_a_listener_that_no_policy_speaks_for_asks_none(edge: EgressGateway) -> None:
    before = len(edge.records())
    with edge.connect(OPEN) as client:
        # The system's resolver, which is not told of these names, is asked as for every other route.
        assert ask(client) == b""
    assert by_tcp(edge, "denied") == b""
    edge.decision(after=before, host="evil.example", decision="deny")
    assert "default/open/open" not in {record["listener"] for record in edge.records()}


def test_what_is_no_longer_allowed_is_closed_and_the_rest_goes_on(
    edge: EgressGateway, authority: Authority, authority_file: Path
) -> None:
    context = ssl.create_default_context(cafile=str(authority_file))
    with (
        edge.connect(PORTS["plain"]) as cut,
        edge.connect(PORTS["mutual"]) as kept,
        context.wrap_socket(edge.connect(THROUGH), server_hostname="ok.example") as through,
    ):
        for client in (cut, kept, through):
            assert ask(client)
        edge.write(manifests(authority, LESS))
        began = time.monotonic()
        assert cut.recv(1) == b""
        # The manifests are read in that time as well.
        assert time.monotonic() - began < 1
        assert ask(kept)
        assert ask(through)

        def revoked() -> list[dict[str, Any]]:
            ends = [record for record in edge.records() if record["record"] == "egress_end"]
            return [end for end in ends if end["reason"] == "egress_revoked"]

        assert [end["listener"] for end in eventually(revoked, within=5, what="the end")] == ["default/edge/plain"]
        assert by_tcp(edge, "plain") == b""
    edge.write(manifests(authority, BASE, TRIAL))
    eventually(lambda: by_tcp(edge, "plain") != b"", within=10, what="the policy is back")
