"""From Report to Enforce: what was seen becomes a policy, and that policy allows what was seen and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
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
