"""What becomes of open tunnels when the policies change, and what policies say that only report or are not there."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.egress.test_attacks import ENCRYPTED, ended, hello, with_extension
from tests.support.egress import TLS, EgressGateway, egress_policy, over_tls, over_tls_in_stream, status_of, ways_out
from tests.support.manifests import Manifest
from tests.support.outside import OTHER_PUBLIC, PUBLIC, Outside
from tests.support.waiting import eventually


def changed(outside: Outside, directory: Path, *policies: Manifest) -> EgressGateway:
    return EgressGateway(outside, directory, ways_out(*policies))


def ended_because(gateway: EgressGateway, host: str) -> object:
    """Wait for the record of a tunnel's end, and say why it ended."""

    def ends() -> list[dict[str, object]]:
        found = [record for record in gateway.records() if record["record"] == "egress_end"]
        return [record for record in found if record["host"] == host]

    return eventually(ends, within=10, what=f"the end of a tunnel to {host}")[-1]["reason"]


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
        assert ended_because(gateway, "other.example") == "egress_revoked"


def test_a_change_of_policies_ends_the_stream_and_not_the_connection(
    outside: Outside, tmp_path: Path, authority_file: Path
) -> None:
    rules = [{"name": name, "to": [{"names": [f"{name}.example"], "protocols": ["TCP"]}]} for name in ("ok", "other")]
    with (
        EgressGateway(outside, tmp_path, ways_out(egress_policy("base", *rules))) as gateway,
        gateway.http2() as client,
    ):
        kept, cut = client.connect("ok.example:443"), client.connect("other.example:443")
        assert [client.head_of(stream).status for stream in (kept, cut)] == [200, 200]
        gateway.write(ways_out(egress_policy("base", rules[0])))
        client.finished(cut)
        assert f"outside {PUBLIC}".encode() in over_tls_in_stream(client, kept, "ok.example", authority_file)
        assert ended_because(gateway, "other.example") == "egress_revoked"


def test_a_hidden_name_goes_out_for_as_long_as_a_rule_takes_it(outside: Outside, tmp_path: Path) -> None:
    flight = with_extension(hello("ok.example"), ENCRYPTED)
    kept, hidden = (
        egress_policy("base", {"name": "ok", "to": [{"names": ["ok.example"]}], **more})
        for more in ({}, {"encryptedClientHello": "Allow"})
    )
    with changed(outside, tmp_path, hidden) as gateway:
        ways = [gateway.tunnel("ok.example:443")[0], gateway.connect(TLS)]
        plain, _ = gateway.tunnel("ok.example:443")
        for client, first in ((ways[0], flight), (ways[1], flight), (plain, hello("ok.example"))):
            client.sendall(first)
            client.settimeout(10)
            # The host outside answers the handshake.
            assert client.recv(1) == b"\x16"
        gateway.write(ways_out(kept))
        for client in ways:
            ended(client)
            client.close()
        assert ended_because(gateway, "ok.example") == "egress_revoked"
        # The other one has nothing to hide.
        plain.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                assert plain.recv(65536), "it was closed"
        plain.close()


def test_a_change_while_a_name_is_looked_up_counts_before_the_answer(outside: Outside, tmp_path: Path) -> None:
    asked_for, may_answer = threading.Event(), threading.Event()

    def slowly() -> list[str]:
        asked_for.set()
        may_answer.wait(2.5)
        return [PUBLIC]

    outside.zone["slow.example"] = slowly
    marker = {"name": "marker", "to": [{"ipBlocks": [f"{OTHER_PUBLIC}/32"], "protocols": ["TCP"]}]}
    slow = {"name": "slow", "to": [{"names": ["slow.example"], "protocols": ["TCP"]}]}
    with changed(outside, tmp_path, egress_policy("base", slow)) as gateway:
        before = len(outside.reached)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gateway.tunnel, "slow.example:443")
            assert asked_for.wait(5)
            gateway.write(ways_out(egress_policy("base", marker)))
            # No name is in this: it tells that the change has come.
            eventually(lambda: status_of(tried(gateway, f"{OTHER_PUBLIC}:443")) == 200, within=2)
            may_answer.set()
            client, answer = waiting.result(timeout=15)
        client.close()
        assert status_of(answer) == 403, answer
        assert len(outside.reached) == before
        record = gateway.decision(host="slow.example")
        assert (record["decision"], record["reason"], record["dialled"]) == ("deny", "egress_denied", None)


def tried(gateway: EgressGateway, target: str) -> bytes:
    client, answer = gateway.tunnel(target)
    client.close()
    return answer


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
