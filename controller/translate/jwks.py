"""JSON Web Key Sets (RFC 7517), looked at before they are handed out.

Owns whether a set has a key that the engine can use: the same rules as there, for what is to be said of it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

MAX_KEYS: Final = 256
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
_MAX_EXPONENT_BYTES: Final = 4
_POINT_BYTES: Final = {("EC", "P-256"): 32, ("EC", "P-384"): 48, ("OKP", "Ed25519"): 32}


class _Key(msgspec.Struct, frozen=True):
    kty: str
    use: str | None = None
    key_ops: tuple[str, ...] | None = None
    kid: str | None = None
    alg: str | None = None
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _Set(msgspec.Struct, frozen=True):
    keys: tuple[msgspec.Raw, ...]


def key_set_problem(text: str) -> str | None:
    """Why no token can be proved by the set, or None."""
    try:
        found = msgspec.json.decode(text, type=_Set)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "it is no JSON Web Key Set"
    if any(map(_is_usable, found.keys[:MAX_KEYS])):
        return None
    return "it holds no usable key: RSA of 2048 bits and more, P-256, P-384 and Ed25519 are, for signatures"


def _is_usable(document: msgspec.Raw) -> bool:
    try:
        key = msgspec.json.decode(document, type=_Key)
    except msgspec.DecodeError:
        return False
    if key.use not in (None, "sig") or (key.key_ops is not None and "verify" not in key.key_ops):
        return False
    if key.kty == "RSA":
        bits, exponent = int.from_bytes(_decoded(key.n)).bit_length(), _decoded(key.e).lstrip(b"\0")
        return _MIN_RSA_BITS <= bits <= _MAX_RSA_BITS and 1 <= len(exponent) <= _MAX_EXPONENT_BYTES
    size = _POINT_BYTES.get((key.kty, key.crv))
    coordinates = (key.x, key.y) if key.kty == "EC" else (key.x,)
    return size is not None and all(len(_decoded(coordinate)) == size for coordinate in coordinates)


def _decoded(text: str) -> bytes:
    """Base64url without padding; nothing for what is none."""
    if "=" in text or "+" in text or "/" in text:
        return b""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
