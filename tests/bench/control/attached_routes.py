"""How long until a Gateway's status counts many new routes right, and until it counts none again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from tests.bench.control import objects
from tests.bench.control.scale import Scale
from tests.bench.control.stage import BACKEND, Stage, spent
from tests.support.manifests import Manifest

_PERIOD = 0.05


async def attached_routes(stage: Stage, scale: Scale) -> dict[str, Any]:
    count = scale.attached_routes
    before = stage.usage()
    setup = await _counted(stage, stage.objects.create_all(_routes(count)), count + 1)
    stage.say(f"{count} routes counted {setup['after_the_last']} s after the last was created")
    teardown = await _counted(stage, stage.objects.delete_all(_routes(count)), 1)
    stage.say(f"and none {teardown['after_the_last']} s after the last was deleted")
    return {"routes": count, "setup": setup, "teardown": teardown, **spent(before, stage.usage())}


def _routes(count: int) -> Iterator[Manifest]:
    for number in range(count):
        yield objects.route(f"route-{number}", host=f"host-{number}.bench.example", backend=BACKEND)


async def _counted(stage: Stage, writing: Coroutine[Any, Any, None], wanted: int) -> dict[str, float | None]:
    """Seconds since the first and since the last write; None where it did not become right in time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await writing
    written = loop.time()
    edge = objects.gateway("")
    while True:
        status = (await stage.objects.read(edge)).get("status", {})
        if [listener["attachedRoutes"] for listener in status.get("listeners", [])] == [wanted]:
            break
        if stage.over():
            return {"writing": round(written - began, 2), "in_all": None, "after_the_last": None}
        await asyncio.sleep(_PERIOD)
    now = loop.time()
    return {
        "writing": round(written - began, 2),
        "in_all": round(now - began, 2),
        "after_the_last": round(now - written, 2),
    }
