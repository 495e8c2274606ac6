"""What a gateway of a cluster costs: memory with 5,000 routes from a controller, then one change after another.

.venv/bin/python -m tests.bench.gateway_cost [--routes 5000] [--changes 200] [--pause 0.1]

The gateway is `sekisho gateway` as it is installed; the controller's half is this process, over TLS on the
loopback. Every route has a host, a filter, a backend and endpoints of its own. A change's time is from the new table
until the gateway has answered that every worker serves it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from gateway.routing_table.model import (
    Attachment,
    Backend,
    Destination,
    Endpoint,
    Endpoints,
    Gateway,
    Header,
    Listener,
    Match,
    PathMatch,
    RequestHeaderModifier,
    Resources,
    Route,
    WeightedBackend,
)
from tests.support.cluster_gateway import ClusterGateway
from tests.support.discovery import ControllerHalf
from tests.support.ports import free_port
from tests.support.processes import TICKS_PER_SECOND

_SETTLE_SECONDS = 3.0


def route(number: int, mark: str = "start") -> Route:
    """A rule as translation makes it of the control-plane benchmark's routes."""
    space = f"space-{number % 50}"
    return Route(
        key=f"HTTPRoute/{space}/route-{number}/0",
        kind="HTTPRoute",
        object=f"{space}/route-{number}",
        rule=0,
        created=1_764_000_000,
        attachments=(Attachment(listener="bench/edge/http", hostnames=(f"host-{number}.bench.example",)),),
        matches=(Match(path=PathMatch(type="PathPrefix", value="/")),),
        filters=(RequestHeaderModifier(set=(Header(name="x-bench", value=mark),)),),
        backends=(WeightedBackend(backend=f"Service/{space}/service-{number}/80"),),
    )


def table(count: int, port: int, changed: tuple[Route, ...] = ()) -> Resources:
    """``changed``: routes in place of those of the same key, or besides them."""
    keys = [f"Service/space-{number % 50}/service-{number}/80" for number in range(count)]
    routes = {found.key: found for found in (*map(route, range(count)), *changed)}
    return Resources(
        endpoints=tuple(Endpoints(key=key, endpoints=(Endpoint(address="10.244.0.1", port=18081),)) for key in keys),
        backends=tuple(Backend(key=key, destination=_destination(key)) for key in keys),
        gateways=(Gateway(key="bench/edge"),),
        listeners=(
            Listener(
                key="bench/edge/http",
                gateway="bench/edge",
                address="127.0.0.1",
                port=80,
                bind_port=port,
                protocol="HTTP",
            ),
        ),
        routes=tuple(routes.values()),
    )


def _destination(key: str) -> Destination:
    _, space, name, _ = key.split("/")
    return Destination(service=f"{name}.{space}.svc.cluster.local", service_name=name, service_namespace=space)


def resident(pid: int) -> tuple[float, float]:
    """MB now and at most."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def cpu_seconds(pid: int) -> float:
    """Of the whole process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


async def answered(controller: ControllerHalf) -> None:
    """Until the table that is wanted is in force."""
    async with asyncio.timeout(60):
        while (answer := controller.subscriptions.answer("prod/edge")) is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.0005)
    assert not answer.rejected, answer.rejected


async def measure(directory: Path, count: int, changes: int, pause: float) -> None:
    port = free_port()
    async with ControllerHalf() as controller, ClusterGateway(directory, controller) as edge:
        await asyncio.sleep(_SETTLE_SECONDS)
        pid = edge.process.pid
        print(f"without a table: {resident(pid)[0]:.1f} MB", flush=True)
        whole = table(count, port)
        began, used = time.perf_counter(), cpu_seconds(pid)
        controller.set(whole)
        await answered(controller)
        print(f"{count} routes in force after {time.perf_counter() - began:.2f} s")
        await asyncio.sleep(_SETTLE_SECONDS)
        now, most = resident(pid)
        print(f"with {count} routes: {now:.1f} MB, at most {most:.1f} MB, {cpu_seconds(pid) - used:.2f} s of CPU")
        taken = []
        used = cpu_seconds(pid)
        began = time.perf_counter()
        for change in range(changes):
            wanted = table(count, port, (route(change % count, f"change-{change}"),))
            started = time.perf_counter()
            controller.set(wanted)
            await answered(controller)
            taken.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(pause)
        cpu = cpu_seconds(pid) - used
        taken.sort()
        print(
            f"one change: p50 {statistics.median(taken):.1f} ms, p99 {taken[int(len(taken) * 0.99)]:.1f} ms; "
            f"CPU of the gateway a change {cpu / changes * 1e3:.1f} ms"
        )
        now, most = resident(pid)
        print(f"after {changes} changes: {now:.1f} MB, at most {most:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=5_000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.1)
    chosen = parser.parse_args()
    os.environ.pop("POD_NAME", None)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), chosen.routes, chosen.changes, chosen.pause))


if __name__ == "__main__":
    main()
