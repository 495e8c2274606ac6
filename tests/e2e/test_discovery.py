"""`sekisho gateway`: a process that gets its identity and its table from a controller, with traffic through it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.cluster_gateway import ClusterGateway, translated
from tests.support.discovery import TABLE, TOKEN, ControllerHalf, soon
from tests.support.manifests import Manifest, backend, gateway, gateway_class, http_listener, http_route, rule
from tests.support.ports import free_port
from tests.support.sekisho import run_sekisho

HOST = "shop.example.com"


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend("origin") as server:
        yield server


def manifests(origin: Http1Backend, port: int, *hosts: str) -> list[Manifest]:
    edge = gateway(http_listener(port), name="edge", namespace="prod")
    objects = [*backend("origin", origin.port), http_route("all", rule("origin"), hosts=[HOST, *hosts])]
    for item in objects:
        item["metadata"]["namespace"] = "prod"
    return [gateway_class(), edge, *objects]


async def ask(port: int, host: str = HOST) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return (await client.get(f"http://127.0.0.1:{port}/", headers={"host": host})).status_code


async def test_a_process_serves_what_the_controller_says_and_goes_on_without_it(
    tmp_path: Path, origin: Http1Backend
) -> None:
    port = free_port()
    controller = ControllerHalf()
    async with ClusterGateway(tmp_path / "gateway", await _started(controller)) as edge:
        await asyncio.sleep(0.5)
        assert not await edge.ready(), "ready without a table"

        controller.set(translated(tmp_path / "one", manifests(origin, port), TABLE))
        applied = await controller.answer()
        await edge.wait_until_ready()

        assert applied.rejected == ()
        assert [listener.bound for listener in applied.listeners] == [True]
        assert await ask(port) == 200
        assert await ask(port, "other.example.com") == 404
        assert await edge.metric("sekisho_discovery_connected") == 1.0
        [version] = controller.subscriptions.gateways()
        assert version.name == f"{TABLE}: edge-sekisho-1"
        assert version.version == version.wanted == applied.version

        controller.set(translated(tmp_path / "two", manifests(origin, port, "other.example.com"), TABLE))
        await controller.answer()
        assert await ask(port, "other.example.com") == 200

        # The controller goes away, and so does this process: the table is served by what was kept.
        await controller.__aexit__()
        await soon(lambda: _disconnected(edge), within=10)
        assert await edge.ready()
        assert await ask(port, "other.example.com") == 200
        status = await edge.admin("/status")
        assert status is not None
        assert "is served meanwhile" in status.text

    output = edge.process.output()
    assert "spiffe://cluster.local/ns/prod/sa/edge-sekisho" in output
    assert TOKEN not in output
    assert "PRIVATE KEY" not in output

    async with ClusterGateway(tmp_path / "gateway", controller) as edge:
        await edge.wait_until_ready()
        assert await ask(port, "other.example.com") == 200

        async with controller:
            controller.set(translated(tmp_path / "one", manifests(origin, port), TABLE))
            await controller.answer()
            assert await ask(port, "other.example.com") == 404


async def _started(controller: ControllerHalf) -> ControllerHalf:
    return await controller.__aenter__()


async def _disconnected(edge: ClusterGateway) -> bool:
    return await edge.metric("sekisho_discovery_connected") == 0.0


async def test_a_gateway_that_is_stopped_is_not_ready_at_once_and_accepts_until_it_is_taken_out(
    tmp_path: Path, origin: Http1Backend
) -> None:
    port = free_port()
    async with ControllerHalf() as controller, ClusterGateway(tmp_path, controller, drain_delay=2.0) as edge:
        controller.set(translated(tmp_path / "table", manifests(origin, port), TABLE))
        await edge.wait_until_ready()

        edge.process.send_signal(signal.SIGTERM)
        await soon(lambda: _not_ready(edge), within=1)
        assert await ask(port) == 200, "a new connection was refused while endpoints still name this gateway"
        await soon(lambda: edge.process.exit_code is not None, within=8)
        assert edge.process.exit_code == 0, edge.process.output()


async def _not_ready(edge: ClusterGateway) -> bool:
    return not await edge.ready()


async def test_traffic_notices_neither_changes_nor_new_certificates_nor_a_controller_that_starts_anew(
    tmp_path: Path, origin: Http1Backend
) -> None:
    port = free_port()
    controller = ControllerHalf(lifetime=4.0)
    answers: list[int] = []
    stop = asyncio.Event()

    async def client() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as asking:
            while not stop.is_set():
                answers.append((await asking.get(f"http://127.0.0.1:{port}/", headers={"host": HOST})).status_code)
                await asyncio.sleep(0.01)

    async with ClusterGateway(tmp_path / "gateway", await _started(controller)) as edge:
        controller.set(translated(tmp_path / "table", manifests(origin, port), TABLE))
        await edge.wait_until_ready()
        asking = asyncio.create_task(client())
        for round_ in range(3):
            for number in range(5):
                hosts = (f"h{round_}-{number}.example.com",)
                controller.set(translated(tmp_path / "table", manifests(origin, port, *hosts), TABLE))
                await controller.answer()
                assert await ask(port, hosts[0]) == 200
            await controller.__aexit__()
            await soon(lambda: _disconnected(edge), within=20)
            await controller.__aenter__()
        controller.set(translated(tmp_path / "table", manifests(origin, port), TABLE))
        await controller.answer()
        await soon(lambda: _renewed(edge), within=20)
        stop.set()
        await asking
        await controller.__aexit__()

    assert len(answers) > 50
    assert set(answers) == {200}


async def _renewed(edge: ClusterGateway) -> bool:
    """More streams than controllers: those after a new certificate."""
    return (await edge.metric("sekisho_discovery_connections_total") or 0.0) >= 6.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--role", "teapot"), "invalid choice: 'teapot'"),
        (("--role", "sidecar"), "--workload NAMESPACE/NAME"),
        (("--role", "sidecar", "--workload", "cart"), "not of the form NAMESPACE/NAME"),
        (("--role", "edge", "--workload", "shop/cart"), "--workload is for sidecars"),
    ],
)
def test_a_role_is_known_and_a_sidecar_knows_its_workload(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    needed = ("--trust-bundle", tmp_path / "ca.crt", "--token", tmp_path / "token")

    ended = run_sekisho("gateway", *arguments, "--controller", "https://localhost:15012", *needed)

    assert ended.returncode == 2
    assert said in ended.stderr


def test_a_controller_without_tls_is_refused(tmp_path: Path) -> None:
    needed = ("--trust-bundle", tmp_path / "ca.crt", "--token", tmp_path / "token")

    ended = run_sekisho("gateway", "--controller", "http://localhost:15012", *needed)

    assert ended.returncode == 2
    assert "https://HOST:PORT" in ended.stderr
