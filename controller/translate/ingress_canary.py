"""Canaries of ingress-nginx: a second Ingress for a host and path that takes a part of its requests.

Owns which requests a canary takes: by header first, then by cookie, then by weight. The route that
results is that of the Ingress it stands beside: see ``ingress_routes``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from controller.translate.ingress_texts import Texts
from gateway.routing_table import model

CANARY_ANNOTATIONS = (
    "canary",
    "canary-by-cookie",
    "canary-by-header",
    "canary-by-header-pattern",
    "canary-by-header-value",
    "canary-weight",
    "canary-weight-total",
)
_MAX_TOTAL = 1_000_000
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_ALWAYS, _NEVER = "always", "never"


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests go to the canary; ``weight`` of ``total`` of those that no header or cookie decides."""

    weight: int = 0
    total: int = 100
    header: str = ""
    """Lower case."""
    value: str = ""
    pattern: str = ""
    """Full match, as everywhere in the routing table."""
    cookie: str = ""


class Split(NamedTuple):
    """Requests that one kind of answer goes to: those with this header."""

    header: model.ValueMatch
    to_canary: bool


def read_canary(texts: Texts) -> Canary | None:
    """The canary that an Ingress is, or None."""
    if not texts.flag("canary"):
        return None
    total = texts.number("canary-weight-total", 100, _MAX_TOTAL) or 100
    header, cookie = (_name(texts, name) for name in ("canary-by-header", "canary-by-cookie"))
    value, pattern = texts.take("canary-by-header-value"), texts.take("canary-by-header-pattern")
    if (value or pattern) and not header:
        texts.without_effect("canary-by-header-value" if value else "canary-by-header-pattern", "no header is named")
    return Canary(
        weight=min(texts.number("canary-weight", 0, _MAX_TOTAL), total),
        total=total,
        header=header.lower(),
        value=value,
        pattern=f".*(?:{pattern}).*" if pattern and not value else "",
        cookie=cookie,
    )


def _name(texts: Texts, annotation: str) -> str:
    name = texts.take(annotation)
    if name and not _TOKEN.match(name):
        texts.without_effect(annotation, f"{name!r} is no name of a header or cookie")
        return ""
    return name


def splits(canary: Canary) -> Iterator[Split]:
    """What decides before the weight, in the order in which it does."""
    if canary.header:
        if canary.value:
            yield Split(model.ValueMatch(name=canary.header, value=canary.value), to_canary=True)
        elif canary.pattern:
            yield Split(_regex(canary.header, canary.pattern), to_canary=True)
        else:
            yield Split(model.ValueMatch(name=canary.header, value=_ALWAYS), to_canary=True)
            yield Split(model.ValueMatch(name=canary.header, value=_NEVER), to_canary=False)
    if canary.cookie:
        yield Split(_cookie(canary.cookie, _ALWAYS), to_canary=True)
        yield Split(_cookie(canary.cookie, _NEVER), to_canary=False)


def _cookie(name: str, value: str) -> model.ValueMatch:
    # Cookies stand in one field, or in one field each, which are joined with commas.
    return _regex("cookie", rf"(?:.*[;,] *)?{re.escape(name)}={value}(?: *[;,].*)?")


def _regex(name: str, pattern: str) -> model.ValueMatch:
    kind: Literal["RegularExpression"] = "RegularExpression"
    return model.ValueMatch(name=name, value=pattern, type=kind)
