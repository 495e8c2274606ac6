"""Join tokens: each proves one identity, once, for who has no service account to show: standalone, and machines.

Owns what a token is and when it is good. Only its digest is kept. The book of tokens is a value; where it is kept
(``token_file``, or a cluster's Secret) sees to it that two who redeem at once do not both succeed.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from controller.ca.service_account import ServiceAccount

PREFIX: Final = "sekisho-join."
"""By which a join token is told from others."""
MOST_TOKENS: Final = 1_000
LONGEST_LIFE: Final = datetime.timedelta(days=7)
_REMEMBERED: Final = datetime.timedelta(days=1)
"""For so long after its end a token is known, so that its refusal can say why."""
_SECRET_BYTES: Final = 32
_LONGEST_TOKEN: Final = 200

Redeem = Callable[[str], Awaitable[ServiceAccount]]
"""Takes a token; raises :class:`JoinTokenError`."""


class JoinTokenError(Exception):
    """A token that proves nothing, or cannot be made; the text says why."""


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a token."""

    id: str
    digest: str
    namespace: str
    name: str
    ends: datetime.datetime
    used: datetime.datetime | None = None


class TokenBook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All tokens. Every operation makes another book."""

    tokens: tuple[TokenRecord, ...] = ()

    def with_new(
        self, account: ServiceAccount, life: datetime.timedelta, now: datetime.datetime
    ) -> tuple[TokenBook, str]:
        """One more token, which is told here and nowhere else; raises :class:`JoinTokenError`."""
        if not datetime.timedelta(0) < life <= LONGEST_LIFE:
            raise JoinTokenError(f"a join token lives for more than nothing and at most {LONGEST_LIFE.days} days")
        kept = self._remembered(now)
        if len(kept) >= MOST_TOKENS:
            raise JoinTokenError(f"there are {MOST_TOKENS} join tokens already: use them, or wait until they end")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        record = TokenRecord(
            id=secrets.token_hex(6),
            digest=_digest(secret),
            namespace=account.namespace,
            name=account.name,
            ends=now + life,
        )
        return TokenBook(tokens=(*kept, record)), f"{PREFIX}{record.id}.{secret}"

    def without(self, token: str, now: datetime.datetime) -> tuple[TokenBook, ServiceAccount]:
        """The token is used up, and whose it is; raises :class:`JoinTokenError`."""
        record = self._found(token)
        account = ServiceAccount(record.namespace, record.name)
        if record.used is not None:
            raise JoinTokenError(
                f"join token {record.id} of {account} was used before, on {record.used:%F %T}: "
                "if that was not you, deny this identity"
            )
        if now >= record.ends:
            raise JoinTokenError(f"join token {record.id} of {account} ended on {record.ends:%F %T}")
        used = msgspec.structs.replace(record, used=now)
        tokens = tuple(used if other is record else other for other in self._remembered(now))
        return TokenBook(tokens=tokens), account

    def _found(self, token: str) -> TokenRecord:
        name, _, secret = token.removeprefix(PREFIX).partition(".")
        digest = _digest(secret)
        for record in self.tokens if len(token) <= _LONGEST_TOKEN else ():
            if record.id == name and hmac.compare_digest(record.digest, digest):
                return record
        raise JoinTokenError("no such join token")

    def _remembered(self, now: datetime.datetime) -> tuple[TokenRecord, ...]:
        return tuple(record for record in self.tokens if now < record.ends + _REMEMBERED)


def decoded_book(content: bytes) -> TokenBook:
    """As it is kept; raises :class:`JoinTokenError`."""
    if not content.strip():
        return TokenBook()
    try:
        return msgspec.json.decode(content, type=TokenBook)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JoinTokenError(f"the join tokens that are kept cannot be read: {error}") from error


def _digest(secret: str) -> str:
    # The secret is 256 random bits: there is nothing to guess, and nothing that a slow digest would protect.
    return hashlib.sha256(secret.encode()).hexdigest()
