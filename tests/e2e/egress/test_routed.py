"""The routed way out: routes whose backend is an XBackend, under the same policies, guard and records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.egress import PROXY, EgressGateway, egress_policy, read_answer, status_of
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    backend,
    backend_ref,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    http_route,
    manifest,
    path_match,
    rule,
)
from tests.support.outside import METADATA, NAME_SERVER, OTHER_PUBLIC, PRIVATE, PUBLIC, Outside
from tests.support.waiting import eventually

WEB, OPEN = 8080, 8081
TOKEN = "a-token-that-is-for-the-backend-alone"
DESTINATIONS = {
    "ok": ("ok.example", 443),
    "plain": ("ok.example", 80),
    "other": ("other.example", 80),
    "denied": ("evil.example", 80),
    "port": ("ok.example", 8443),
    "private": ("intranet.corp.example", 80),
    "permitted": ("private-10.special.example", 80),
    "metadata": ("metadata.special.example", 80),
    "mapped": ("v6-mapped-metadata.special.example", 80),
    "mixed": ("mixed.example", 80),
    "alias": ("alias-private.example", 80),
    "gateway": ("gateway.special.example", 80),
    "loopback": ("loopback.special.example", 80),
    "turning": ("turning.example", 80),
    "nowhere": ("nowhere.ok.example", 80),
}
NAMES = [
    "ok.example",
    "**.ok.example",
    "*.special.example",
    "mixed.example",
    "alias-private.example",
    "turning.example",
]
BASE = egress_policy(
    "base",
    {"name": "all", "to": [{"names": [*NAMES, "intranet.corp.example"]}]},
    {"name": "narrow", "to": [{"names": ["other.example"], "methods": ["GET"], "pathPrefixes": ["/other/v1"]}]},
    {"name": "ten", "to": [{"names": ["private-10.special.example"]}], "addressBlocks": ["10.9.9.9/32"]},
    contact="security@example.com",
    targetRefs=[{"name": "edge", "sectionName": "web"}, {"name": "edge", "sectionName": "proxy"}],
)


def tls_to(name: str, hostname: str, server_name: str | None = None) -> Manifest:
    backend = external_backend(name, hostname, 443)
    authority = {"group": "", "kind": "ConfigMap", "name": "outside"}
    validation = {"hostname": server_name or hostname, "caCertificateRefs": [authority]}
    backend["spec"]["tls"] = {"mode": "ServerOnly", "validation": validation}
    return backend


def at(address: str, service: Manifest, endpoints: Manifest) -> list[Manifest]:
    """The Service with its endpoint at another address."""
    endpoints["endpoints"][0]["addresses"] = [address]
    return [service, endpoints]


def routed(authority: Authority, *policies: Manifest) -> list[Manifest]:
    host = {"type": "URLRewrite", "urlRewrite": {"hostname": "evil.example"}}
    copy = {"type": "RequestMirror", "requestMirror": {"backendRef": backend_ref("inside")}}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": external_ref("other")}}
    rules = [rule(external_ref(name), matches=[path_match(f"/{name}")]) for name in DESTINATIONS]
    extension = {"group": "sekisho.dev", "kind": "CredentialInjection", "name": "api"}
    credential = {"type": "ExtensionRef", "extensionRef": extension}
    rules += [
        rule(external_ref("ok"), matches=[path_match("/credential")], filters=[credential]),
        rule(external_ref("permitted"), matches=[path_match("/copied")], filters=[credential, copy]),
        rule(external_ref("plain"), matches=[path_match("/fronted")], filters=[host]),
        rule(external_ref("sni"), matches=[path_match("/sni")]),
        rule(external_ref("plain"), matches=[path_match("/mirrored")], filters=[mirror]),
    ]
    backends = [external_backend(name, *place) for name, place in DESTINATIONS.items() if name != "ok"]
    parameters = {"egress": {"nameservers": [NAME_SERVER]}}
    listeners = (
        {"name": "web", "port": WEB, "protocol": "HTTP"},
        {"name": "open", "port": OPEN, "protocol": "HTTP"},
        {"name": "proxy", "port": PROXY, "protocol": "sekisho.dev/EgressProxy"},
    )
    return [
        gateway_class(),
        gateway(*listeners, parameters="edge"),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec=parameters),
        authority_config_map("outside", authority.pem),
        http_route("out", *rules[:10]),
        http_route("more", *rules[10:]),
        *backends,
        *at(OTHER_PUBLIC, *backend("inside", 80)),
        manifest("v1", "Secret", "keys", stringData={"token": TOKEN}),
        manifest(
            "sekisho.dev/v1alpha1",
            "CredentialInjection",
            "api",
            spec={
                "headers": [
                    {"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "keys", "key": "token"}}
                ]
            },
        ),
        tls_to("ok", "ok.example"),
        tls_to("sni", "ok.example", "other.example"),
        *policies,
    ]


@pytest.fixture(scope="module")
def edge(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    with EgressGateway(outside, directory / "routed", routed(authority, BASE)) as running:
        yield running


def get(edge: EgressGateway, path: str, host: str = "api.internal", method: str = "GET", port: int = WEB) -> bytes:
    with edge.connect(port) as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        answer = read_answer(client)
        if b"\r\n\r\n" in answer and not answer.endswith(b"\r\n\r\n"):
            return answer
        client.settimeout(2)
        try:
            return answer + client.recv(65536)
        except TimeoutError:
            return answer


def test_a_route_leads_outside_over_tls_that_the_gateway_begins(edge: EgressGateway) -> None:
    assert f"outside {PUBLIC}".encode() in get(edge, "/ok/items")
    record = edge.decision(host="ok.example", port=443, decision="allow")
    assert (record["policy"], record["rule"], record["dialled"]) == ("default/base", "all", f"{PUBLIC}:443")
    assert (record["way"], record["method"], record["listener"]) == ("Route", "GET", "default/edge/web")

    def end() -> list[object]:
        found = [record for record in edge.records() if record["record"] == "egress_end"]
        return [one for one in found if one["id"] == record["id"] and one["bytes_sent"] > 0]

    assert eventually(end, within=5, what="the record of the end")


def test_methods_and_paths_count_as_they_are_sent(edge: EgressGateway) -> None:
    assert f"outside {OTHER_PUBLIC}".encode() in get(edge, "/other/v1/items")
    assert status_of(get(edge, "/other/v1/items", method="POST")) == 403
    assert status_of(get(edge, "/other/v10")) == 403
    assert status_of(get(edge, "/other/v1/../admin")) == 403


ATTACKS = {
    "denied": (403, "egress_denied"),
    "port": (403, "egress_denied"),
    "private": (403, "egress_address_prohibited"),
    "metadata": (403, "egress_address_prohibited"),
    "mapped": (403, "egress_address_prohibited"),
    "mixed": (403, "egress_address_prohibited"),
    "alias": (403, "egress_address_prohibited"),
    "gateway": (403, "egress_address_prohibited"),
    "loopback": (403, "egress_address_prohibited"),
    "nowhere": (502, "egress_name_unresolved"),
    "fronted": (421, "egress_name_mismatch"),
    "sni": (421, "egress_name_mismatch"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_may_not_be_reached_is_not(edge: EgressGateway, outside: Outside, name: str) -> None:
    before = len(outside.reached)
    status, reason = ATTACKS[name]
    answer = get(edge, f"/{name}")
    assert (status_of(answer), reason.encode() in answer) == (status, True), answer
    assert len(outside.reached) == before
    edge.decision(way="Route", reason=reason)


def test_who_is_denied_hears_the_policy_and_whom_to_ask(edge: EgressGateway) -> None:
    assert b"(evil.example:80); egress policy default/base; ask security@example.com" in get(edge, "/denied")


def test_a_rule_may_permit_a_private_address(edge: EgressGateway) -> None:
    assert f"outside {PRIVATE}".encode() in get(edge, "/permitted")


def test_host_names_whom_the_request_goes_to_whatever_the_client_said(edge: EgressGateway, outside: Outside) -> None:
    before = len(outside.hosts(PUBLIC))
    assert f"outside {PUBLIC}".encode() in get(edge, "/plain", host="evil.example")
    assert outside.hosts(PUBLIC)[before:] == ["ok.example"]


def test_a_name_that_turns_between_addresses_never_leads_to_the_private_one(
    edge: EgressGateway, outside: Outside
) -> None:
    before = len(outside.reached)
    for _ in range(4):
        get(edge, "/turning")
    assert {address for address, _ in outside.reached[before:]} <= {PUBLIC}


def test_a_copy_of_a_request_does_not_go_outside(edge: EgressGateway, outside: Outside) -> None:
    before = len(outside.reached)
    assert f"outside {PUBLIC}".encode() in get(edge, "/mirrored")
    assert OTHER_PUBLIC not in {address for address, _ in outside.reached[before:]}


def test_a_credential_reaches_the_backend_in_place_of_the_clients_and_nobody_else(
    edge: EgressGateway, outside: Outside
) -> None:
    before = len(outside.requests)
    with edge.connect(WEB) as client:
        head = "GET /credential/a HTTP/1.1\r\nHost: api.internal\r\nAuthorization: Bearer of-the-client\r\n\r\n"
        client.sendall(head.encode())
        assert status_of(read_answer(client)) == 200
    [(address, head)] = outside.requests[before:]
    assert address == PUBLIC
    assert f"authorization: Bearer {TOKEN}\r\n" in head
    assert "of-the-client" not in head
    configuration = edge.admin("/config")
    assert "default/api" in configuration
    for text in (configuration, edge.log.read_text(), edge.process.output()):
        assert TOKEN not in text


def test_a_copy_for_a_mirror_has_no_credential(edge: EgressGateway, outside: Outside) -> None:
    before = len(outside.requests)
    assert f"outside {PRIVATE}".encode() in get(edge, "/copied")

    def both() -> bool:
        return {address for address, _ in outside.requests[before:]} == {PRIVATE, OTHER_PUBLIC}

    eventually(both, within=5, what="the copy")
    for address, head in outside.requests[before:]:
        assert (TOKEN in head) == (address == PRIVATE)


def test_a_listener_that_no_policy_speaks_for_asks_none(edge: EgressGateway) -> None:
    # The system's resolver, which is not told of these names, is asked as for every other route.
    assert b"upstream_connect_failed" in get(edge, "/other/admin", port=OPEN)
    before = len(edge.records())
    # The record of a later decision is written behind one that this would have had.
    assert status_of(get(edge, "/denied")) == 403
    edge.decision(after=before, host="evil.example", decision="deny")
    assert "default/edge/open" not in {record["listener"] for record in edge.records()}


def test_every_listener_is_shut_where_that_is_asked_for(
    edge: EgressGateway, outside: Outside, authority: Authority
) -> None:
    shut = routed(authority)
    next(one for one in shut if one["kind"] == "GatewayParameters")["spec"]["egress"]["routes"] = "ByPolicy"
    before = len(outside.reached)
    edge.write(shut)
    eventually(lambda: status_of(get(edge, "/ok")) == 403, within=10, what="the policy is gone")
    before = len(outside.reached)
    assert [status_of(get(edge, f"/{name}", port=OPEN)) for name in ("ok", "plain", "private")] == [403] * 3
    assert len(outside.reached) == before
    edge.write(routed(authority, BASE))
    eventually(lambda: status_of(get(edge, "/ok")) == 200, within=10, what="the policy is back")


def test_a_request_under_way_ends_when_it_is_no_longer_allowed(
    edge: EgressGateway, outside: Outside, authority: Authority
) -> None:
    with edge.connect(WEB) as client:
        client.sendall(b"GET /plain?wait HTTP/1.1\r\nHost: api.internal\r\n\r\n")
        eventually(
            lambda: any("?wait" in head for _, head in outside.requests), within=5, what="the request is outside"
        )
        edge.write(routed(authority, egress_policy("base", {"name": "none", "to": [{"names": ["unused.example"]}]})))
        assert status_of(read_answer(client)) == 403
    edge.decision(host="ok.example", decision="allow")
    edge.write(routed(authority, BASE))
    eventually(lambda: status_of(get(edge, "/ok")) == 200, within=10, what="the policy is back")
    assert METADATA not in {address for address, _ in outside.reached}


@pytest.mark.parametrize(
    "path", [*(f"/{name}" for name in DESTINATIONS), "/other/v1/x", "/fronted", "/sni", "/credential"]
)
def test_explain_says_of_a_route_what_the_gateway_does(edge: EgressGateway, path: str) -> None:
    answer = edge.admin(f"/explain?url=http://api.internal:{WEB}{path}")
    assert TOKEN not in answer
    said = json.loads(answer.partition("\r\n\r\n")[2])
    [outside] = said["destinations"]
    did = get(edge, path)
    if said["decision"] == "denied":
        assert (status_of(did), said["code"].encode() in did) == (said["status"], True)
        assert outside["egress"] is None or not outside["egress"]["allowed"]
        return
    assert outside["egress"]["allowed"]
    assert outside["credentials"] == (["authorization"] if path == "/credential" else [])
    # What a name resolves to is not asked; the engine's answer is by its addresses then.
    by_address = (b"egress_address_prohibited", b"egress_name_unresolved")
    assert status_of(did) == 200 or any(reason in did for reason in by_address), did


def test_explain_names_policy_rule_and_place_of_a_destination(edge: EgressGateway) -> None:
    answer = edge.admin(f"/explain?url=http://api.internal:{WEB}/denied&from=spiffe://cluster.local/ns/shop/sa/cart")
    said = json.loads(answer.partition("\r\n\r\n")[2])
    [outside] = said["destinations"]
    assert (outside["host"], outside["port"], said["code"]) == ("evil.example", 80, "egress_denied")
    assert (outside["egress"]["policy"], outside["egress"]["contact"]) == ("default/base", "security@example.com")
    answer = edge.admin(f"/explain?url=http://api.internal:{WEB}/other/v1&method=POST")
    [outside] = json.loads(answer.partition("\r\n\r\n")[2])["destinations"]
    [tried] = outside["egress"]["tried"]
    assert (tried["rule"], tried["failed"]) == ("narrow", "methods")
    assert tried["source"].endswith(tuple("0123456789")), "file and line of the policy"
