"""A new route is asked for until it answers: 404 until then and 200 from then on, and nothing else at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.control import objects
from tests.bench.control.client import Answer, Client
from tests.bench.control.scale import Scale
from tests.bench.control.stage import BACKEND, Stage, spent
from tests.support.manifests import Manifest

_PAUSE = 0.002
_SETTLED = 5
"""Requests after the first 200 that must be answered like it."""
_ROUTE_SECONDS = 60.0
_TOLD_EVERY = 100


@dataclass
class Tally:
    """Of all probes of a part; times in milliseconds."""

    since_created: list[float] = field(default_factory=list)
    """From the API server's word that the route exists to the first 200."""
    since_sent: list[float] = field(default_factory=list)
    """The same from before the request to the API server."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that are neither a 404 before nor a 200 after."""
    never: int = 0

    def figures(self) -> dict[str, Any]:
        return {
            "probes": len(self.since_created) + self.never,
            "propagation_ms": percentiles(self.since_created),
            "with_the_write_ms": percentiles(self.since_sent),
            "wrong_answers": sum(self.wrong.values()),
            "wrong": dict(self.wrong),
            "never": self.never,
        }


def percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) for name, share in at.items()}


async def probes(stage: Stage, scale: Scale) -> dict[str, Any]:
    """The whole part: routes stay, so that each is one among more."""
    tally = Tally()
    before = stage.usage()
    await probe_each(stage, tally, scale.probes, _route, pause=0.0)
    figures = tally.figures()
    stage.say(f"{figures['probes']} probes: {figures['propagation_ms']}, {figures['wrong_answers']} wrong answers")
    return {"wanted": scale.probes, **figures, **spent(before, stage.usage())}


def _route(number: int) -> Manifest:
    return objects.route(f"probe-{number}", host=f"probe-{number}.bench.example", backend=BACKEND)


async def probe_each(
    stage: Stage,
    tally: Tally,
    count: int,
    route: Callable[[int], Manifest],
    *,
    pause: float,
    keep: bool = True,
    share: float = 1.0,
) -> None:
    """Create one route after another and probe each; stops when ``share`` of the stage's time that is left is over."""
    client = stage.client()
    loop = asyncio.get_running_loop()
    until = loop.time() + share * (stage.deadline - loop.time())
    for number in range(count):
        if loop.time() > until:
            break
        manifest = route(number)
        await _probe(stage, client, tally, manifest)
        if not keep:
            await stage.objects.delete(manifest)
        if (number + 1) % _TOLD_EVERY == 0:
            figures = tally.figures()
            stage.say(f"{number + 1} probes: {figures['propagation_ms']}, wrong {figures['wrong']}")
        await asyncio.sleep(pause)
    client.close()


async def _probe(stage: Stage, client: Client, tally: Tally, manifest: Manifest) -> None:
    loop = asyncio.get_running_loop()
    host = manifest["spec"]["hostnames"][0]
    _expect(tally, await client.ask(host), 404)
    polling = asyncio.create_task(_until_served(client, host, tally, loop.time() + _ROUTE_SECONDS))
    sent = loop.time()
    await stage.objects.create(manifest)
    created = loop.time()
    served = await polling
    if served is None:
        tally.never += 1
        return
    tally.since_sent.append((served - sent) * 1000)
    tally.since_created.append(max(0.0, served - created) * 1000)
    for _ in range(_SETTLED):
        _expect(tally, await client.ask(host), 200)
        await asyncio.sleep(_PAUSE)


async def _until_served(client: Client, host: str, tally: Tally, deadline: float) -> float | None:
    while True:
        answer = await client.ask(host)
        if answer.status == 200:
            return answer.at
        _expect(tally, answer, 404)
        if answer.at > deadline:
            return None
        await asyncio.sleep(_PAUSE)


def _expect(tally: Tally, answer: Answer, status: int) -> None:
    if answer.status != status:
        tally.wrong[answer.problem or str(answer.status)] += 1
