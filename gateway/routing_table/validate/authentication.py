"""Rules on request authentications.

The keys themselves are judged where they are used: a set without a usable one refuses tokens, and nothing else.
"""

from __future__ import annotations

from typing import Final

from gateway.routing_table.model import ClaimHeader, RequestAuthentication, TokenHeader, TokenRule
from gateway.routing_table.validate.names import (
    Problems,
    at,
    bounded,
    each,
    header_name,
    header_value,
    text_bounded,
    token,
)

_MAX_RULES: Final = 64
_MAX_ITEMS: Final = 64
_MAX_TEXT_BYTES: Final = 1024
_MAX_KEYS_BYTES: Final = 1 << 20
_OF_THE_MESSAGE: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
)


def request_authentication(authentication: RequestAuthentication) -> Problems:
    """The rules; what was refused already has none."""
    yield from at("rules", bounded(len(authentication.rules), _MAX_RULES, "rules"))
    yield from each("rules", authentication.rules, _rule)


def _rule(rule: TokenRule) -> Problems:
    yield from at("issuer", _text(rule.issuer))
    yield from at("keys", text_bounded(rule.keys, _MAX_KEYS_BYTES))
    for field in ("audiences", "from_headers", "from_params", "from_cookies", "output_claim_to_headers"):
        yield from at(field, bounded(len(getattr(rule, field)), _MAX_ITEMS, "items"))
    yield from each("audiences", rule.audiences, _text)
    yield from each("from_headers", rule.from_headers, _token_header)
    yield from each("from_params", rule.from_params, _text)
    yield from each("from_cookies", rule.from_cookies, token)
    if rule.output_payload_to_header:
        yield from at("output_payload_to_header", _header(rule.output_payload_to_header))
    yield from each("output_claim_to_headers", rule.output_claim_to_headers, _claim_header)


def _token_header(header: TokenHeader) -> Problems:
    yield from at("name", _header(header.name))
    yield from at("prefix", header_value(header.prefix))


def _claim_header(output: ClaimHeader) -> Problems:
    yield from at("header", _header(output.header))
    yield from at("claim", _text(output.claim))


def _text(text: str) -> Problems:
    if not text:
        yield "the text is empty; write one"
    yield from text_bounded(text, _MAX_TEXT_BYTES)


def _header(name: str) -> Problems:
    """No header that says where a message ends or whom it is for: it is nobody's to take tokens from or write to."""
    yield from header_name(name)
    if name in _OF_THE_MESSAGE:
        yield f"{name!r} belongs to the message itself; use another header"
