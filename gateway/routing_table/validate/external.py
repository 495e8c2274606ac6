"""Rules on a service that is asked for authorization."""

from __future__ import annotations

from typing import Final

from gateway.routing_table.model import ExternalAuthorization, Header
from gateway.routing_table.validate.names import Problems, at, bounded, each, header_name, header_value, key, path

_MAX_HEADERS: Final = 256
_MAX_TIMEOUT_MS: Final = 600_000
_UNSETTABLE: Final = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that belong to a connection or frame a message: no answer of a service may set them."""


def external_authorization(it: ExternalAuthorization) -> Problems:
    """Everything about it but whether its backend is there."""
    yield from at("backend", key(it.backend))
    if it.path_prefix:
        yield from at("path_prefix", path(it.path_prefix))
        if it.path_prefix.endswith("/"):
            yield "path_prefix: it ends with '/', and so would begin the path; leave that out"
    if not 1 <= it.timeout_ms <= _MAX_TIMEOUT_MS:
        yield f"timeout_ms: {it.timeout_ms} is not between 1 and {_MAX_TIMEOUT_MS}"
    if not 400 <= it.status_on_error <= 599:
        yield f"status_on_error: {it.status_on_error} is no error; write a status from 400 to 599"
    yield from at("additional_headers", bounded(len(it.additional_headers), _MAX_HEADERS, "headers"))
    yield from each("additional_headers", it.additional_headers, _header)
    for field, patterns in (
        ("request_headers", it.request_headers),
        ("upstream_headers", it.upstream_headers),
        ("downstream_headers_on_allow", it.downstream_headers_on_allow),
        ("downstream_headers_on_deny", it.downstream_headers_on_deny),
    ):
        yield from at(field, bounded(len(patterns), _MAX_HEADERS, "names"))
        yield from each(field, patterns, name_pattern)


def _header(header: Header) -> Problems:
    yield from at("name", header_name(header.name))
    yield from at("name", _settable(header.name))
    yield from at("value", header_value(header.value))


def name_pattern(pattern: str) -> Problems:
    """A name, its beginning before ``*``, its end after ``*``, or ``*`` for all."""
    if pattern == "*":
        return
    name = pattern.removesuffix("*") if pattern.endswith("*") else pattern.removeprefix("*")
    if "*" in name:
        yield f"{pattern!r} has '*' in more than one place; keep one"
    yield from header_name(name)
    yield from _settable(pattern)


def _settable(name: str) -> Problems:
    if name in _UNSETTABLE:
        yield f"{name!r} belongs to the connection and is written by the gateway; leave it out"
