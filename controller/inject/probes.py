"""Probes of the kubelet, led through the sidecar.

Where plaintext is refused, the kubelet's is too. So its HTTP and TCP probes, and hooks that are requests, go to the
sidecar's health port, and the sidecar asks the workload (``gateway/admin/app_probes.py``). Probes of gRPC stay as they
are; commands run inside the workload anyway.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.inject.settings import HEALTH_PORT

VARIABLE: Final = "SEKISHO_APP_PROBES"
"""Of the sidecar: what it is to ask for each path, in JSON."""
_PROBES: Final = {"livenessProbe": "live", "readinessProbe": "ready", "startupProbe": "started"}
_HOOKS: Final = ("postStart", "preStop")
_SECONDS: Final = 1
_KINDS: Final = ("httpGet", "tcpSocket")


def led_through(containers: list[dict[str, Any]], address: str = "") -> str:
    """Rewrites the probes of ``containers`` in place; what the sidecar has to know of them, empty for nothing.

    ``address``: where the workload listens; empty: at the pod's.
    """
    where = {"address": address} if address else {}
    asked: dict[str, Any] = {}
    for container in containers:
        for path, handler, seconds in _handlers(container):
            kind = next((kind for kind in _KINDS if kind in handler), "")
            number = _port(container, handler[kind].get("port")) if kind else 0
            if not number or handler[kind].get("host"):
                continue  # Asked of another host: not the workload's own port.
            asked[path] = {kind: {**handler.pop(kind), "port": number}, "timeoutSeconds": seconds, **where}
            handler["httpGet"] = {"path": path, "port": HEALTH_PORT}
    return json.dumps(asked, sort_keys=True) if asked else ""


def restored(containers: list[dict[str, Any]], known: str) -> None:
    """Undoes :func:`led_through` in place."""
    asked = json.loads(known) if known else {}
    for container in containers:
        for path, handler, _ in _handlers(container):
            if (handler.get("httpGet") or {}).get("path") == path and path in asked:
                del handler["httpGet"]
                handler.update({kind: value for kind, value in asked[path].items() if kind in _KINDS})


def _handlers(container: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Path at the sidecar, the handler, and for how many seconds it may take."""
    for field, name in _PROBES.items():
        if container.get(field):
            probe = container[field]
            yield f"/app-health/{container['name']}/{name}", probe, int(probe.get("timeoutSeconds") or _SECONDS)
    for hook in _HOOKS:
        handler = (container.get("lifecycle") or {}).get(hook)
        if handler and "tcpSocket" not in handler:
            yield f"/app-health/{container['name']}/{hook}", handler, _SECONDS * 10


def _port(container: Mapping[str, Any], port: object) -> int:
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdecimal():
        return int(port)
    named = (one for one in container.get("ports") or () if one.get("name") == port)
    return next((int(one["containerPort"]) for one in named), 0)


def copied(containers: object) -> list[dict[str, Any]]:
    """Containers that may be changed."""
    return copy.deepcopy(list(containers)) if isinstance(containers, list | tuple) else []
