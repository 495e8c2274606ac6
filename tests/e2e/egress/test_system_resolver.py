"""Where no name server is set, the operating system's resolver is asked, and its answers are vetted alike."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.manifests import manifest
from tests.support.outside import BEYOND, PUBLIC, Outside


def test_the_system_is_asked_where_no_server_is_named(outside: Outside, tmp_path: Path) -> None:
    policy = egress_policy("base", {"name": "ok", "to": [{"names": ["**.example"], "protocols": ["TCP"]}]})
    without_servers = manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={})
    manifests = [one for one in ways_out(policy) if one["kind"] != "GatewayParameters"]
    # What `ip netns exec` puts in place of the machine's.
    settings = Path("/etc/netns") / outside.inside.name
    settings.mkdir(parents=True)
    try:
        (settings / "resolv.conf").write_text(f"nameserver {BEYOND}\noptions timeout:1 attempts:1\n")
        with EgressGateway(outside, tmp_path / "system", [*manifests, without_servers]) as gateway:
            for name, status in (("ok", 200), ("intranet.corp", 403), ("mixed", 403), ("nowhere.ok", 502)):
                client, answer = gateway.tunnel(f"{name}.example:443")
                client.close()
                assert status_of(answer) == status, name
            assert gateway.decision(host="ok.example", decision="allow")["resolved"] == [PUBLIC]
    finally:
        shutil.rmtree(settings)
