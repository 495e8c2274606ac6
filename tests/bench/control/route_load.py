"""Thousands of routes and Services in many namespaces: set-up, propagation at rest, and the same under churn."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

from tests.bench.control import objects
from tests.bench.control.probe import Tally, probe_each
from tests.bench.control.scale import Scale
from tests.bench.control.stage import Stage, spent
from tests.support.manifests import Manifest

_REST = 5.0


class Site:
    """The routes by number."""

    def __init__(self, scale: Scale) -> None:
        self._spaces = [f"space-{number}" for number in range(scale.load_namespaces)]
        self.routes = scale.load_routes

    def namespaces(self) -> Iterator[Manifest]:
        return (objects.namespace(name) for name in self._spaces)

    def space(self, number: int) -> str:
        return self._spaces[number % len(self._spaces)]

    def host(self, number: int) -> str:
        return f"host-{number}.bench.example"

    def route(self, number: int, mark: str = "start") -> Manifest:
        return objects.route(
            f"route-{number}",
            host=self.host(number),
            backend=f"service-{number}",
            space=self.space(number),
            rule={"filters": [objects.marked(mark)]},
        )

    def endpoints(self, number: int, *, swapped: bool = False) -> Manifest:
        ports = objects.BACKEND_PORTS[::-1] if swapped else objects.BACKEND_PORTS
        return objects.endpoints(f"service-{number}", self.space(number), ports)

    def everything(self) -> Iterator[Manifest]:
        for number in range(self.routes):
            yield objects.service(f"service-{number}", self.space(number))
            yield self.endpoints(number)
            yield self.route(number)

    def probe(self, number: int) -> Manifest:
        """A new route to a Service that is there."""
        return objects.route(
            f"probe-{number}",
            host=f"probe-{number}.bench.example",
            backend=f"service-{number % self.routes}",
            space=self.space(number % self.routes),
        )


async def route_load(stage: Stage, scale: Scale) -> dict[str, Any]:
    site = Site(scale)
    loop = asyncio.get_running_loop()
    before, began = stage.usage(), loop.time()
    await stage.objects.create_all(site.namespaces())
    await stage.objects.create_all(site.everything())
    written = loop.time()
    stage.say(f"{site.routes} routes written in {written - began:.0f} s")
    missing = await _served(stage, site)
    served = loop.time()
    stage.say(f"{site.routes - missing} of {site.routes} served {served - written:.1f} s after the last was written")
    setup: dict[str, Any] = {
        "writing_seconds": round(written - began, 1),
        "served_after_seconds": round(served - written, 1) if not missing else None,
        "not_served": missing,
        **spent(before, stage.usage()),
    }
    rest = await _at_rest(stage)
    calm = await _propagation(stage, scale, site, itertools.count(), churn=False)
    churned = await _propagation(stage, scale, site, itertools.count(scale.load_probes), churn=True)
    return {"routes": site.routes, "setup": setup, "rest": rest, "calm": calm, "churn": churned}


async def _served(stage: Stage, site: Site) -> int:
    """Ask for each route until it answers; the number that does not before the deadline."""
    client = stage.client()
    missing = list(range(site.routes))
    while missing and not stage.over():
        missing = [number for number in missing if (await client.ask(site.host(number))).status != 200]
        await asyncio.sleep(0.05)
    client.close()
    return len(missing)


async def _at_rest(stage: Stage) -> dict[str, Any]:
    """Wait until the controller has written what it had to write; what it then takes with nothing to do."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not stage.over():
        before = stage.usage()
        await asyncio.sleep(_REST)
        taken = spent(before, stage.usage())
        if taken["controller"]["cpu_seconds"] < 0.1 * _REST:
            return {"after_seconds": round(loop.time() - began - _REST, 1), "seconds": _REST, **taken}
    return {"after_seconds": None}


async def _propagation(
    stage: Stage, scale: Scale, site: Site, numbers: Iterator[int], *, churn: bool
) -> dict[str, Any]:
    tally = Tally()
    loop = asyncio.get_running_loop()
    before, began = stage.usage(), loop.time()
    churning = asyncio.create_task(_churn(stage, scale, site)) if churn else None
    changes = 0
    try:
        await probe_each(
            stage,
            tally,
            scale.load_probes,
            lambda _: site.probe(next(numbers)),
            pause=scale.probe_pause,
            keep=False,
            share=1.0 if churn else 0.5,
        )
    finally:
        if churning is not None:
            churning.cancel()
            changes = await churning
    seconds = loop.time() - began
    taken = spent(before, stage.usage())
    figures = tally.figures()
    writes = changes + 2 * figures["probes"]
    cpu = taken["controller"]["cpu_seconds"]
    stage.say(f"churn {churn}: {figures['propagation_ms']}, wrong {figures['wrong']}, {cpu / seconds:.3f} cores")
    return {
        "seconds": round(seconds, 1),
        "changes": changes,
        "writes_per_second": round(writes / seconds, 1),
        "controller_cores": round(cpu / seconds, 3),
        "controller_ms_a_write": round(cpu * 1000 / max(1, writes), 1),
        **figures,
        **taken,
    }


async def _churn(stage: Stage, scale: Scale, site: Site) -> int:
    """Routes and endpoints in turn, at a steady rate, until cancelled; the number of changes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    made = 0
    try:
        while True:
            number = (made * 7919) % site.routes
            if made % 2 == 0:
                manifest = site.route(number, mark=f"turn-{made}")
                await stage.objects.merge(manifest, spec=manifest["spec"])
            else:
                manifest = site.endpoints(number, swapped=True)
                await stage.objects.merge(manifest, ports=manifest["ports"])
            made += 1
            await asyncio.sleep(max(0.0, began + made / scale.churn_per_second - loop.time()))
    except asyncio.CancelledError:
        return made
