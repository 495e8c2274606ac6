"""What becomes of open tunnels when the policies change, and what policies say that only report or are not there."""

from __future__ import annotations

from pathlib import Path

from tests.support.egress import EgressGateway, egress_policy, over_tls, status_of, ways_out
from tests.support.manifests import Manifest
from tests.support.outside import PUBLIC, Outside
from tests.support.waiting import eventually


def changed(outside: Outside, directory: Path, *policies: Manifest) -> EgressGateway:
    return EgressGateway(outside, directory, ways_out(*policies))


def test_open_tunnels_follow_the_policies(outside: Outside, tmp_path: Path, authority_file: Path) -> None:
    rules = [{"name": name, "to": [{"names": [f"{name}.example"], "protocols": ["TCP"]}]} for name in ("ok", "other")]
    with changed(outside, tmp_path, egress_policy("base", *rules)) as gateway:
        kept, answer = gateway.tunnel("ok.example:443")
        cut, other = gateway.tunnel("other.example:443")
        assert (status_of(answer), status_of(other)) == (200, 200)
        gateway.write(ways_out(egress_policy("base", rules[0])))
        cut.settimeout(10)
        assert cut.recv(1) == b""
        cut.close()
        assert f"outside {PUBLIC}".encode() in over_tls(kept, "ok.example", authority_file)

        def ends() -> list[dict[str, object]]:
            found = [record for record in gateway.records() if record["record"] == "egress_end"]
            return [record for record in found if record["host"] == "other.example"]

        assert eventually(ends, within=10)[-1]["reason"] == "egress_revoked"


def test_report_mode_lets_through_what_it_would_deny_and_no_address(outside: Outside, tmp_path: Path) -> None:
    trial = egress_policy("trial", {"name": "ok", "to": [{"names": ["ok.example"]}]}, mode="Report")
    with changed(outside, tmp_path, trial) as gateway:
        cases = (("other.example:443", 200), ("intranet.corp.example:443", 403), ("ok.example:443", 200))
        for target, status in cases:
            client, answer = gateway.tunnel(target)
            client.close()
            assert status_of(answer) == status, target
        assert gateway.decision(host="other.example")["would_deny"] is True


def test_without_a_policy_nothing_goes_out(outside: Outside, tmp_path: Path) -> None:
    with changed(outside, tmp_path) as gateway:
        client, answer = gateway.tunnel("ok.example:443")
        client.close()
        assert status_of(answer) == 403
