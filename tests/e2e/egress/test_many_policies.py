"""One policy among 1,000 changes, in a file, while tunnels are open: 10 rules each, 50,000 names together.

Prints how long it takes from the file's change to the last closing, and what it costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.discovery import soon
from tests.support.egress import PROXY, EgressGateway, egress_policy, ways_out
from tests.support.manifests import Manifest
from tests.support.open_tunnels import OpenTunnel, all_answer, connect_status, open_all
from tests.support.outside import OTHER_PUBLIC, PUBLIC, Outside

TEAMS, POLICIES_OF_EACH, RULES, NAMES = 50, 20, 10, 5
TUNNELS_OF_EACH = 100
CUT_WITHIN = 1.0
CUT, KEPT = (7, 3), (7, 4)
"""Team and number of the policy that changes, and of one in the same file that does not."""


def host(team: int, number: int, rule: int = 0) -> str:
    return f"one.rule-{rule}.policy-{number}.team-{team}.example"


def policy(team: int, number: int, rules: range = range(RULES)) -> Manifest:
    """For callers of this machine where tunnels are to be open by it, and else for an identity of the team."""
    callers = {"ipBlocks": ["127.0.0.0/8"]} if (team, number) in (CUT, KEPT) else {"serviceAccounts": [f"app-{number}"]}

    def rule(position: int) -> Manifest:
        others = [f"{label}.{host(team, number, position)}" for label in ("*", "two", "three", "four")]
        to = {"names": [host(team, number, position), *others[: NAMES - 1]], "ports": [80, 443], "protocols": ["TCP"]}
        return {"name": f"rule-{position}", "from": [callers], "to": [to]}

    return egress_policy(f"team-{team}-policy-{number}", *map(rule, rules))


def of_team(team: int, changed: Manifest | None = None) -> list[Manifest]:
    policies = {number: policy(team, number) for number in range(POLICIES_OF_EACH)}
    if changed is not None:
        policies[CUT[1]] = changed
    return list(policies.values())


class Scene:
    def __init__(self, gateway: EgressGateway, outside: Outside) -> None:
        self.gateway, self.outside = gateway, outside
        self.figures: dict[str, str] = {}

    @contextlib.contextmanager
    def costs(self, what: str) -> Iterator[None]:
        """Notes what the process used meanwhile."""
        process = self.gateway.process
        began, used = time.monotonic(), process.cpu_seconds()
        yield
        used, took = process.cpu_seconds() - used, time.monotonic() - began
        resident = process.resident_bytes() / 1e6
        self.figures[what] = f"{used:.2f} s of CPU in {took:.2f} s; {resident:.0f} MB resident then"

    def ends(self) -> list[dict[str, Any]]:
        return [record for record in self.gateway.records() if record["record"] == "egress_end"]

    async def opened(self) -> tuple[list[OpenTunnel], list[OpenTunnel]]:
        both = await open_all(PROXY, [(host(*which), None) for which in (CUT, KEPT) for _ in range(TUNNELS_OF_EACH)])
        assert await all_answer(both) == len(both)
        return both[:TUNNELS_OF_EACH], both[TUNNELS_OF_EACH:]

    async def a_change_is_followed(self, what: str, change: Manifest) -> float:
        """Writes the file, and returns the seconds until the last tunnel that is not allowed any more was closed."""
        cut, kept = await self.opened()
        busy = [asyncio.create_task(tunnel.ask_until_it_ends(0.05)) for tunnel in cut]
        await asyncio.sleep(0.5)
        before, files = len(self.ends()), of_team(CUT[0], change)
        with self.costs(f"{what}, its cost"):
            self.gateway.write(files, f"team-{CUT[0]}")
            written = time.monotonic()
            await asyncio.wait_for(asyncio.gather(*busy), 30)
        closed = sorted(tunnel.closed_at for tunnel in cut if tunnel.closed_at)
        assert len(closed) == len(cut)
        heard = max(moment for moment, where in self.outside.heard if where == OTHER_PUBLIC)
        assert await connect_status(PROXY, f"{host(*CUT)}:80") == 403
        assert await all_answer(kept) == len(kept)

        def recorded() -> Counter[str]:
            return Counter(str(end["reason"]) for end in self.ends()[before:] if end["host"] == host(*CUT))

        await soon(lambda: recorded().total() >= len(cut), within=10)
        assert recorded() == {"egress_revoked": len(cut)}
        first, last, outside = ((moment - written) * 1e3 for moment in (closed[0], closed[-1], heard))
        self.figures[what] = (
            f"{len(cut)} tunnels closed {first:.0f} ms (first) to {last:.0f} ms (last) after the file was written; the"
            f" outside heard the last of them at {outside:+.0f} ms; {len(cut)} recorded as revoked; {len(kept)} go on"
        )
        for tunnel in kept:
            tunnel.close()
        return closed[-1] - written

    async def allowed_again(self) -> None:
        self.gateway.write(of_team(CUT[0]), f"team-{CUT[0]}")

        async def answered() -> bool:
            return await connect_status(PROXY, f"{host(*CUT)}:80") == 200

        await soon(answered, within=20)

    async def run(self) -> None:
        process = self.gateway.process
        self.figures["1,000 policies from files, in force"] = (
            f"{process.cpu_seconds():.2f} s of CPU since the start; {process.resident_bytes() / 1e6:.0f} MB resident"
        )
        denied = egress_policy(
            f"team-{CUT[0]}-policy-{CUT[1]}", {"name": "none", "action": "Deny", "to": [{"names": [host(*CUT)]}]}
        )
        less = policy(*CUT, rules=range(1, RULES))
        took = {}
        for what, change in (("a rule is taken away", less), ("a Deny rule comes instead", denied)):
            took[what] = await self.a_change_is_followed(what, change)
            await self.allowed_again()
        assert max(took.values()) < CUT_WITHIN, took


def test_a_change_of_one_policy_among_a_thousand_closes_what_it_forbids_within_a_second(
    outside: Outside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.zone.update({host(*CUT): [OTHER_PUBLIC], host(*KEPT): [PUBLIC]})
    gateway = EgressGateway(outside, tmp_path, ways_out())
    for team in range(TEAMS):
        gateway.write(of_team(team), f"team-{team}")
    scene = Scene(gateway, outside)
    try:
        with gateway:
            outside.inside.run(lambda: asyncio.run(scene.run()), within=120)
    finally:
        with capsys.disabled():
            sys.stdout.write("".join(f"\n  {what}: {figure}" for what, figure in scene.figures.items()))
