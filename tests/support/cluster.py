"""Whole controllers in the test's own process, on the fake API server, with gateways over real TLS."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import yaml

from controller.cluster.app import ClusterController
from controller.config import ClusterSettings, ProcessIdentity
from gateway.admin.server import AdminAddress
from tests.support.discovery import ControllerHalf, GatewayHalf
from tests.support.fake_apiserver import FakeApiServer, Object
from tests.support.kube import comes_true

NAMESPACE = "sekisho-system"
_ANY = AdminAddress("127.0.0.1", 0)


class RunningController:
    """One replica."""

    def __init__(self, server: FakeApiServer, directory: Path, name: str, **more: Any) -> None:
        """``more``: settings that are not those of the tests."""
        kubeconfig = directory / f"kubeconfig-{name}"
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(server.url)))
        settings = ClusterSettings(
            namespace=NAMESPACE,
            gateway_image="sekisho:test",
            discovery=_ANY,
            health=_ANY,
            admin=_ANY,
            kubeconfig=kubeconfig,
            controller_url="https://localhost",
            **{"lease_seconds": 2, **more},
        )
        self.app = ClusterController(settings, ProcessIdentity(name, "127.0.0.1"))
        self.task = asyncio.create_task(self.app.run(), name=name)

    async def serves(self) -> None:
        """Until gateways can connect."""
        await comes_true(lambda: self.app.discovery_port and self.app.read.is_set(), within=10.0, what="discovery")

    @property
    def leads(self) -> bool:
        return self.app.leads

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.app.stop()
        await self.task

    async def kill(self) -> None:
        """Without giving anything back, as far as a process can be killed inside another."""
        assert self.app._election is not None
        self.app._election._leads = False
        await self.stop()


@asynccontextmanager
async def controllers(
    server: FakeApiServer, directory: Path, *names: str, **more: Any
) -> AsyncIterator[list[RunningController]]:
    running = [RunningController(server, directory, name, **more) for name in names]
    try:
        yield running
    finally:
        for controller in running:
            if not controller.task.done():
                await controller.stop()


def kubeconfig_of(url: str) -> Object:
    return {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
    }


def gateway_of(
    server: FakeApiServer,
    controller: RunningController,
    directory: Path,
    *,
    gateway: str = "edge",
    namespace: str = "default",
    name: str = "edge-1",
) -> GatewayHalf:
    """A gateway as its pod would start it: token, mounted bundle, and no certificate yet."""
    token = f"token-of-{namespace}-{gateway}"
    server.accounts[token] = f"system:serviceaccount:{namespace}:{gateway}-sekisho"
    half = SimpleNamespace(
        url=f"https://localhost:{controller.app.discovery_port}", authority=SimpleNamespace(bundle_pem=bundle(server))
    )
    return GatewayHalf(directory / name, cast("ControllerHalf", half), token=token, name=name)


def bundle(server: FakeApiServer) -> str:
    """What is mounted into every gateway's pod."""
    return base64.b64decode(server.get("Secret", "sekisho-ca", NAMESPACE)["data"]["ca.crt"]).decode()


def give_address(server: FakeApiServer, gateway: str = "edge", namespace: str = "default") -> None:
    """The cluster's load balancer gives a Gateway's Service an address."""
    status = {"loadBalancer": {"ingress": [{"ip": "127.0.0.9"}]}}
    server.set_status("Service", f"{gateway}-sekisho", status, namespace)


def conditions(document: Object) -> dict[str, dict[str, Any]]:
    """Of a Gateway, by type."""
    found: list[dict[str, Any]] = document.get("status", {}).get("conditions", [])
    return {item["type"]: item for item in found}
