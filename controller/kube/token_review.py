"""Whose service-account token it is, as the API server says (``authentication.k8s.io/v1`` TokenReview)."""

from __future__ import annotations

import logging

from controller.ca.service_account import IdentityError, ServiceAccount, UnverifiableError
from controller.kube.client import Api, ApiError, UnreachableError

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"

logger = logging.getLogger(__name__)


class TokenReview:
    """Verifies tokens of one audience. Callable, so that it is what discovery asks for."""

    def __init__(self, api: Api, audience: str) -> None:
        self._api = api
        self._audience = audience

    async def __call__(self, token: str) -> ServiceAccount | None:
        """The token's service account; None where it proves nothing here."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._api.create(_PATH, body)
        except (ApiError, UnreachableError) as error:
            raise UnverifiableError(f"the API server did not review a token: {error}") from error
        status = answer.get("status") or {}
        # A server that does not know audiences would authenticate a token that was meant for somebody else.
        if not status.get("authenticated") or self._audience not in (status.get("audiences") or ()):
            logger.info("a token was refused: %s", status.get("error") or "not authenticated for this audience")
            return None
        try:
            return ServiceAccount.of_user(str((status.get("user") or {}).get("username", "")))
        except IdentityError as error:
            logger.info("a token was refused: %s", error)
            return None
