"""One part of one peer, inside a fresh cluster with the peer installed; the figures go to a file.

python -m tests.bench.control.inside PEER PART FILE SCALE
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.bench.control.attached_routes import attached_routes
from tests.bench.control.peers import PEERS
from tests.bench.control.probe import probes
from tests.bench.control.route_change import route_change
from tests.bench.control.route_load import route_load
from tests.bench.control.scale import Scale
from tests.bench.control.stage import Stage, staged

Part = Callable[[Stage, Scale], Awaitable[dict[str, Any]]]
RUNS: dict[str, Part] = {
    "attached": attached_routes,
    "probe": probes,
    "change": route_change,
    "load": route_load,
}


async def measure(peer_name: str, part: str, scale: Scale) -> dict[str, Any]:
    peer = next(peer for peer in PEERS if peer.name == peer_name)
    load_before = os.getloadavg()[0]
    async with staged(peer, scale.minutes * 60) as stage:
        figures = await RUNS[part](stage, scale)
    return {
        "peer": peer.name,
        "part": part,
        "load_average": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        **figures,
    }


def main() -> None:
    peer, part, file, scale = sys.argv[1:]
    found = asyncio.run(measure(peer, part, Scale(**json.loads(scale))))
    Path(file).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
