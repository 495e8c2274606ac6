"""Certificates and discovery on a socket: hypercorn behind TLS that asks for a client certificate without insisting.

hypercorn's own start-up takes keys from files only and does not tell an application whose certificate was
shown, so its connections are made here, each with the application wrapped for that one connection. Owns the
server's certificate and its rotation, and the bound on connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from starlette.applications import Starlette

from controller.ca.authority import Authority, AuthorityError, utc_now
from controller.ca.service_account import ServiceAccount
from controller.publish.connection import Connection, accepting_context, load_issued, server_context
from controller.publish.discovery import DiscoveryParts, discovery_app
from controller.publish.subscriptions import MOST_STREAMS

_BACKLOG: Final = 1024
_HANDSHAKE_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 2.0
_MOST_CONNECTIONS: Final = MOST_STREAMS + 1_000
_USER_TIMEOUT_MILLISECONDS: Final = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerIdentity:
    """Who a server is, and by whom it knows others."""

    authority: Authority
    account: ServiceAccount
    hosts: tuple[str, ...]
    """Names and addresses by which clients know it."""


class AuthorityServer:
    """One bound socket, and an application on it, certified by the authority itself."""

    def __init__(self, host: str, port: int, app: Starlette, identity: ServerIdentity) -> None:
        """Port 0 lets the system choose."""
        self._app = app
        self._identity = identity
        self._config = _config()
        self._context = self._certified()[0]
        self._accepting = accepting_context(lambda: self._context)
        self._changed = asyncio.Event()
        identity.authority.on_change(self._authority_changed)
        self._connections: set[asyncio.Task[None]] = set()
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until ``stop`` is set; then connections end, and gateways find another replica."""
        rotation = asyncio.create_task(self._rotate(), name="server-certificate")
        worker = WorkerContext(None)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(worker, reader, writer)

        server = await asyncio.start_server(
            connected,
            sock=self._socket,
            ssl=self._accepting,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            backlog=_BACKLOG,
        )
        try:
            await stop.wait()
        finally:
            rotation.cancel()
            server.close()
            await worker.terminated.set()
            self._stopping()
            if self._connections:
                await asyncio.wait(self._connections, timeout=_GRACE_SECONDS)
            for task in self._connections:
                task.cancel()
            await asyncio.gather(rotation, *self._connections, return_exceptions=True)

    def close(self) -> None:
        """Lets the address go where ``run`` was never reached."""
        self._socket.close()

    def _stopping(self) -> None:
        """What is to be ended before connections are waited for."""

    # --- the server's certificate ---------------------------------------------------------------

    def _certified(self) -> tuple[ssl.SSLContext, float]:
        """TLS for the next handshakes, and for how many seconds it is good."""
        authority = self._identity.authority
        issued = authority.issue(self._identity.account, self._identity.hosts)
        context = server_context(authority.bundle_pem)
        load_issued(context, issued)
        return context, (issued.ends - utc_now()).total_seconds()

    def _authority_changed(self) -> None:
        self._changed.set()

    async def _rotate(self) -> None:
        while True:
            try:
                self._context, lifetime = self._certified()
                logger.info("the server has a new certificate, good for %.0f s", lifetime)
                wait = max(lifetime * 2 / 3, 1.0)
            except AuthorityError as error:
                logger.error("the server goes on with its certificate: %s", error)  # noqa: TRY400 - the text says all
                wait = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            self._changed.clear()

    # --- connections ----------------------------------------------------------------------------

    async def _serve(self, worker: WorkerContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        connection = Connection(_peer_certificate(writer), writer.transport.abort)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            connection.put_into(scope)
            await self._app(scope, receive, send)

        try:
            await TCPServer(ASGIWrapper(app), asyncio.get_running_loop(), self._config, worker, {}, reader, writer)
        except Exception:
            # Whatever a peer made hypercorn stumble over has cost its own connection, and nothing else.
            logger.info("a connection of discovery broke", exc_info=True)
            writer.transport.abort()


class DiscoveryServer(AuthorityServer):
    """Discovery on a socket of its own."""

    def __init__(self, host: str, port: int, parts: DiscoveryParts, hosts: Iterable[str]) -> None:
        """``hosts``: names and addresses by which gateways know this server."""
        identity = ServerIdentity(parts.authority, parts.account, tuple(hosts))
        super().__init__(host, port, discovery_app(parts), identity)
        self._subscriptions = parts.subscriptions
        # A gateway is told of another bundle at once: until it has it, nothing may be signed by another root.
        parts.authority.on_change(parts.subscriptions.trust_changed)

    def _stopping(self) -> None:
        self._subscriptions.end_all()


def _peer_certificate(writer: asyncio.StreamWriter) -> x509.Certificate | None:
    connection = writer.get_extra_info("ssl_object")
    encoded = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
    return x509.load_der_x509_certificate(encoded) if encoded else None


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("sekisho.discovery")
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    # A stream lives for as long as its certificate, with an answer to every heartbeat.
    config.keep_alive_max_requests = 1 << 30
    config.h2_max_concurrent_streams = 16
    return config


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # Accepted connections inherit these: the kernel finds out that a host has vanished.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
