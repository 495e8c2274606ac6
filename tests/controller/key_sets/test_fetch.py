"""One fetch of keys: from a good server, and from ones that are down, slow, huge, or say something else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from controller.key_sets import fetch as fetching
from controller.key_sets.fetch import MAX_BYTES, FetchError, fetch
from controller.resources import DISCOVERY
from tests.support.tokens import Issuer

ISSUER = Issuer()
KEYS = "https://issuer.example/keys"
Handler = Callable[[httpx.Request], httpx.Response]


def asking(handler: Handler, location: str = KEYS) -> fetching.Fetched:
    async def ask() -> fetching.Fetched:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler), follow_redirects=False) as client:
            return await fetch(client, location)

    return asyncio.run(ask())


def test_keys_come_as_they_are_with_their_age() -> None:
    fetched = asking(lambda _: httpx.Response(200, text=ISSUER.jwks(), headers={"cache-control": "public, max-age=60"}))
    assert (fetched.keys, fetched.max_age) == (ISSUER.jwks(), 60)
    assert asking(lambda _: httpx.Response(200, text=ISSUER.jwks())).max_age is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(500), "500"),
        (httpx.Response(302, headers={"location": "http://169.254.169.254/"}), "302"),
        (httpx.Response(200, text="<html>sign in</html>"), "no JSON Web Key Set"),
        (httpx.Response(200, text='{"keys": []}'), "no usable key"),
        (httpx.Response(200, content=b"\xff\xfe"), "no text"),
        (httpx.Response(200, content=b" " * (MAX_BYTES + 1)), "larger than"),
    ],
)
def test_what_is_of_no_use_is_said(answer: httpx.Response, problem: str) -> None:
    with pytest.raises(FetchError, match=problem):
        asking(lambda _: answer)


def test_a_server_that_is_down_is_said() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(FetchError, match="connection refused"):
        asking(down)


def test_a_slow_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.05)

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    with pytest.raises(FetchError, match="no whole answer"):
        asking(lambda _: httpx.Response(200, stream=Drip()))


def test_an_issuer_says_where_its_keys_are() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        document = json.dumps({"issuer": ISSUER.name, "jwks_uri": KEYS})
        return httpx.Response(200, text=document if request.url.path == DISCOVERY else ISSUER.jwks())

    assert asking(answer, ISSUER.name + DISCOVERY).keys == ISSUER.jwks()
    assert asked == [ISSUER.name + DISCOVERY, KEYS]


@pytest.mark.parametrize("named", ["file:///etc/passwd", "", 7])
def test_an_issuer_names_no_other_place_than_the_web(named: object) -> None:
    with pytest.raises(FetchError, match="jwks_uri"):
        asking(lambda _: httpx.Response(200, text=json.dumps({"jwks_uri": named})), ISSUER.name + DISCOVERY)
