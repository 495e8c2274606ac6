"""Certificates for who proves who he is: part of discovery.

Owns which proofs count, and what is told of those that do not. The name in a certificate is that of the proof, and
never one that the request asks for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.ca.authority import Authority, AuthorityError, DeniedError, RequestError, requested_key, utc_now
from controller.ca.join_tokens import PREFIX, JoinTokenError, Redeem
from controller.ca.service_account import IdentityError, ServiceAccount, UnverifiableError
from controller.publish.connection import Connection
from controller.publish.request_body import read_body
from gateway.routing_table.discovery import BUNDLE_PATH, CERTIFICATE_PATH, MAX_REQUEST_BYTES

_REVIEW_SECONDS: Final = 10.0
_MOST_REVIEWS: Final = 64
_PEM: Final = "application/x-pem-file"

Tokens = Callable[[str], Awaitable[ServiceAccount | None]]
"""Whose service-account token it is; None if nobody's. May raise ``UnverifiableError``."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proofs:
    """What counts as a proof besides a certificate."""

    tokens: Tokens | None = None
    """None: service-account tokens are not taken."""
    join: Redeem | None = None
    """None: join tokens are not taken."""


def certificate_routes(authority: Authority, proofs: Proofs) -> list[Route]:
    """What answers requests for certificates."""
    certificates = _Certificates(authority, proofs)
    return [
        Route(CERTIFICATE_PATH, certificates.certificate, methods=["POST"]),
        Route(BUNDLE_PATH, certificates.bundle, methods=["GET"]),
    ]


def certified(request: Request, authority: Authority) -> ServiceAccount:
    """Whose certificate the connection showed, if it is good now and he is not denied."""
    connection = Connection.of(request.scope)
    if connection.certificate is None:
        raise HTTPException(401, "a client certificate is needed")
    if not connection.certificate_holds(utc_now()):
        raise HTTPException(401, "the client certificate has expired")
    try:
        account = authority.identity(connection.certificate)
    except IdentityError as error:
        raise HTTPException(403, str(error)) from error
    if authority.denies(account):
        raise HTTPException(403, f"{account.uri(authority.trust_domain)} is denied")
    return account


class _Certificates:
    """One method an address."""

    def __init__(self, authority: Authority, proofs: Proofs) -> None:
        self._authority = authority
        self._proofs = proofs
        self._reviews = asyncio.Semaphore(_MOST_REVIEWS)

    async def bundle(self, _request: Request) -> Response:
        """What to verify others by: no secret."""
        return Response(self._authority.bundle_pem, media_type=_PEM)

    async def certificate(self, request: Request) -> Response:
        """Signs the key of a certificate request for who proved who he is."""
        body = await read_body(request, MAX_REQUEST_BYTES)
        try:
            account = await self._proven(request, body)
            # On a thread: a signature is a millisecond that no stream should wait for.
            chain = await asyncio.to_thread(self._authority.sign, body, account)
        except DeniedError as error:
            logger.warning("a certificate was refused: %s", error)
            raise HTTPException(403, str(error)) from error
        except RequestError as error:
            raise HTTPException(400, str(error)) from error
        except AuthorityError as error:
            logger.error("no certificate can be signed: %s", error)  # noqa: TRY400 - the text says all
            raise HTTPException(503, "no certificate can be signed now") from error
        logger.info("a certificate was signed for %s", account)
        return Response(chain, media_type=_PEM)

    async def _proven(self, request: Request, body: bytes) -> ServiceAccount:
        authorization = request.headers.get("authorization", "")
        if not authorization and Connection.of(request.scope).certificate is not None:
            return certified(request, self._authority)
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise HTTPException(
                401,
                "a proof of identity is needed: authorization: Bearer with a service-account token or a join token, "
                "or the certificate that is to be renewed",
            )
        if self._reviews.locked():
            raise HTTPException(503, "too many tokens are being reviewed")
        try:
            async with self._reviews, asyncio.timeout(_REVIEW_SECONDS):
                if token.startswith(PREFIX):
                    # Before it is spent: a token is good once, and a bad request is easily mended.
                    await asyncio.to_thread(requested_key, body)
                    return await self._joined(token)
                return await self._reviewed(token)
        except (UnverifiableError, TimeoutError) as error:
            logger.warning("a token could not be reviewed: %s", error)
            raise HTTPException(503, "tokens cannot be reviewed now") from error

    async def _joined(self, token: str) -> ServiceAccount:
        if self._proofs.join is None:
            raise HTTPException(401, "join tokens are not taken here")
        try:
            account = await self._proofs.join(token)
        except JoinTokenError as error:
            logger.warning("a join token was refused: %s", error)
            raise HTTPException(401, "the join token is not valid: used before, expired, or unknown here") from error
        logger.info("a join token was redeemed for %s", account)
        return account

    async def _reviewed(self, token: str) -> ServiceAccount:
        if self._proofs.tokens is None:
            raise HTTPException(401, "service-account tokens are not taken here")
        account = await self._proofs.tokens(token)
        if account is None:
            raise HTTPException(401, "the token is not valid here: expired, or meant for another audience")
        return account
