"""From Report to Enforce: what was seen becomes a policy, and that policy allows what was seen and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.manifests import GATEWAY_API, Manifest, external_backend, external_ref, manifest, parent, rule
from tests.support.outside import Outside
from tests.support.sekisho import sekisho_command

SEEN, UNSEEN = "other.example:443", "alias-ok.example:443"


def sekisho(*words: str | Path) -> str:
    done = subprocess.run(sekisho_command(*words), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tried(gateway: EgressGateway, target: str) -> int:
    """The status of a CONNECT."""
    client, answer = gateway.tunnel(target)
    client.close()
    return status_of(answer)


def test_what_was_seen_becomes_the_policy_that_allows_it(outside: Outside, tmp_path: Path) -> None:
    trial = egress_policy("trial", {"name": "ok", "to": [{"names": ["ok.example"]}]}, mode="Report")
    with EgressGateway(outside, tmp_path / "report", ways_out(trial)) as gateway:
        assert tried(gateway, SEEN) == 200
        gateway.decision(host="other.example", would_deny=True)
        log = gateway.log
    told = sekisho("egress", "report", "-f", log)
    assert "other.example" in told
    text = sekisho("egress", "suggest", "-f", log, "--gateway", "default/edge")
    (suggested,) = [one for one in yaml.safe_load_all(text) if one]
    assert (suggested["kind"], suggested["spec"]["mode"]) == ("EgressPolicy", "Report")
    suggested["spec"]["mode"] = "Enforce"
    with EgressGateway(outside, tmp_path / "enforce", ways_out(suggested)) as gateway:
        assert (tried(gateway, SEEN), tried(gateway, UNSEEN)) == (200, 403)


def test_what_routes_carried_becomes_a_rule_for_what_it_was(outside: Outside, tmp_path: Path) -> None:
    """A connection in the clear needs a rule for TCP, and a request one for HTTP."""

    def manifests(policy: Manifest) -> list[Manifest]:
        made = ways_out(
            policy,
            external_backend("other", "other.example", 80),
            manifest(
                GATEWAY_API,
                "TCPRoute",
                "other",
                spec={"parentRefs": [parent(section="carried")], "rules": [rule(external_ref("other"))]},
            ),
        )
        (edge,) = (one for one in made if one["kind"] == "Gateway")
        edge["spec"]["listeners"].append({"name": "carried", "port": 9001, "protocol": "TCP"})
        return made

    def outside_answers(gateway: EgressGateway) -> list[bool]:
        carried = gateway.ask(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 9001)
        asked = gateway.ask(b"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        return [b"outside" in carried, b"outside" in asked]

    trial = egress_policy("trial", {"name": "none", "to": [{"names": ["a.test"]}]}, mode="Report")
    with EgressGateway(outside, tmp_path / "report", manifests(trial)) as gateway:
        assert outside_answers(gateway) == [True, True]
        assert gateway.decision(host="other.example")["protocol"] == "TCP"
        assert gateway.decision(host="ok.example")["protocol"] == "HTTP"
        log = gateway.log
    (suggested,) = yaml.safe_load_all(sekisho("egress", "suggest", "-f", log, "--gateway", "default/edge"))
    [said] = suggested["spec"]["rules"]
    assert {(to["names"][0], *to["protocols"]) for to in said["to"]} == {
        ("other.example", "TCP"),
        ("ok.example", "HTTP"),
    }
    suggested["spec"]["mode"] = "Enforce"
    with EgressGateway(outside, tmp_path / "enforce", manifests(suggested)) as gateway:
        assert outside_answers(gateway) == [True, True]
