"""Rules on filters, of a rule or of one of its backends."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, assert_never

from gateway.routing_table.model import (
    CORS,
    CredentialInjection,
    ExternalAuth,
    Filter,
    Header,
    PathModifier,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    ResponseHeaderModifier,
    SecretHeader,
    SourceRanges,
    URLRewrite,
)
from gateway.routing_table.validate.authorization import address_block
from gateway.routing_table.validate.external import external_authorization
from gateway.routing_table.validate.names import (
    MAX_UNSIGNED_16,
    MAX_UNSIGNED_32,
    Problems,
    at,
    bounded,
    count,
    each,
    header_name,
    header_value,
    hostname,
    key,
    path,
    port,
    text_bounded,
    token,
    within,
)

_MAX_FILTERS: Final = 64
_MAX_HEADERS: Final = 256
MAX_BLOCKS: Final = 4096
_MAX_SOURCE_BYTES: Final = 1024
_MAX_ORIGINS: Final = 256
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*\Z")
FRAMING_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that frame a message or belong to one connection: the engine alone writes them."""
_RESERVED: Final = FRAMING_HEADERS | {"host"}


def filters(steps: tuple[Filter, ...]) -> Problems:
    """The list in the field ``filters``."""
    yield from at("filters", bounded(len(steps), _MAX_FILTERS, "filters"))
    yield from each("filters", steps, _filter)


def share_filters(steps: tuple[Filter, ...]) -> Problems:
    """The same of a share, which is chosen when it is known who may come."""
    yield from filters(steps)
    for index, step in enumerate(steps):
        if isinstance(step, ExternalAuth):
            yield f"filters[{index}]: ExternalAuth is for a rule; move it there"
        if isinstance(step, SourceRanges):
            yield f"filters[{index}]: SourceRanges is for a rule; move it there"


def _filter(step: Filter) -> Problems:
    match step:
        case RequestHeaderModifier() | ResponseHeaderModifier():
            yield from _header_modifier(step)
        case RequestRedirect():
            yield from _request_redirect(step)
        case URLRewrite():
            yield from _url_rewrite(step)
        case RequestMirror():
            yield from _request_mirror(step)
        case CORS():
            yield from _cors(step)
        case ExternalAuth():
            yield from at("provider", external_authorization(step.provider))
        case CredentialInjection():
            yield from _credential_injection(step)
        case SourceRanges():
            yield from _source_ranges(step)
        case _:
            assert_never(step)


def _header_modifier(step: RequestHeaderModifier | ResponseHeaderModifier) -> Problems:
    for field, headers in (("set", step.set), ("add", step.add)):
        yield from at(field, bounded(len(headers), _MAX_HEADERS, "headers"))
        yield from each(field, headers, _header)
    yield from at("remove", bounded(len(step.remove), _MAX_HEADERS, "headers"))
    yield from each("remove", step.remove, changeable)


def _source_ranges(step: SourceRanges) -> Problems:
    for field, blocks in (("allow", step.allow), ("deny", step.deny)):
        yield from at(field, bounded(len(blocks), MAX_BLOCKS, "blocks"))
        yield from each(field, blocks, address_block)
    if not step.allow and not step.deny:
        yield "it names nobody; set allow or deny"


def _credential_injection(step: CredentialInjection) -> Problems:
    yield from at("headers", bounded(len(step.headers), _MAX_HEADERS, "headers"))
    if not step.headers:
        yield "headers: it sets nothing; name a header"
    yield from each("headers", step.headers, _secret_header)
    yield from at("source", text_bounded(step.source, _MAX_SOURCE_BYTES))


def _secret_header(header: SecretHeader) -> Problems:
    yield from at("name", changeable(header.name))
    yield from at("value", secret_value(header.value))


def secret_value(value: str) -> Problems:
    """As of any header, and never shown."""
    if not value or any(header_value(value)):
        yield "the value is empty, too long, or holds control characters"


def _header(header: Header) -> Problems:
    yield from at("name", changeable(header.name))
    yield from at("value", header_value(header.value))


def changeable(name: str) -> Problems:
    """A header that filters may set."""
    yield from header_name(name)
    if name in _RESERVED:
        yield f"{name!r} is written by the gateway; leave it out (for 'host', use a URLRewrite filter)"


def _request_redirect(step: RequestRedirect) -> Problems:
    if step.hostname:
        yield from at("hostname", hostname(step.hostname))
    yield from _path_modifier(step.path)
    if step.port is not None:
        yield from at("port", port(step.port))


def _url_rewrite(step: URLRewrite) -> Problems:
    if step.hostname:
        yield from at("hostname", hostname(step.hostname))
    yield from _path_modifier(step.path)


def _path_modifier(modifier: PathModifier | None) -> Problems:
    # Empty stands for "/", as in the table of the API's HTTPPathModifier.
    if modifier is not None and modifier.value:
        yield from at("path.value", path(modifier.value))


def _request_mirror(step: RequestMirror) -> Problems:
    yield from at("backend", key(step.backend))
    yield from at("denominator", count(step.denominator))
    yield from at("numerator", within(step.numerator, 0, step.denominator))


def _cors(step: CORS) -> Problems:
    yield from at("allow_origins", bounded(len(step.allow_origins), _MAX_ORIGINS, "origins"))
    yield from each("allow_origins", step.allow_origins, _origin)
    yield from at("allow_methods", bounded(len(step.allow_methods), _MAX_HEADERS, "methods"))
    yield from each("allow_methods", step.allow_methods, token)
    for field, names in (("allow_headers", step.allow_headers), ("expose_headers", step.expose_headers)):
        yield from at(field, bounded(len(names), _MAX_HEADERS, "headers"))
        yield from each(field, names, lambda name: header_name(name.lower()))
    yield from at("max_age_seconds", within(step.max_age_seconds, 0, MAX_UNSIGNED_32))


def _origin(text: str) -> Problems:
    if text != "*" and not _is_origin(text):
        yield f"{text!r} is not an origin; write '*', or scheme and host such as 'https://*.example.com'"


def _is_origin(text: str) -> bool:
    """Scheme, host with wildcards anywhere to the left, and an optional port."""
    scheme, separator, rest = text.partition("://")
    host, colon, number = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, colon, number = rest, "", ""
    port_fits = not colon or number == "*" or (_is_decimal(number) and 0 < int(number) <= MAX_UNSIGNED_16)
    host_fits = host == "*" or not any(hostname(host.replace("*", "x"))) or _is_ipv6(host)
    return bool(separator) and bool(_SCHEME.match(scheme)) and host_fits and port_fits


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return host.startswith("[") and host.endswith("]")
