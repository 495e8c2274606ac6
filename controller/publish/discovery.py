"""What the controller answers gateways: certificates, streams of updates, and their answers.

The protocol is described where it is owned, in ``gateway/routing_table/discovery.py``. Here it is decided who may ask
for what: identity comes from a verified token or certificate and from nothing that a request says. The
application does not know how its connections are made (``server``), nor what is in a table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.ca.authority import Authority, RequestError, utc_now
from controller.ca.service_account import IdentityError, ServiceAccount, UnverifiableError
from controller.publish.connection import Connection
from controller.publish.stream import Stream
from controller.publish.stream_response import Pace, StreamResponse
from controller.publish.subscriptions import Subscriptions, TooManyStreamsError
from gateway.routing_table import wire
from gateway.routing_table.discovery import (
    ANSWERS_PATH,
    CERTIFICATE_PATH,
    MAX_ANSWER_BYTES,
    MAX_RELAYED_BYTES,
    MAX_REQUEST_BYTES,
    STREAM_PATH,
    Hello,
    Relayed,
    Welcome,
)
from gateway.routing_table.model import FORMAT

_BODY_SECONDS: Final = 15.0
_REVIEW_SECONDS: Final = 10.0
_MOST_REVIEWS: Final = 64
_LONGEST_NAME: Final = 253
RELAY_COUNTS_FOR: Final = 20.0
"""Seconds for which what a replica relayed counts; it says it again much sooner."""

Message = TypeVar("Message", Hello, Relayed)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiscoveryParts:
    """What discovery needs of the rest of the controller."""

    subscriptions: Subscriptions
    authority: Authority
    tokens: Callable[[str], Awaitable[ServiceAccount | None]]
    """Whose token it is; None if nobody's. May raise ``UnverifiableError``."""
    table_of: Callable[[ServiceAccount], str | None]
    """The table of a gateway's service account."""
    account: ServiceAccount
    """The controller's own, which all its replicas have."""
    replica: str
    """The name of this process: its pod's."""
    pace: Pace = field(default_factory=Pace)


def discovery_app(parts: DiscoveryParts) -> Starlette:
    """The ASGI application."""
    endpoints = _Endpoints(parts)
    post = ["POST"]
    return Starlette(
        routes=[
            Route(CERTIFICATE_PATH, endpoints.certificate, methods=post),
            Route(STREAM_PATH, endpoints.stream, methods=post),
            Route(STREAM_PATH + "/{stream}/answer", endpoints.answer, methods=post),
            Route(ANSWERS_PATH, endpoints.answers, methods=post),
        ],
        exception_handlers={HTTPException: _refusal},
    )


async def _refusal(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


class _Endpoints:
    """One method an address."""

    def __init__(self, parts: DiscoveryParts) -> None:
        self._parts = parts
        self._reviews = asyncio.Semaphore(_MOST_REVIEWS)

    async def certificate(self, request: Request) -> Response:
        """Signs the key of a certificate request for whoever the token belongs to."""
        body = await _body(request, MAX_REQUEST_BYTES)
        account = await self._of_token(request)
        try:
            # On a thread: a signature is a millisecond that no stream should wait for.
            chain = await asyncio.to_thread(self._parts.authority.sign, body, account)
        except RequestError as error:
            raise HTTPException(400, str(error)) from error
        logger.info("a certificate was signed for %s", account)
        return Response(chain, media_type="application/x-pem-file")

    async def _of_token(self, request: Request) -> ServiceAccount:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise HTTPException(401, "a service-account token is needed: authorization: Bearer …")
        if self._reviews.locked():
            raise HTTPException(503, "too many tokens are being reviewed")
        try:
            async with self._reviews, asyncio.timeout(_REVIEW_SECONDS):
                account = await self._parts.tokens(token.strip())
        except (UnverifiableError, TimeoutError) as error:
            logger.warning("a token could not be reviewed: %s", error)
            raise HTTPException(503, "tokens cannot be reviewed now") from error
        if account is None:
            raise HTTPException(401, "the token is not valid here: expired, or meant for another audience")
        return account

    async def stream(self, request: Request) -> Response:
        """Opens a gateway's stream of updates."""
        body = await _body(request, MAX_REQUEST_BYTES + MAX_ANSWER_BYTES)
        account = self._account(request)
        table = self._table(account)
        hello = _decoded(body, Hello)
        if hello.format != FORMAT:
            raise HTTPException(400, f"format {hello.format} is not spoken here, but format {FORMAT}")
        if not 0 < len(hello.gateway) <= _LONGEST_NAME or not hello.gateway.isprintable():
            raise HTTPException(400, "the gateway's name is empty, too long or not printable")
        parts = self._parts
        try:
            opened = parts.subscriptions.open(hello.gateway, table, hello.holds)
        except TooManyStreamsError as error:
            raise HTTPException(503, str(error)) from error
        connection = Connection.of(request.scope)

        def allowed() -> bool:
            return parts.table_of(account) == table and connection.certificate_holds(utc_now())

        welcome = Welcome(
            stream=opened.id,
            controller=parts.replica,
            heartbeat_seconds=parts.pace.heartbeat,
            silence_seconds=parts.pace.silence,
        )
        return StreamResponse(opened, welcome, parts.subscriptions, connection, parts.pace, allowed)

    async def answer(self, request: Request) -> Response:
        """What a gateway holds, or that it is as before."""
        body = await _body(request, MAX_ANSWER_BYTES)
        stream = self._stream(request, self._account(request))
        try:
            holds = wire.decode_applied(body) if body else None
        except wire.WireError as error:
            raise HTTPException(400, str(error)) from error
        self._parts.subscriptions.answered(stream, holds)
        return Response(status_code=204)

    def _stream(self, request: Request, account: ServiceAccount) -> Stream:
        stream = self._parts.subscriptions.stream(request.path_params["stream"])
        if stream is None or stream.ended:
            raise HTTPException(404, "the stream has ended; open another")
        if self._table(account) != stream.table:
            raise HTTPException(403, f"the stream is not one of {account}")
        return stream

    async def answers(self, request: Request) -> Response:
        """What the gateways of another replica hold."""
        body = await _body(request, MAX_RELAYED_BYTES)
        account = self._account(request)
        if account != self._parts.account:
            raise HTTPException(403, f"{account} is not the controller")
        relayed = _decoded(body, Relayed)
        self._parts.subscriptions.take_relayed(relayed, RELAY_COUNTS_FOR)
        return Response(status_code=204)

    def _account(self, request: Request) -> ServiceAccount:
        connection = Connection.of(request.scope)
        if connection.certificate is None:
            raise HTTPException(401, "a client certificate is needed")
        if not connection.certificate_holds(utc_now()):
            raise HTTPException(401, "the client certificate has expired")
        try:
            return self._parts.authority.identity(connection.certificate)
        except IdentityError as error:
            raise HTTPException(403, str(error)) from error

    def _table(self, account: ServiceAccount) -> str:
        table = self._parts.table_of(account)
        if table is None:
            raise HTTPException(
                403, f"{account.uri(self._parts.authority.trust_domain)} has no table: no Gateway is its"
            )
        return table


async def _body(request: Request, most: int) -> bytes:
    """The whole body, within bounds of size and time; small for who has shown no certificate.

    It is read before anything is refused: hypercorn gives a connection up whose request is answered while its
    body is still on the way.
    """
    if Connection.of(request.scope).certificate is None:
        most = min(most, MAX_REQUEST_BYTES)
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise HTTPException(413, f"the body is longer than {most} bytes")
    except TimeoutError as error:
        raise HTTPException(408, "the body did not arrive in time") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the body is not whole") from error
    return bytes(body)


def _decoded(body: bytes, kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"not a {kind.__name__}: {error}") from error
