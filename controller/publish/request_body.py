"""A request's body, within bounds of size and time; and refusals as they are told."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from controller.publish.connection import Connection
from gateway.routing_table.discovery import MAX_REQUEST_BYTES

_BODY_SECONDS: Final = 15.0


async def read_body(request: Request, most: int) -> bytes:
    """All of it; small for who has shown no certificate.

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


async def refusal(_request: Request, error: Exception) -> Response:
    """Every refusal is JSON that says why."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code)
