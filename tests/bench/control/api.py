"""The API server as the benchmark writes to it: objects as plain dictionaries, many at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.kube.client import Api, ApiError
from controller.kube.connection import from_kubeconfig
from tests.support.manifests import Manifest

_PLURALS = {
    "Namespace": "namespaces",
    "Service": "services",
    "Pod": "pods",
    "EndpointSlice": "endpointslices",
    "Gateway": "gateways",
    "HTTPRoute": "httproutes",
    "GatewayParameters": "gatewayparameters",
}
_CONCURRENCY = 16


def collection(manifest: Manifest) -> str:
    """The path of the collection that an object is in."""
    version = manifest["apiVersion"]
    group = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    space = manifest["metadata"].get("namespace")
    return f"{group}{f'/namespaces/{space}' if space else ''}/{_PLURALS[manifest['kind']]}"


def path(manifest: Manifest) -> str:
    return f"{collection(manifest)}/{manifest['metadata']['name']}"


class Objects:
    """Creates, changes and removes objects."""

    def __init__(self) -> None:
        self.api = Api(from_kubeconfig(Path(os.environ["KUBECONFIG"])), user_agent="bench-control")

    async def create(self, manifest: Manifest) -> None:
        await self.api.create(collection(manifest), manifest)

    async def merge(self, manifest: Manifest, **changed: Any) -> None:
        """A merge patch of top-level fields."""
        await self.api.merge(path(manifest), changed)

    async def delete(self, manifest: Manifest) -> None:
        with suppress(ApiError):  # gone already
            await self.api.delete(path(manifest))

    async def read(self, manifest: Manifest) -> dict[str, Any]:
        return await self.api.get(path(manifest))

    async def pods(self, labels: str) -> list[dict[str, Any]]:
        found = await self.api.get("/api/v1/pods", {"labelSelector": labels})
        return list(found["items"])

    async def create_all(self, manifests: Iterable[Manifest]) -> None:
        await _each(self.create, manifests)

    async def delete_all(self, manifests: Iterable[Manifest]) -> None:
        await _each(self.delete, manifests)

    async def close(self) -> None:
        await self.api.close()


async def _each(work: Any, manifests: Iterable[Manifest]) -> None:
    """A fixed number of writers over one iterator."""
    rest = iter(manifests)

    async def writer() -> None:
        for manifest in rest:
            await work(manifest)

    await asyncio.gather(*(writer() for _ in range(_CONCURRENCY)))
