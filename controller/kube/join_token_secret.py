"""Join tokens of a cluster, for machines outside of it: a Secret, changed only from the version that was read.

Of two replicas that redeem one token at once, the API server lets one write; the other reads that it was used.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import logging
from typing import Any, Final

import msgspec

from controller.ca.authority import utc_now
from controller.ca.join_tokens import JoinTokenError, TokenBook, decoded_book
from controller.ca.service_account import ServiceAccount, UnverifiableError
from controller.kube.client import Api, ApiError, UnreachableError

SECRET_NAME: Final = "sekisho-join-tokens"  # noqa: S105 - a name
_KEY: Final = "tokens.json"
_TRIES: Final = 5

logger = logging.getLogger(__name__)


class TokenSecret:
    """Made by a command, redeemed by every replica."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._collection = f"/api/v1/namespaces/{namespace}/secrets"

    async def create(self, account: ServiceAccount, life: datetime.timedelta) -> str:
        """A new token; raises :class:`JoinTokenError`, and errors of the API server."""
        for _ in range(_TRIES):
            secret = await self._read()
            book, token = _book(secret).with_new(account, life, utc_now())
            if await self._write(secret, book):
                return token
        raise JoinTokenError("the join tokens are changed by others all the time; try again")

    async def redeem(self, token: str) -> ServiceAccount:
        """Whose token it is, once; raises :class:`JoinTokenError`, or ``UnverifiableError`` where nobody can say."""
        try:
            for _ in range(_TRIES):
                secret = await self._read()
                book, account = _book(secret).without(token, utc_now())
                if await self._write(secret, book):
                    return account
        except (ApiError, UnreachableError) as error:
            raise UnverifiableError(f"the API server did not let a join token be redeemed: {error}") from error
        raise UnverifiableError("the join tokens are changed by others all the time")

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self._api.get(f"{self._collection}/{SECRET_NAME}")
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def _write(self, secret: dict[str, Any] | None, book: TokenBook) -> bool:
        """Whether it was written; False where somebody else came first."""
        data = {_KEY: base64.b64encode(msgspec.json.encode(book)).decode()}
        try:
            if secret is None:
                metadata = {"name": SECRET_NAME, "namespace": self._namespace}
                body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
                await self._api.create(self._collection, body)
            else:
                await self._api.replace(f"{self._collection}/{SECRET_NAME}", {**secret, "data": data})
        except ApiError as error:
            if error.status != 409:
                raise
            return False
        return True


def _book(secret: dict[str, Any] | None) -> TokenBook:
    text = ((secret or {}).get("data") or {}).get(_KEY, "")
    try:
        return decoded_book(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise JoinTokenError(f"Secret {SECRET_NAME} does not hold join tokens: {error}") from error
