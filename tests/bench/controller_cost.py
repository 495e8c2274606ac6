"""What the controller costs: 5,000 routes on an API server of the tests' own, then one change after another.

.venv/bin/python -m tests.bench.controller_cost [--routes 5000] [--changes 300] [--pause 0.1]

The controller is a process of its own. Propagation is from the write at the API server until the gateway (without
an engine, over TLS) has been told: its own work is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import yaml

from gateway.agent.agent import Agent
from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Delta, ListenerState, Resources, Snapshot
from tests.bench import translate_cost
from tests.support.cluster import gateway_of, kubeconfig_of
from tests.support.discovery import GatewayHalf
from tests.support.fake_apiserver import FakeApiServer, Name
from tests.support.kube import comes_true, gateway_class
from tests.support.ports import free_port

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class LightEngine:
    """Answers at once, and says when it was told of a route."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self.routes = 0
        self._listeners: tuple[ListenerState, ...] = ()

    def apply(self, update: bytes, /) -> bytes:
        now = time.perf_counter()
        message, _ = wire.decode_update(update)
        sent: Resources = message.resources if isinstance(message, Snapshot) else message.upsert
        if isinstance(message, Snapshot):
            self._listeners = tuple(ListenerState(key=item.key, bound=True) for item in sent.listeners)
            self.routes = len(sent.routes)
        else:
            assert isinstance(message, Delta)
            for route in sent.routes:
                self.told[msgspec.json.encode(route.matches).decode()] = now
        return wire.encode(Applied(version=message.version, listeners=self._listeners))

    def counts(self) -> bytes:
        return msgspec.json.encode({"routes": self.routes})


class Process:
    """The controller as it runs in a pod."""

    def __init__(self, kubeconfig: Path) -> None:
        self.discovery, self.health, admin = free_port(), free_port(), free_port()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "controller.cli", "controller", "--kubeconfig", str(kubeconfig)),
                *("--namespace", "sekisho-system", "--gateway-image", "x", "--controller-url", "https://localhost"),
                *("--discovery", f"127.0.0.1:{self.discovery}", "--health", f"127.0.0.1:{self.health}"),
                *("--admin", f"127.0.0.1:{admin}", "--log-level", "warning"),
            ]
        )

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS

    def memory(self, field: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    async def until_ready(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{self.health}/healthz/ready")).is_success:
                        return
                await asyncio.sleep(0.1)

    async def metrics(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.health}/metrics")).text

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


async def measure(routes: int, changes: int, pause: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        async with FakeApiServer() as server:
            server.put(gateway_class())
            server.put(translate_cost.gateway())
            for number in range(routes):
                for document in (translate_cost.route, translate_cost.service, translate_cost.endpoint_slice):
                    server.put(document(number))
            kubeconfig = directory / "kubeconfig"
            kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(server.url)))
            process = Process(kubeconfig)
            try:
                await _drive(server, process, directory, routes, changes, pause)
            finally:
                await asyncio.to_thread(process.stop)


async def _drive(
    server: FakeApiServer, process: Process, directory: Path, routes: int, changes: int, pause: float
) -> None:
    began = time.perf_counter()
    await process.until_ready()
    print(f"ready after                     {time.perf_counter() - began:8.2f} s")
    async with _edge(server, process, directory) as engine:
        await comes_true(lambda: engine.routes >= routes, within=60.0)
        print(f"gateway holds {engine.routes} routes after {time.perf_counter() - began:6.2f} s")
        without = [key for key in server.objects if key[0].endswith("/httproutes")]
        await comes_true(lambda: _all_written(server, without), within=180.0)
        print(f"every status written after      {time.perf_counter() - began:8.2f} s")
        await asyncio.sleep(2)
        cpu, started = process.cpu_seconds, time.perf_counter()
        own = resource.getrusage(resource.RUSAGE_SELF)
        times = [await _change(server, engine, turn * 7 % routes, f"/changed-{turn}", pause) for turn in range(changes)]
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_SELF).ru_utime - own.ru_utime
        times.sort()
        print(f"propagation p50 / p99 / worst   {_at(times, 0.5):8.1f} {_at(times, 0.99):8.1f} {times[-1]:8.1f} ms")
        print(f"mean                            {statistics.mean(times):8.1f} ms")
        print(
            f"controller, cores under churn   {(process.cpu_seconds - cpu) / seconds:8.3f} at {changes / seconds:.1f}/s"
        )
        print(f"controller, CPU per change      {(process.cpu_seconds - cpu) / changes * 1000:8.2f} ms")
        print(f"this process, cores             {used / seconds:8.3f}")
        print(f"controller memory now / peak    {process.memory('VmRSS'):8.0f} {process.memory('VmHWM'):8.0f} MiB")


def _all_written(server: FakeApiServer, without: list[Name]) -> bool:
    """Whether every route has a status; ``without`` shrinks to those that have none."""
    while without and "status" in server.objects[without[-1]]:
        without.pop()
    return not without


def _at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


async def _change(server: FakeApiServer, engine: LightEngine, number: int, path: str, pause: float) -> float:
    server.put(translate_cost.route(number, path=path))
    began = time.perf_counter()
    needle = f'"{path}"'
    await comes_true(lambda: any(needle in text for text in engine.told), within=30.0)
    found = next(at for text, at in engine.told.items() if needle in text)
    engine.told.clear()
    await asyncio.sleep(pause)
    return (found - began) * 1000


@contextlib.asynccontextmanager
async def _edge(server: FakeApiServer, process: Process, directory: Path) -> AsyncIterator[LightEngine]:
    class _App:
        discovery_port = process.discovery

    class _Controller:
        app = _App()

    edge: GatewayHalf = gateway_of(server, _Controller(), directory, gateway="web", namespace="infra")  # type: ignore[arg-type]
    engine = LightEngine()
    edge.agent = edge.discovery._agent = Agent(engine, None, time.time)  # type: ignore[arg-type]
    async with edge:
        yield engine


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=5000)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.1)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.routes, arguments.changes, arguments.pause))


if __name__ == "__main__":
    main()
