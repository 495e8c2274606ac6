"""Cross-origin annotations of ingress-nginx, with its defaults."""

from __future__ import annotations

import re

from controller.translate.ingress_texts import Texts
from controller.translate.matches import METHODS
from gateway.routing_table import model

CORS_ANNOTATIONS = (
    "cors-allow-credentials",
    "cors-allow-headers",
    "cors-allow-methods",
    "cors-allow-origin",
    "cors-expose-headers",
    "cors-max-age",
)
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
_HEADERS = (
    "DNT",
    "Keep-Alive",
    "User-Agent",
    "X-Requested-With",
    "If-Modified-Since",
    "Cache-Control",
    "Content-Type",
    "Range",
    "Authorization",
)
_MAX_AGE = 1_728_000
_MOST_AGE = 2**31 - 1
_ORIGIN = re.compile(r"(?:\*|https?://(?:\*\.)?[A-Za-z0-9.-]+(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?)\Z")
_METHOD = re.compile(rf"(?:\*|{'|'.join(sorted(METHODS))})\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


def read_cors(texts: Texts) -> model.CORS | None:
    """The filter, where it is asked for."""
    if not texts.flag("enable-cors"):
        return None
    credentials = texts.take("cors-allow-credentials")
    return model.CORS(
        allow_origins=tuple(origin.lower() for origin in _fitting(texts, "cors-allow-origin", ("*",), _ORIGIN)),
        allow_credentials=texts.flag("cors-allow-credentials") if credentials else True,
        allow_methods=_fitting(texts, "cors-allow-methods", _METHODS, _METHOD),
        allow_headers=_fitting(texts, "cors-allow-headers", _HEADERS, _TOKEN),
        expose_headers=_fitting(texts, "cors-expose-headers", (), _TOKEN),
        max_age_seconds=texts.number("cors-max-age", _MAX_AGE, _MOST_AGE),
    )


def _fitting(texts: Texts, name: str, default: tuple[str, ...], form: re.Pattern[str]) -> tuple[str, ...]:
    items = texts.items(name, default)
    wrong = [item for item in items if not form.match(item)]
    if wrong:
        texts.without_effect(name, f"as to {wrong[0]!r}, which is not in the form asked for")
    fitting = tuple(item for item in items if item not in wrong)
    return ("*",) if "*" in fitting else fitting
