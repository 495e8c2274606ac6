"""Messages of the SPIFFE Workload API, as far as X.509 identities go (``X509SVIDResponse``), in protobuf's wire format.

Owns reading them: fields that are not known are passed over, as protobuf has it, and what is malformed is refused.
"""

from __future__ import annotations

import base64
import ssl
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.identity.credentials import Credentials, IdentityError, client_context

METHOD: Final = "/SpiffeWorkloadAPI/FetchX509SVID"
METADATA: Final = {"workload.spiffe.io": "true"}
"""Without it a Workload API answers nobody: it keeps requests out that others were talked into sending."""

_SVIDS: Final = 1
_SPIFFE_ID, _CHAIN, _KEY, _BUNDLE = 1, 2, 3, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SEQUENCE: Final = 0x30


@dataclass(frozen=True)
class WorkloadIdentity:
    """The first identity of an answer, which is the one to use where nothing else is said."""

    credentials: Credentials
    bundle: str
    """PEM."""


def decoded(message: bytes) -> WorkloadIdentity:
    """What a Workload API says; raises :class:`IdentityError`."""
    svid = next((value for field, value in _fields(message) if field == _SVIDS), None)
    if svid is None:
        raise IdentityError("the Workload API has no identity for this process")
    found = dict(_fields(svid))
    chain = _certificates(found.get(_CHAIN, b""))
    bundle = _certificates(found.get(_BUNDLE, b""))
    credentials = Credentials.of(chain, _key(found.get(_KEY, b"")))
    said = found.get(_SPIFFE_ID, b"").decode(errors="replace")
    if said != credentials.uri:
        raise IdentityError(f"the Workload API says {said!r}, and its certificate {credentials.uri!r}")
    if not bundle:
        raise IdentityError("the Workload API gives no trust bundle")
    client_context(bundle)
    return WorkloadIdentity(credentials, bundle)


def _key(der: bytes) -> str:
    """PKCS #8, as PEM."""
    if not der:
        raise IdentityError("the Workload API gives no private key")
    text = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"


def _certificates(der: bytes) -> str:
    """One after the other without anything between, as PEM."""
    found = []
    rest = der
    while rest:
        length = _length_of_der(rest)
        found.append(ssl.DER_cert_to_PEM_cert(rest[:length]))
        rest = rest[length:]
    return "".join(found)


def _length_of_der(data: bytes) -> int:
    if len(data) < 2 or data[0] != _SEQUENCE:
        raise IdentityError("the Workload API gives something that is no certificate")
    if data[1] < 0x80:
        return 2 + data[1]
    size = data[1] & 0x7F
    if not 1 <= size <= 4 or len(data) < 2 + size:
        raise IdentityError("the Workload API gives something that is no certificate")
    return 2 + size + int.from_bytes(data[2 : 2 + size], "big")


# --- protobuf ---------------------------------------------------------------------------------------


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of every field of bytes; numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if length is None:
            if kind != _BYTES:
                raise IdentityError("the Workload API's answer is no protobuf")
            length, at = _varint(message, at)
        if at + length > len(message):
            raise IdentityError("the Workload API's answer is cut off")
        if kind == _BYTES:
            yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise IdentityError("the Workload API's answer is cut off")
