"""The admission webhook: an API server asks, over TLS that the authority certifies, whether a new pod gets a sidecar.

Owns the server and its bounds. What is answered is ``controller.inject``'s; which pods are asked about, and what
happens where nobody answers, is the MutatingWebhookConfiguration's, whose ``caBundle`` ``mesh_bundles`` keeps true.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from controller.ca.authority import Authority
from controller.ca.service_account import ServiceAccount
from controller.cluster.serving import server_names
from controller.config import CONTROLLER_SERVICE, ClusterSettings
from controller.inject import InjectionSettings, answer
from controller.inject.review import ReviewError
from controller.publish.request_body import refusal
from controller.publish.server import AuthorityServer, ServerIdentity
from gateway.admin.server import AdminAddress
from gateway.errors import SettingsError

PATH: Final = "/inject"
_MOST_BYTES: Final = 4 << 20
"""An API server takes objects of 1.5 MiB, and an update would bring two."""
_BODY_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)


def injection_settings(settings: ClusterSettings) -> InjectionSettings:
    """Sidecars run what gateways run, and find the controller where gateways do."""
    return InjectionSettings(
        image=settings.gateway_image,
        controller_url=settings.controller_url,
        image_pull_policy=settings.image_pull_policy,
        native=settings.native_sidecars,
    )


def injection_server(settings: ClusterSettings, address: AdminAddress, authority: Authority) -> AuthorityServer:
    """Bound, and not serving yet."""
    account = ServiceAccount(settings.namespace, CONTROLLER_SERVICE)
    identity = ServerIdentity(authority, account, server_names(settings))
    try:
        return AuthorityServer(address.host, address.port, injection_app(injection_settings(settings)), identity)
    except OSError as error:
        raise SettingsError(
            f"the injection address {address} cannot be bound: {error.strerror or error}",
            "choose another with --injection HOST:PORT",
        ) from error


def injection_app(settings: InjectionSettings) -> Starlette:
    """The ASGI application."""

    async def inject(request: Request) -> Response:
        try:
            review = msgspec.json.decode(await _body(request), type=dict)
            answered = answer(review, settings)
        except (msgspec.DecodeError, UnicodeDecodeError, ReviewError) as error:
            raise HTTPException(400, str(error)) from error
        return Response(msgspec.json.encode(answered), media_type="application/json")

    return Starlette(
        routes=[Route(PATH, inject, methods=["POST"])],
        exception_handlers={HTTPException: refusal},
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise HTTPException(413, f"the review is longer than {_MOST_BYTES} bytes")
    except TimeoutError as error:
        raise HTTPException(408, "the review did not arrive in time") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the review is not whole") from error
    return bytes(body)
