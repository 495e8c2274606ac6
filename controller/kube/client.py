"""Requests to the API server: JSON in, JSON out, and streams of watch events.

Owns transport: connections, time limits, tokens, and what an answer's status means. Must not know what
the objects are, nor try anything again: whoever asks knows whether that makes sense.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from controller.kube.connection import Connection
from controller.kube.rest import RestClient, rest_client

REQUEST_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
_MAX_WAIT_SECONDS: Final = 300.0

Query = Mapping[str, str]


class ApiError(Exception):
    """The API server answered, and not as hoped."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds, where the answer named them."""

    @property
    def expired(self) -> bool:
        """The resource version or continuation asked for is too old."""
        return self.status == 410


class UnreachableError(Exception):
    """No usable answer: the connection failed, broke, or stayed silent."""


@dataclass(frozen=True)
class _Configuration:
    """The attributes that the REST layer reads."""

    ssl_ca_cert: str | None
    cert_file: str | None
    key_file: str | None
    tls_server_name: str | None
    verify_ssl: bool
    disable_strict_ssl_verification: bool = False
    connection_pool_maxsize: int = 0
    proxy: str | None = None
    proxy_headers: None = None


class Api:
    """One API server. Use it on one event loop, and close it."""

    def __init__(self, connection: Connection, user_agent: str = "sekisho-controller") -> None:
        self._connection = connection
        self._user_agent = user_agent
        self._rest: RestClient | None = None

    async def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Reads an object or a list."""
        return await self._exchange("GET", path, query, None, "application/json")

    async def create(self, path: str, body: Mapping[str, Any], query: Query | None = None) -> dict[str, Any]:
        """Makes an object in the collection ``path``."""
        return await self._exchange("POST", path, query, body, "application/json")

    async def replace(self, path: str, body: Mapping[str, Any], query: Query | None = None) -> dict[str, Any]:
        """Replaces an object; the resource version in ``body`` guards it."""
        return await self._exchange("PUT", path, query, body, "application/json")

    async def merge(self, path: str, body: Mapping[str, Any], query: Query | None = None) -> dict[str, Any]:
        """Patches an object (RFC 7396); a resource version in ``body`` guards it."""
        return await self._exchange("PATCH", path, query, body, "application/merge-patch+json")

    async def apply(self, path: str, body: Mapping[str, Any], query: Query) -> dict[str, Any]:
        """Server-side apply; ``query`` names the ``fieldManager``."""
        return await self._exchange("PATCH", path, query, body, "application/apply-patch+yaml")

    async def delete(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Removes an object."""
        return await self._exchange("DELETE", path, query, None, "application/json")

    async def watch(self, path: str, query: Query, silence: float) -> AsyncGenerator[dict[str, Any], None]:
        """Events as they come, until the server ends the stream.

        A stream that says nothing for ``silence`` seconds is given up: its connection may be dead without
        either side having been told.
        """
        limits = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=silence)
        with _transport_errors(path):
            response = await self._request("GET", path, query, None, "application/json", limits)
            try:
                if response.status != 200:
                    raise self._error(response, await response.read())
                _detect_dead_peer(response)
                pending = bytearray()
                async for chunk in response.content.iter_any():
                    pending += chunk
                    *lines, rest = pending.split(b"\n") if b"\n" in chunk else (pending,)
                    for line in lines:
                        if line.strip():
                            yield _decoded(bytes(line))
                    pending = bytearray(rest)
                    if len(pending) > _MAX_EVENT_BYTES:
                        raise UnreachableError(f"{path}: one event is larger than {_MAX_EVENT_BYTES} bytes")
            finally:
                # Not released into the pool: the rest of the stream would be read first.
                response.close()

    async def close(self) -> None:
        """Closes every connection and forgets private files."""
        await self._drop()
        self._connection.forget()

    async def _drop(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest.close()

    async def _exchange(
        self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None, content_type: str
    ) -> dict[str, Any]:
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=_CONNECT_SECONDS)
        try:
            with _transport_errors(path):
                response = await self._request(method, path, query, body, content_type, limits)
                async with response:
                    content = await response.read()
        except UnreachableError as error:
            if isinstance(error.__cause__, ssl.SSLError | aiohttp.ClientSSLError):
                # The authority's file may have been rotated: the next request loads it anew.
                await self._drop()
            raise
        if not 200 <= response.status <= 299:
            raise self._error(response, content)
        return _decoded(content)

    async def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": self._user_agent}
        token = self._connection.token.read()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._rest is None:
            self._rest = rest_client(
                _Configuration(
                    ssl_ca_cert=self._connection.authority,
                    cert_file=self._connection.certificate,
                    key_file=self._connection.key,
                    tls_server_name=self._connection.server_name,
                    verify_ssl=self._connection.verify,
                )
            )
        response: aiohttp.ClientResponse = await self._rest.request(
            method,
            self._connection.server + path,
            query_params=dict(query) if query else None,
            headers=headers,
            body=dict(body) if body is not None else None,
            _preload_content=False,
            _request_timeout=limits,
        )
        return response

    def _error(self, response: aiohttp.ClientResponse, content: bytes) -> ApiError:
        if response.status == 401:
            self._connection.token.refused()
        try:
            status = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            status = {}
        fields = status if isinstance(status, dict) else {}
        return ApiError(
            response.status,
            str(fields.get("reason") or response.reason or ""),
            str(fields.get("message") or ""),
            _retry_after(response.headers.get("Retry-After", "")),
        )


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreachableError(f"the API server sent something that is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreachableError("the API server sent something that is not an object")
    return value


def _retry_after(value: str) -> float | None:
    return min(float(value), _MAX_WAIT_SECONDS) if value.isdecimal() else None


@contextlib.contextmanager
def _transport_errors(path: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise UnreachableError(f"{path}: no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnreachableError(f"{path}: {str(error) or type(error).__name__}") from error


def _detect_dead_peer(response: aiohttp.ClientResponse) -> None:
    """Let the kernel probe an idle stream, which finds a vanished host within half a minute."""
    connection = response.connection
    transport = connection.transport if connection is not None else None
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
