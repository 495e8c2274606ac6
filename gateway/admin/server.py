"""Serves the admin application on hypercorn: binds early, so that a taken address is said at once."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette

from gateway.errors import AdminAddressError, SettingsError

_BACKLOG = 64
_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class AdminAddress:
    """``HOST:PORT``; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, option: str = "--admin") -> AdminAddress:
        """From the command line; ``[::1]:9901`` for IPv6."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65_535:
            raise SettingsError(f"{option} {text!r} is not of the form HOST:PORT", "for example 127.0.0.1:9901")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{self}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class AdminServer:
    """One bound socket, and later the application on it."""

    def __init__(self, address: AdminAddress, option: str = "--admin") -> None:
        """``option``: what a person can set where the address cannot be bound."""
        self._socket = _bind(address, option)
        self.address = AdminAddress(address.host, self._socket.getsockname()[1])

    async def run(self, app: Starlette, stop: asyncio.Event) -> None:
        """Serves until ``stop`` is set."""
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.accesslog = None
        config.errorlog = logging.getLogger("sekisho.admin")
        config.include_server_header = False
        config.graceful_timeout = _GRACE_SECONDS
        await serve(app, config, shutdown_trigger=stop.wait, mode="asgi")  # type: ignore[arg-type]

    def close(self) -> None:
        """Lets the address go where ``run`` was never reached."""
        self._socket.close()


def _bind(address: AdminAddress, option: str) -> socket.socket:
    try:
        family, kind, protocol, _, sockaddr = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AdminAddressError(f"{option} {address} cannot be used: {error.strerror}", f"set {option}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(sockaddr)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise AdminAddressError(
            f"{option} {address} cannot be bound: {_cause(error)}", f"choose another with {option} HOST:PORT"
        ) from error
    return bound


def _cause(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there, perhaps another sekisho"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root"
    return error.strerror or str(error)
