"""What the controller answers gateways: streams of updates, and their answers; certificates are ``certificates``'s.

The protocol is described where it is owned, in ``gateway/routing_table/discovery.py``. Here it is decided who may ask
for what: identity comes from a verified token or certificate and from nothing that a request says. The
application does not know how its connections are made (``server``), nor what is in a table.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.ca.authority import Authority, utc_now
from controller.ca.join_tokens import Redeem
from controller.ca.service_account import ServiceAccount
from controller.publish.certificates import Proofs, Tokens, certificate_routes, certified
from controller.publish.connection import Connection
from controller.publish.places import TableOf
from controller.publish.request_body import read_body, refusal
from controller.publish.stream import Shown, Stream
from controller.publish.stream_response import Pace, StreamResponse, StreamRules
from controller.publish.subscriptions import Subscriptions, TooManyStreamsError
from gateway.routing_table import wire
from gateway.routing_table.discovery import (
    ANSWERS_PATH,
    BUNDLE_HEADER,
    MAX_ANSWER_BYTES,
    MAX_RELAYED_BYTES,
    MAX_REQUEST_BYTES,
    ROOT_KEY_HEADER,
    STREAM_PATH,
    Hello,
    Relayed,
    Trust,
    Welcome,
)
from gateway.routing_table.model import FORMAT

_LONGEST_NAME: Final = 253
_LONGEST_WORD: Final = 128
_LONGEST_WORKLOAD: Final = 2 * _LONGEST_NAME + 1
RELAY_COUNTS_FOR: Final = 20.0
"""Seconds for which what a replica relayed counts; it says it again much sooner."""

Message = TypeVar("Message", Hello, Relayed)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiscoveryParts:
    """What discovery needs of the rest of the controller."""

    subscriptions: Subscriptions
    authority: Authority
    tokens: Tokens | None
    """Whose token it is; None if nobody's. May raise ``UnverifiableError``. None: none are taken."""
    table_of: TableOf
    account: ServiceAccount
    """The controller's own, which all its replicas have."""
    replica: str
    """The name of this process: its pod's."""
    pace: Pace = field(default_factory=Pace)
    join: Redeem | None = None
    """Whose join token it is, once; None: none are taken."""


def discovery_app(parts: DiscoveryParts) -> Starlette:
    """The ASGI application."""
    endpoints = _Endpoints(parts)
    post = ["POST"]
    return Starlette(
        routes=[
            *certificate_routes(parts.authority, Proofs(parts.tokens, parts.join)),
            Route(STREAM_PATH, endpoints.stream, methods=post),
            Route(STREAM_PATH + "/{stream}/answer", endpoints.answer, methods=post),
            Route(ANSWERS_PATH, endpoints.answers, methods=post),
        ],
        exception_handlers={HTTPException: refusal},
    )


class _Endpoints:
    """One method an address."""

    def __init__(self, parts: DiscoveryParts) -> None:
        self._parts = parts

    async def stream(self, request: Request) -> Response:
        """Opens a gateway's stream of updates."""
        body = await read_body(request, MAX_REQUEST_BYTES + MAX_ANSWER_BYTES)
        account = self._account(request)
        hello = _decoded(body, Hello)
        if hello.format != FORMAT:
            raise HTTPException(400, f"format {hello.format} is not spoken here, but format {FORMAT}")
        if not 0 < len(hello.gateway) <= _LONGEST_NAME or not hello.gateway.isprintable():
            raise HTTPException(400, "the gateway's name is empty, too long or not printable")
        if len(hello.workload) > _LONGEST_WORKLOAD or not hello.workload.isprintable():
            raise HTTPException(400, "the workload's name is too long or not printable")
        table = self._table(account, hello.workload)
        parts = self._parts
        try:
            opened = parts.subscriptions.open(hello.gateway, table, hello.holds, hello.workload)
        except TooManyStreamsError as error:
            raise HTTPException(503, str(error)) from error
        connection = Connection.of(request.scope)
        opened.shown = Shown(account.uri(parts.authority.trust_domain), connection.certificate_ends)

        def allowed() -> bool:
            denied = parts.authority.denies(account)
            return (
                not denied
                and parts.table_of(account, hello.workload) == table
                and connection.certificate_holds(utc_now())
            )

        def trust() -> Trust:
            return Trust(bundle=parts.authority.bundle_pem, root_key=parts.authority.root_key)

        welcome = Welcome(
            stream=opened.id,
            controller=parts.replica,
            heartbeat_seconds=parts.pace.heartbeat,
            silence_seconds=parts.pace.silence,
            trust=trust(),
        )
        rules = StreamRules(parts.pace, allowed, trust)
        return StreamResponse(opened, welcome, parts.subscriptions, connection, rules)

    async def answer(self, request: Request) -> Response:
        """What a gateway holds, or that it is as before."""
        body = await read_body(request, MAX_ANSWER_BYTES)
        stream = self._stream(request, self._account(request))
        try:
            holds = wire.decode_applied(body) if body else None
        except wire.WireError as error:
            raise HTTPException(400, str(error)) from error
        self._parts.subscriptions.answered(stream, holds)
        words = (request.headers.get(name, "")[:_LONGEST_WORD] for name in (BUNDLE_HEADER, ROOT_KEY_HEADER))
        self._parts.subscriptions.trusts(stream, *words)
        return Response(status_code=204)

    def _stream(self, request: Request, account: ServiceAccount) -> Stream:
        stream = self._parts.subscriptions.stream(request.path_params["stream"])
        if stream is None or stream.ended:
            raise HTTPException(404, "the stream has ended; open another")
        if self._table(account, stream.workload) != stream.table:
            raise HTTPException(403, f"the stream is not one of {account}")
        return stream

    async def answers(self, request: Request) -> Response:
        """What the gateways of another replica hold."""
        body = await read_body(request, MAX_RELAYED_BYTES)
        account = self._account(request)
        if account != self._parts.account:
            raise HTTPException(403, f"{account} is not the controller")
        relayed = _decoded(body, Relayed)
        self._parts.subscriptions.take_relayed(relayed, RELAY_COUNTS_FOR)
        return Response(status_code=204)

    def _account(self, request: Request) -> ServiceAccount:
        return certified(request, self._parts.authority)

    def _table(self, account: ServiceAccount, workload: str) -> str:
        table = self._parts.table_of(account, workload)
        if table is None:
            identity = account.uri(self._parts.authority.trust_domain)
            reason = (
                f"no workload {workload} with a sidecar is known that has this service account"
                if workload
                else "no Gateway is its"
            )
            raise HTTPException(403, f"{identity} has no table: {reason}")
        return table


def _decoded(body: bytes, kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"not a {kind.__name__}: {error}") from error
