"""Probes of a sidecar's workload, asked on behalf of the kubelet.

Where plaintext is refused, the kubelet's requests are too. Injection leads its probes here
(``controller/inject/probes.py``), and the sidecar, whose connections to the workload are not captured, asks it. Only
what was written down at injection is asked for, and of the answer only its status is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.admin.probe_request import reach, status_of
from gateway.errors import SettingsError

VARIABLE: Final = "SEKISHO_APP_PROBES"
_REFUSED: Final = 503


class HTTPGet(msgspec.Struct, frozen=True, rename="camel"):
    """A request; headers as Kubernetes writes them."""

    port: int
    path: str = "/"
    scheme: str = "HTTP"
    http_headers: tuple[Mapping[str, str], ...] = ()


class TCPSocket(msgspec.Struct, frozen=True):
    """A connection, closed at once."""

    port: int


class AppProbe(msgspec.Struct, frozen=True, rename="camel"):
    """What is asked of the workload. ``address`` empty: the pod's own."""

    http_get: HTTPGet | None = None
    tcp_socket: TCPSocket | None = None
    timeout_seconds: int = 1
    address: str = ""


class AppProbes:
    """By the path at which the kubelet asks."""

    def __init__(self, probes: Mapping[str, AppProbe], address: str) -> None:
        self._probes = probes
        self._address = address or "127.0.0.1"

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> AppProbes:
        """What injection wrote into the environment; raises ``SettingsError``."""
        try:
            probes = msgspec.json.decode(environment.get(VARIABLE) or "{}", type=dict[str, AppProbe])
        except msgspec.DecodeError as error:
            raise SettingsError(f"{VARIABLE} is not usable: {error}", "inject the workload anew") from error
        return cls(probes, environment.get("POD_IP", ""))

    async def answer(self, request: Request) -> Response:
        """200 to 399 is good."""
        probe = self._probes.get(request.url.path)
        if probe is None:
            return PlainTextResponse("no such probe\n", 404)
        try:
            async with asyncio.timeout(probe.timeout_seconds):
                return PlainTextResponse("", await self._ask(probe))
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            return PlainTextResponse(f"{type(error).__name__}: {error}\n", _REFUSED)

    async def _ask(self, probe: AppProbe) -> int:
        address = probe.address or self._address
        # An address that was given may be anybody's.
        own = not probe.address
        if probe.tcp_socket is not None:
            (await reach(address, probe.tcp_socket.port, own=own)).close()
            return 200
        get = probe.http_get
        if get is None:
            return _REFUSED
        host = f"[{address}]:{get.port}" if ":" in address else f"{address}:{get.port}"
        connection = await reach(address, get.port, own=own)
        return await status_of(connection, host, get.path, _headers(get), tls=get.scheme.upper() == "HTTPS")


def _headers(get: HTTPGet) -> list[tuple[str, str]]:
    return [(header["name"], header["value"]) for header in get.http_headers if {"name", "value"} <= header.keys()]
