"""500 open tunnels while the policies change, the controller is lost and the gateway starts anew.

Nothing that is not allowed gets out at any time: clients try throughout, and the hosts outside count.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.routing_table.model import Resources
from tests.support.cluster_gateway import ClusterGateway, translated
from tests.support.discovery import ControllerHalf, soon
from tests.support.egress import HTTP, PROXY, egress_policy, ways_out
from tests.support.manifests import Manifest
from tests.support.open_tunnels import OpenTunnel, all_answer, connect_status, open_all, plain_status
from tests.support.outside import METADATA, OTHER_PUBLIC, PUBLIC, THIRD_PUBLIC, Outside

TUNNELS = 500
KEPT, CUT, NEVER = "ok.example", "other.example", "never.example"
CUT_WITHIN = 1.0

BOTH = egress_policy("base", *({"name": host, "to": [{"names": [host], "ports": [80, 443], "protocols": ["TCP"]}]}
                               for host in (KEPT, CUT)))  # fmt: skip
# The same destinations, but every policy, rule and limit is another one.
BOTH_ELSEWHERE = egress_policy(
    "renewed",
    {"name": "all", "to": [{"names": ["*.example"], "ports": [80, 443], "protocols": ["TCP"]}]},
    {"name": "but", "action": "Deny", "to": [{"names": [NEVER]}]},
)
ONE = egress_policy("base", {"name": KEPT, "to": [{"names": [KEPT], "ports": [80, 443], "protocols": ["TCP"]}]})


@dataclass
class Attempts:
    """Clients that ask for what nothing allows, without pause, and what they were answered."""

    forbidden: list[str] = field(default_factory=lambda: [NEVER, THIRD_PUBLIC, METADATA])
    answers: Counter[int] = field(default_factory=Counter)
    reached: list[str] = field(default_factory=list)

    async def run(self) -> None:
        for number in itertools.count():
            host = self.forbidden[number % len(self.forbidden)]
            ask = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            redirected = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            for status in await asyncio.gather(
                connect_status(PROXY, f"{host}:80"), plain_status(PROXY, ask), plain_status(HTTP, redirected)
            ):
                self.answers[status] += 1
                if status == 200:
                    self.reached.append(host)
            await asyncio.sleep(0.005)


class Scene:
    """A gateway in the outside's inner namespace, and its controller. Everything runs in one loop there."""

    def __init__(self, outside: Outside, directory: Path, trust: ssl.SSLContext) -> None:
        self.outside, self.directory, self.trust = outside, directory, trust
        self.controller = ControllerHalf()
        self.attempts = Attempts()
        self.figures: dict[str, str] = {}
        self._tables = itertools.count()

    def gateway(self) -> ClusterGateway:
        network = self.outside.inside.name
        return ClusterGateway(
            self.directory / "gateway", self.controller, access_log=self.directory / "access.log", network=network
        )

    def table(self, policy: Manifest) -> Resources:
        return translated(self.directory / f"table-{next(self._tables)}", ways_out(policy), "default/edge")

    def ends(self) -> list[dict[str, Any]]:
        lines = map(json.loads, (self.directory / "access.log").read_text().splitlines())
        return [line for line in lines if line.get("record") == "egress_end"]

    def heard(self, address: str, since: float = 0.0) -> list[float]:
        """When the outside heard something at an address."""
        return [moment for moment, where in self.outside.heard if where == address and moment >= since]

    async def until(self, status: int, target: str) -> float:
        """Seconds until CONNECT is answered so."""
        began = time.monotonic()

        async def answered() -> bool:
            return await connect_status(PROXY, target) == status

        await soon(answered, within=20)
        return time.monotonic() - began


async def nothing_is_served_before_a_table(scene: Scene) -> None:
    """The gateway runs, and no controller has told it anything yet."""
    for target in (f"{KEPT}:80", f"{NEVER}:80"):
        assert await connect_status(PROXY, target) == 0
    assert not scene.heard(PUBLIC)


async def opened(scene: Scene) -> list[OpenTunnel]:
    hosts = [(KEPT if number % 2 else CUT, scene.trust if number % 10 < 2 else None) for number in range(TUNNELS)]
    began = time.monotonic()
    tunnels = await open_all(PROXY, hosts)
    assert await all_answer(tunnels) == TUNNELS
    scene.figures["opened"] = f"{TUNNELS} tunnels, each with an answer, in {time.monotonic() - began:.1f} s"
    return tunnels


async def a_change_that_still_allows_them(scene: Scene, tunnels: list[OpenTunnel]) -> None:
    scene.controller.set(scene.table(BOTH_ELSEWHERE))
    assert (await scene.controller.answer()).error == ""
    assert await all_answer(tunnels) == TUNNELS
    assert [end for end in scene.ends() if end["reason"] == "egress_revoked"] == []
    scene.figures["change that allows them"] = f"{TUNNELS} of {TUNNELS} tunnels go on"


async def the_loss_of_the_controller(scene: Scene, tunnels: list[OpenTunnel]) -> None:
    assert await all_answer(tunnels) == TUNNELS
    assert await connect_status(PROXY, f"{KEPT}:80") == 200
    assert await connect_status(PROXY, f"{NEVER}:80") == 403
    scene.figures["controller lost"] = f"{TUNNELS} of {TUNNELS} tunnels go on, new ones are decided"


async def a_change_that_allows_half_of_them(scene: Scene, tunnels: list[OpenTunnel]) -> None:
    kept, cut = ([one for one in tunnels if one.host == host] for host in (KEPT, CUT))
    busy = [asyncio.create_task(tunnel.ask_until_it_ends(0.2)) for tunnel in cut]
    table = scene.table(ONE)
    await asyncio.sleep(0.5)
    ends, began = len(scene.ends()), time.monotonic()
    scene.controller.set(table)
    await asyncio.wait_for(asyncio.gather(*busy), 20)
    scene.attempts.forbidden.append(CUT)
    closed = sorted(tunnel.closed_at - began for tunnel in cut if tunnel.closed_at)
    assert len(closed) == len(cut)
    late = [moment - began for moment in scene.heard(OTHER_PUBLIC, since=began + CUT_WITHIN)]
    assert closed[-1] < CUT_WITHIN, f"the last was closed after {closed[-1]:.2f} s"
    assert not late, f"the outside heard of them {late} s after the change"
    assert await all_answer(kept) == len(kept)

    def recorded() -> Counter[str]:
        return Counter(str(end["reason"]) for end in scene.ends()[ends:] if end["host"] == CUT)

    await soon(lambda: recorded().total() >= len(cut), within=10)
    assert recorded() == {"egress_revoked": len(cut)}
    heard = max(scene.heard(OTHER_PUBLIC)) - began
    scene.figures["change that allows half of them"] = (
        f"{len(cut)} closed after {closed[len(closed) // 2] * 1e3:.0f} ms (median), {closed[-1] * 1e3:.0f} ms (last), "
        f"the outside heard the last of them at {heard * 1e3:+.0f} ms; {len(cut)} recorded as revoked; "
        f"{len(kept)} of {len(kept)} others go on"
    )


async def a_restart_without_controller(scene: Scene, gateway: ClusterGateway) -> ClusterGateway:
    """It is killed, and what comes up serves the table that it had last."""
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait(10)
    began = time.monotonic()
    heard = len(scene.heard(OTHER_PUBLIC))
    again = scene.gateway()
    again.process.start()
    await scene.until(200, f"{KEPT}:80")
    scene.figures["restart"] = f"{time.monotonic() - began:.1f} s after a kill the last good policies decide again"
    assert await connect_status(PROXY, f"{CUT}:80") == 403
    assert await connect_status(PROXY, f"{NEVER}:80") == 403
    assert len(scene.heard(OTHER_PUBLIC)) == heard
    return again


async def scenario(scene: Scene) -> None:
    tunnels: list[OpenTunnel] = []
    trying = asyncio.create_task(scene.attempts.run())
    async with contextlib.AsyncExitStack() as controller:
        await controller.enter_async_context(scene.controller)
        gateway = scene.gateway()
        gateway.process.start()
        try:
            await asyncio.sleep(1)
            await nothing_is_served_before_a_table(scene)
            scene.controller.set(scene.table(BOTH))
            await scene.until(200, f"{KEPT}:80")
            tunnels = await opened(scene)
            await a_change_that_still_allows_them(scene, tunnels)
            await controller.aclose()
            await the_loss_of_the_controller(scene, tunnels)
            async with scene.controller:
                await a_change_that_allows_half_of_them(scene, tunnels)
            gateway = await a_restart_without_controller(scene, gateway)
        finally:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            gateway.process.stop()
            for tunnel in tunnels:
                tunnel.close()


def test_open_tunnels_and_nothing_that_is_not_allowed(
    outside: Outside, tmp_path: Path, authority_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.zone[NEVER] = [THIRD_PUBLIC]
    trust = ssl.create_default_context(cafile=str(authority_file))
    scene = Scene(outside, tmp_path, trust)
    outside.inside.run(lambda: asyncio.run(scenario(scene)), within=120)
    attempts = scene.attempts
    passed = len(scene.heard(THIRD_PUBLIC)) + len(scene.heard(METADATA))
    scene.figures["tried meanwhile"] = (
        f"{sum(attempts.answers.values())} times, answers {dict(attempts.answers)}; {passed} got through"
    )
    with capsys.disabled():
        sys.stdout.write("".join(f"\n  {what}: {figure}" for what, figure in scene.figures.items()))
    assert attempts.reached == []
    assert passed == 0
    assert attempts.answers[403] > 100
