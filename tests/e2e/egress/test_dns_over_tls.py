"""Names asked over TLS: of a server that proves who it is, by one connection; and of nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.dns_over_tls import SecuredNameServer
from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.manifests import Manifest
from tests.support.outside import BEYOND, NAME_SERVER, Outside
from tests.support.waiting import eventually

NAME = "dns.test"
POLICY = egress_policy("base", {"name": "all", "to": [{"names": ["**.example"], "protocols": ["TCP"]}]})


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Name servers")


def manifests(*servers: str) -> list[Manifest]:
    made = ways_out(POLICY)
    parameters = next(one for one in made if one["kind"] == "GatewayParameters")
    parameters["spec"]["egress"]["nameservers"] = list(servers)
    return made


@contextmanager
def served(
    outside: Outside, tmp_path: Path, authority: Authority, *names: str, server: str = f"tls://{BEYOND}:853#{NAME}"
) -> Iterator[tuple[EgressGateway, SecuredNameServer]]:
    """A gateway, and a name server with a certificate for these names."""
    context = authority.issue(*names or (NAME,)).server_context(tmp_path)
    options = ("--egress-dns-ca", authority.write(tmp_path / "ca.crt"))
    with (
        SecuredNameServer(outside, context).running() as name_server,
        EgressGateway(outside, tmp_path, manifests(server), options=options) as gateway,
    ):
        yield gateway, name_server


def ask(gateway: EgressGateway, host: str) -> tuple[int, bytes]:
    client, answer = gateway.tunnel(f"{host}:443")
    client.close()
    return status_of(answer), answer


def refused(gateway: EgressGateway, host: str, reason: str, status: int = 502) -> None:
    told, answer = ask(gateway, host)
    assert (told, reason.encode() in answer) == (status, True), answer
    gateway.decision(host=host, decision="failed", reason=reason)


def test_names_are_asked_by_one_connection_in_any_order(outside: Outside, tmp_path: Path, authority: Authority) -> None:
    with served(outside, tmp_path, authority) as (gateway, server):
        in_the_clear = len(outside.questions)
        names = [f"n{number}.many.example" for number in range(40)]
        for name in names:
            outside.zone[name] = outside.zone["ok.example"]
        with ThreadPoolExecutor(20) as pool:
            assert {status for status, _ in pool.map(lambda name: ask(gateway, name), names)} == {200}
        assert set(names) <= set(server.questions)
        assert server.connections == 1
        assert outside.questions[in_the_clear:] == server.questions, "nothing was asked in the clear"
        record = gateway.decision(host=names[0], decision="allow")
        assert record["resolved"]


@pytest.mark.parametrize("names", [("other.test",), (BEYOND,)])
def test_a_server_whose_certificate_is_of_another_is_not_asked(
    outside: Outside, tmp_path: Path, authority: Authority, names: tuple[str, ...]
) -> None:
    with served(outside, tmp_path, authority, *names) as (gateway, server):
        before = len(outside.questions)
        refused(gateway, "ok.example", "egress_resolver_untrusted")
        assert server.questions == []
        assert len(outside.questions) == before
        assert f"the name server tls://{BEYOND}:853#{NAME} is not asked: " in gateway.process.output()
        # Its true certificate is there again.
        server.context = authority.issue(NAME).server_context(tmp_path)
        eventually(lambda: ask(gateway, "ok.example")[0] == 200, within=10, what="it is asked again")


def test_a_server_of_another_authority_is_not_asked_and_the_file_is_read_again(
    outside: Outside, tmp_path: Path, authority: Authority
) -> None:
    with served(outside, tmp_path, authority) as (gateway, server):
        stranger = Authority("Strangers")
        server.context = stranger.issue(NAME).server_context(tmp_path)
        refused(gateway, "ok.example", "egress_resolver_untrusted")
        assert server.questions == []
        stranger.write(tmp_path / "ca.crt")
        eventually(lambda: ask(gateway, "ok.example")[0] == 200, within=10, what="the new authority counts")


def test_without_a_file_the_system_s_authorities_count(outside: Outside, tmp_path: Path, authority: Authority) -> None:
    context = authority.issue(NAME).server_context(tmp_path)
    with (
        SecuredNameServer(outside, context).running() as server,
        EgressGateway(outside, tmp_path, manifests(f"tls://{BEYOND}:853#{NAME}")) as gateway,
    ):
        refused(gateway, "ok.example", "egress_resolver_untrusted")
        assert server.questions == []


def test_without_a_name_the_address_is_verified(outside: Outside, tmp_path: Path, authority: Authority) -> None:
    with served(outside, tmp_path, authority, BEYOND, server=f"tls://{BEYOND}:853") as (gateway, server):
        assert ask(gateway, "ok.example")[0] == 200
        assert "ok.example" in server.questions


@pytest.mark.parametrize("behaviour", ["silent", "deaf", "cuts"])
def test_a_server_that_does_not_come_to_the_point_costs_a_bounded_time_and_lets_nothing_out(
    outside: Outside, tmp_path: Path, authority: Authority, behaviour: str
) -> None:
    with served(outside, tmp_path, authority) as (gateway, server):
        server.behaviour = behaviour  # type: ignore[assignment]
        before, began = len(outside.reached), time.monotonic()
        refused(gateway, "ok.example", "egress_name_unresolved")
        assert time.monotonic() - began < 8
        assert len(outside.reached) == before
        assert server.connections <= 12
        server.behaviour = "answers"
        eventually(lambda: ask(gateway, "ok.example")[0] == 200, within=15, what="it answers again")


def test_a_connection_that_the_server_closed_is_opened_anew_unnoticed(
    outside: Outside, tmp_path: Path, authority: Authority
) -> None:
    with served(outside, tmp_path, authority) as (gateway, server):
        server.behaviour = "closes"
        for number in range(5):
            name = f"c{number}.closes.example"
            outside.zone[name] = outside.zone["ok.example"]
            assert ask(gateway, name)[0] == 200, name
        assert server.connections >= 5


def test_the_guard_looks_at_addresses_wherever_they_come_from(
    outside: Outside, tmp_path: Path, authority: Authority
) -> None:
    with served(outside, tmp_path, authority) as (gateway, _):
        before = len(outside.reached)
        status, answer = ask(gateway, "mixed.example")
        assert (status, b"egress_address_prohibited" in answer) == (403, True)
        assert len(outside.reached) == before


def test_a_server_in_the_clear_beside_one_with_tls_is_refused(
    outside: Outside, tmp_path: Path, authority: Authority
) -> None:
    with served(outside, tmp_path, authority) as (gateway, server):
        assert ask(gateway, "ok.example")[0] == 200
        gateway.write(manifests(f"tls://{BEYOND}:853#{NAME}", NAME_SERVER))
        eventually(lambda: "the way around it" in gateway.admin("/status"), within=10, what="the refusal is told")
        before = len(outside.questions)
        outside.zone["late.example"] = outside.zone["ok.example"]
        assert ask(gateway, "late.example")[0] == 200, "what served before serves on"
        assert outside.questions[before:] == server.questions[-len(outside.questions[before:]) :]
