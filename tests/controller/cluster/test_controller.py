"""`sekisho controller` whole: objects on a fake API server in, tables over TLS, statuses and manifests out."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import httpx
import msgspec

from gateway.admin.status import StatusReport
from tests.support.cluster import (
    NAMESPACE,
    bundle,
    conditions,
    controllers,
    gateway_of,
    give_address,
    kubeconfig_of,
)
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import comes_true, http_route
from tests.support.ports import free_port

PROPAGATIONS = "sekisho_controller_propagation_seconds_count"


async def test_from_objects_to_a_programmed_gateway(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        container = server.get("Deployment", "edge-sekisho")["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "sekisho:test"
        assert server.get("ConfigMap", "edge-sekisho")["data"]["ca.crt"] == bundle(server)
        await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Accepted"]["status"] == "True")
        assert conditions(server.get("Gateway", "edge"))["Programmed"]["status"] != "True"
        give_address(server)
        async with gateway_of(server, one, tmp_path) as edge:
            await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Programmed"]["status"] == "True")
            assert [route.key for route in edge.engine.table.routes] == ["HTTPRoute/default/a/0"]
            server.put(http_route("b"))
            await comes_true(lambda: len(edge.engine.table.routes) == 2)


async def test_what_it_tells_of_itself(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one") as (one,), httpx.AsyncClient(trust_env=False) as client:
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        async with gateway_of(server, one, tmp_path) as edge:
            await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Programmed"]["status"] == "True")
            server.put(http_route("b"))
            await comes_true(lambda: len(edge.engine.table.routes) == 2)
            await comes_true(lambda: one.app._telemetry.registry.get_sample_value(PROPAGATIONS))
            report = msgspec.json.decode((await client.get(f"{one.app.admin_url}/status")).content, type=StatusReport)
            metrics = (await client.get(f"{one.app.health_url}/metrics")).text
            page = (await client.get(f"{one.app.admin_url}/")).text
        assert [gateway.name for gateway in report.gateways] == ["default/edge: edge-1"]
        assert report.gateways[0].version == report.gateways[0].wanted
        edge_object = next(item for item in report.objects if item.kind == "Gateway")
        assert {item.type: item.status for item in edge_object.conditions}["Programmed"] == "True"
        assert 'sekisho_controller_objects{kind="HTTPRoute"} 2.0' in metrics
        assert "sekisho_controller_leader 1.0" in metrics
        assert "sekisho_controller_connected_gateways 1.0" in metrics
        assert "Gateway/default/edge" in page
        assert (await client.get(f"{one.app.health_url}/status")).status_code == 404
        assert (await client.get(f"{one.app.admin_url}/explain?url=http://a/")).status_code == 404


async def test_the_process_stops_on_a_signal_and_gives_the_lease_back(server: FakeApiServer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(kubeconfig_of(server.url)))
    ports = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    options = ["--discovery", ports[0], "--health", ports[1], "--admin", ports[2], "--kubeconfig", str(kubeconfig)]
    command = ["-m", "controller.cli", "controller", "--namespace", NAMESPACE, "--gateway-image", "sekisho:test"]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, *options, stderr=asyncio.subprocess.PIPE)
    try:
        await comes_true(lambda: server.all("Deployment"), within=20.0)
        assert server.get("Lease", "sekisho-controller", NAMESPACE)["spec"]["holderIdentity"]
        process.terminate()
        _, errors = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert "holderIdentity" not in server.get("Lease", "sekisho-controller", NAMESPACE)["spec"]
    assert b"Traceback" not in errors
