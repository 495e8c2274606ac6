from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from controller.ca.directory import AuthorityDirectory
from controller.ca.join_tokens import MOST_TOKENS, PREFIX, JoinTokenError, TokenBook, decoded_book
from controller.ca.service_account import ServiceAccount
from controller.ca.token_file import TOKENS_FILE, TokenFile
from tests.support.authorities import utc_now

NOW = utc_now()
HOUR = datetime.timedelta(hours=1)
EDGE = ServiceAccount("prod", "edge")


def test_a_token_proves_its_identity_once() -> None:
    book, token = TokenBook().with_new(EDGE, HOUR, NOW)
    assert token.startswith(PREFIX)
    used, account = book.without(token, NOW)
    assert account == EDGE
    with pytest.raises(JoinTokenError, match="was used before"):
        used.without(token, NOW)


def test_a_token_ends() -> None:
    book, token = TokenBook().with_new(EDGE, HOUR, NOW)
    with pytest.raises(JoinTokenError, match="ended on"):
        book.without(token, NOW + HOUR)


def test_what_was_never_made_proves_nothing() -> None:
    book, token = TokenBook().with_new(EDGE, HOUR, NOW)
    other = TokenBook().with_new(EDGE, HOUR, NOW)[1]
    for wrong in ("", PREFIX, token[:-1], token + "x", other, f"{token.rpartition('.')[0]}.", PREFIX + "x" * 10_000):
        with pytest.raises(JoinTokenError, match="no such join token"):
            book.without(wrong, NOW)


def test_there_are_no_more_than_can_be_kept_and_old_ones_go() -> None:
    book = TokenBook()
    for _ in range(MOST_TOKENS):
        book, _ = book.with_new(EDGE, HOUR, NOW)
    with pytest.raises(JoinTokenError, match="there are 1000 join tokens already"):
        book.with_new(EDGE, HOUR, NOW)
    assert len(book.with_new(EDGE, HOUR, NOW + datetime.timedelta(days=2))[0].tokens) == 1


@pytest.mark.parametrize("life", [datetime.timedelta(0), datetime.timedelta(days=8)])
def test_a_life_that_makes_no_sense_is_refused(life: datetime.timedelta) -> None:
    with pytest.raises(JoinTokenError, match="lives for"):
        TokenBook().with_new(EDGE, life, NOW)


def test_what_is_kept_does_not_tell_the_token(tmp_path: Path) -> None:
    file = TokenFile(AuthorityDirectory(tmp_path / "ca", utc_now), utc_now)
    token = file.create(EDGE, HOUR)
    path = tmp_path / "ca" / TOKENS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert token.rpartition(".")[2] not in path.read_text()


async def test_of_many_who_show_a_token_at_once_one_is_believed(tmp_path: Path) -> None:
    file = TokenFile(AuthorityDirectory(tmp_path / "ca", utc_now), utc_now)
    token = file.create(EDGE, HOUR)
    others = [TokenFile(AuthorityDirectory(tmp_path / "ca", utc_now), utc_now) for _ in range(8)]
    found = await asyncio.gather(*(other.redeem(token) for other in others), return_exceptions=True)
    assert [item for item in found if not isinstance(item, BaseException)] == [EDGE]
    assert all("used before" in str(item) for item in found if isinstance(item, BaseException))


async def test_tokens_that_cannot_be_read_are_no_tokens(tmp_path: Path) -> None:
    file = TokenFile(AuthorityDirectory(tmp_path / "ca", utc_now), utc_now)
    token = file.create(EDGE, HOUR)
    (tmp_path / "ca" / TOKENS_FILE).write_text("{")
    with pytest.raises(JoinTokenError, match="cannot be read"):
        await file.redeem(token)
    with pytest.raises(JoinTokenError, match="cannot be read"):
        decoded_book(b"[]")
