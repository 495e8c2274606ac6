"""One fetch of a key set: bounded in time and size, from http and https alone, and never redirected.

A redirect would let whoever answers at an address choose another one for the controller to ask.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import httpx
import msgspec

from controller.resources import DISCOVERY
from controller.translate.jwks import key_set_problem

TIMEOUT_SECONDS: Final = 5.0
"""For a whole document, however slowly it comes."""
MAX_BYTES: Final = 1 << 20
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class FetchError(Exception):
    """Why there are no keys, in words for people."""


class Fetched(msgspec.Struct, frozen=True):
    """A good answer."""

    keys: str
    max_age: float | None = None
    """Seconds for which the answer may be kept, where it says so."""


async def fetch(client: httpx.AsyncClient, location: str) -> Fetched:
    """The keys at a location, or those that an issuer's own document names. Raises :class:`FetchError`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if location.endswith(DISCOVERY):
                location = _named(await _document(client, location))
            response = await _document(client, location)
    except TimeoutError:
        raise FetchError(f"no whole answer came within {TIMEOUT_SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchError(str(error) or type(error).__name__) from error
    try:
        keys = response.content.decode()
    except UnicodeDecodeError:
        raise FetchError("the answer is no text") from None
    problem = key_set_problem(keys)
    if problem:
        raise FetchError(f"the answer is of no use: {problem}")
    return Fetched(keys, _max_age(response.headers.get("cache-control", "")))


class _Document(msgspec.Struct, frozen=True):
    content: bytes
    headers: httpx.Headers


async def _document(client: httpx.AsyncClient, location: str) -> _Document:
    async with client.stream("GET", location, headers={"accept": "application/json"}) as response:
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"the answer is {response.status_code}, not 200")
        content = bytearray()
        async for piece in response.aiter_bytes(chunk_size=64 * 1024):
            content += piece
            if len(content) > MAX_BYTES:
                raise FetchError(f"the answer is larger than {MAX_BYTES} bytes")
        return _Document(bytes(content), response.headers)


class _Configuration(msgspec.Struct, frozen=True):
    jwks_uri: str


def _named(document: _Document) -> str:
    try:
        location = msgspec.json.decode(document.content, type=_Configuration).jwks_uri
    except msgspec.DecodeError as error:
        raise FetchError(f"the issuer's document names no jwks_uri: {error}") from error
    if not location.startswith(("https://", "http://")):
        raise FetchError("the jwks_uri of the issuer's document is no http or https URL")
    return location


def _max_age(cache_control: str) -> float | None:
    found = _MAX_AGE.search(cache_control)
    return float(found[1]) if found else None


def client() -> httpx.AsyncClient:
    """A client for any number of fetches. Proxies and certificates of the environment count, as for other programs."""
    settings: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "follow_redirects": False}
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=16, max_keepalive_connections=4), **settings)
