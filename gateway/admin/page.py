"""The page for people: one document with its style and script inside, and nothing from elsewhere.

The content policy names the hashes of exactly these two, so that markup which should ever slip
into a text cannot run.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final


def _asset(name: str) -> str:
    return files("gateway.admin").joinpath("assets", name).read_text("utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE: Final = _asset("page.css")
_SCRIPT: Final = _asset("page.js")

HTML: Final = _asset("page.html").replace("/*style*/", _STYLE).replace("/*script*/", _SCRIPT)
CONTENT_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_source(_STYLE)}",
        f"script-src {_source(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
