"""One route under constant load is changed again and again: every answer must be a 200, and each change be seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.bench.control import objects
from tests.bench.control.probe import percentiles
from tests.bench.control.scale import Scale
from tests.bench.control.stage import BACKEND, Stage, answers, spent
from tests.support.manifests import Manifest

HOST = "change.bench.example"
_CONNECTIONS = 4
_PAUSE = 0.004
_IN_TIME = 2.0
_SETTLE = 0.1
KINDS = ("port", "filter", "backend filter")


@dataclass
class State:
    """What the route should do now; three things that are toggled in turn."""

    port: int = 0
    filter: bool = False
    backend_filter: bool = False

    def toggle(self, kind: str) -> None:
        match kind:
            case "port":
                self.port = 1 - self.port
            case "filter":
                self.filter = not self.filter
            case _:
                self.backend_filter = not self.backend_filter

    def rule(self) -> Manifest:
        backend: Manifest = {"name": BACKEND, "port": objects.SERVICE_PORTS[self.port]}
        if self.backend_filter:
            backend["filters"] = [objects.marked("on", objects.BACKEND_MARK)]
        rule: Manifest = {"backendRefs": [backend]}
        if self.filter:
            rule["filters"] = [objects.marked("on")]
        return rule

    def seen(self, headers: dict[str, str]) -> bool:
        """Whether an answer is of the route as it should be now."""
        marks = (objects.MARK in headers, objects.BACKEND_MARK in headers)
        port = headers.get("x-port")
        return (port, *marks) == (str(objects.BACKEND_PORTS[self.port]), self.filter, self.backend_filter)


@dataclass
class Load:
    """What the connections saw. Failures are counted with the kind of change that came last."""

    state: State
    kind: str = "none"
    requests: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    seen: asyncio.Future[float] | None = None
    """Of the change that is waited for: when it was seen."""
    ended: bool = False

    async def run(self, stage: Stage) -> None:
        client = stage.client()
        while not self.ended:
            answer = await client.ask(HOST)
            self.requests += 1
            if answer.status != 200:
                self.failed[answer.problem or str(answer.status)] += 1
                self.by_kind[self.kind] += 1
            elif self.seen is not None and not self.seen.done() and self.state.seen(answer.headers):
                self.seen.set_result(answer.at)
            await asyncio.sleep(_PAUSE)
        client.close()


async def route_change(stage: Stage, scale: Scale) -> dict[str, Any]:
    state = State()
    await stage.objects.create(objects.route("change", host=HOST, backend=BACKEND, rule=state.rule()))
    await answers(stage.client(), HOST)
    load = Load(state)
    before = stage.usage()
    workers = [asyncio.create_task(load.run(stage)) for _ in range(_CONNECTIONS)]
    try:
        times, toggles = await _toggle(stage, load, scale.toggles)
    finally:
        load.ended = True
        await asyncio.gather(*workers)
    stage.say(f"{toggles} changes, {len(times)} seen in {_IN_TIME:g} s; {load.requests} requests, failed {load.failed}")
    return {
        "wanted": scale.toggles,
        "toggles": toggles,
        "seen_in_time": len(times),
        "in_time_seconds": _IN_TIME,
        "propagation_ms": percentiles(times),
        "requests": load.requests,
        "failed": sum(load.failed.values()),
        "failures": dict(load.failed),
        "failed_after": dict(load.by_kind),
        **spent(before, stage.usage()),
    }


async def _toggle(stage: Stage, load: Load, count: int) -> tuple[list[float], int]:
    """Milliseconds of each change that was seen in time, and how many were made."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    for number in range(count):
        if stage.over():
            return times, number
        kind = KINDS[number % len(KINDS)]
        load.state.toggle(kind)
        load.kind, load.seen = kind, loop.create_future()
        manifest = objects.route("change", host=HOST, backend=BACKEND, rule=load.state.rule())
        await stage.objects.merge(manifest, spec=manifest["spec"])
        written = loop.time()
        with suppress(TimeoutError):
            times.append(max(0.0, await asyncio.wait_for(load.seen, _IN_TIME) - written) * 1000)
        await asyncio.sleep(_SETTLE)
    return times, count
