"""Time for tests of the Kubernetes side, waiting for what must come true, and documents."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
START = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


class HastyClock:
    """Waits are noted and hardly waited for; the time is the machine's."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> datetime.datetime:
        return START

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(min(seconds, 0.01))


class SetClock:
    """Moves when the test says so; nobody waits."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


async def comes_true(probe: Callable[[], object], *, within: float = 5.0, what: str = "") -> None:
    """Until ``probe`` is true; the event loop runs meanwhile."""
    deadline = time.monotonic() + within
    while not probe():
        assert time.monotonic() < deadline, f"{what or 'the condition'} did not come true within {within} s"
        await asyncio.sleep(0.005)


async def stays_true(probe: Callable[[], object], *, seconds: float = 0.15) -> None:
    """For that long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe()
        await asyncio.sleep(0.005)


def http_route(name: str, port: int = 80, namespace: str = "default", **spec: Any) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [{"backendRefs": [{"name": "shop", "port": port}]}],
            **spec,
        },
    }


def broken(document: Object) -> Object:
    """As an API server with looser rules would accept it."""
    return {**document, "spec": {**document["spec"], "rules": "none"}}


def gateway(name: str = "edge", class_name: str = "sekisho") -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"gatewayClassName": class_name, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }


def gateway_class(name: str = "sekisho") -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": "sekisho.dev/gateway-controller"},
    }


def service(name: str = "shop", namespace: str = "default") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    }


def config_map(name: str, text: str = "x", namespace: str = "default") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"text": text},
    }


def secret(name: str, type_: str = "Opaque") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": type_,
        "data": {"password": "aHVudGVyMg=="},
    }
