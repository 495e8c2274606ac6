"""Join tokens in the authority's directory: one file, changed under the directory's lock."""

from __future__ import annotations

import asyncio
import datetime
import logging
from typing import Final

import msgspec

from controller.ca.directory import AuthorityDirectory, Now
from controller.ca.join_tokens import JoinTokenError, TokenBook, decoded_book
from controller.ca.root import AuthorityError
from controller.ca.service_account import ServiceAccount

TOKENS_FILE: Final = "join-tokens.json"

logger = logging.getLogger(__name__)


class TokenFile:
    """Made by a command, redeemed by the server: two processes."""

    def __init__(self, directory: AuthorityDirectory, now: Now) -> None:
        self._directory = directory
        self._now = now

    def create(self, account: ServiceAccount, life: datetime.timedelta) -> str:
        """A new token."""
        with self._directory.locked():
            book, token = self._read().with_new(account, life, self._now())
            self._write(book)
        return token

    async def redeem(self, token: str) -> ServiceAccount:
        """Whose token it is, once; raises :class:`JoinTokenError`."""
        return await asyncio.to_thread(self._redeem, token)

    def _redeem(self, token: str) -> ServiceAccount:
        try:
            with self._directory.locked():
                book, account = self._read().without(token, self._now())
                # Kept before it is believed: a crash costs a token, and never lets one be used twice.
                self._write(book)
        except AuthorityError as error:
            logger.error("join tokens cannot be redeemed: %s", error)  # noqa: TRY400 - the text says all
            raise JoinTokenError("join tokens cannot be redeemed now") from error
        return account

    def _read(self) -> TokenBook:
        return decoded_book(self._directory.text(TOKENS_FILE).encode())

    def _write(self, book: TokenBook) -> None:
        self._directory.write(TOKENS_FILE, msgspec.json.encode(book).decode())
