"""Filters: what a rule changes, answers, copies or asks."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.authorization import ExternalAuthorization
from gateway.routing_table.model.schema import Header, Struct


class PathModifier(Struct):
    """What ``RequestRedirect`` and ``URLRewrite`` do to a path."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    value: str


class RequestHeaderModifier(Struct, tag="RequestHeaderModifier"):
    """Applied in the order set, add, remove."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class ResponseHeaderModifier(Struct, tag="ResponseHeaderModifier"):
    """Applied in the order set, add, remove."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class RequestRedirect(Struct, tag="RequestRedirect"):
    """Answers with a redirect; empty fields keep the request's value."""

    scheme: Literal["", "http", "https"] = ""
    hostname: str = ""
    path: PathModifier | None = None
    port: int | None = None
    status: Literal[301, 302, 303, 307, 308] = 302


class URLRewrite(Struct, tag="URLRewrite"):
    """Changes the authority, the path, or both before the request goes upstream."""

    hostname: str = ""
    path: PathModifier | None = None


class RequestMirror(Struct, tag="RequestMirror"):
    """Sends a copy to ``backend`` for ``numerator`` of every ``denominator`` requests; answers are dropped."""

    backend: str
    numerator: int = 1
    denominator: int = 1


class CORS(Struct, tag="CORS"):
    """Cross-origin resource sharing (Fetch standard, section 3.2).

    ``allow_origins`` holds ``*``, exact origins, or origins with a wildcard host.
    """

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int = 5


class ExternalAuth(Struct, tag="ExternalAuth"):
    """Asks before the other filters run, whatever its place, but for a preflight that ``CORS`` answers. Of a rule, not
    of a share."""

    provider: ExternalAuthorization


class SourceRanges(Struct, tag="SourceRanges"):
    """Answers 403 to clients by their address, as far as hops are trusted; before filters run and before anybody is
    asked. Of a rule, not of a share."""

    allow: tuple[str, ...] = ()
    """Addresses or CIDR blocks; none means everybody."""
    deny: tuple[str, ...] = ()
    """Goes before ``allow``."""


class SecretHeader(Struct):
    """A header whose value is for the backend alone. ``name`` in lower case."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"SecretHeader(name={self.name!r}, value=<redacted>)"


class CredentialInjection(Struct, tag="CredentialInjection"):
    """Sets headers on what goes to a backend, after all other filters and not in copies for mirrors."""

    headers: tuple[SecretHeader, ...]
    source: str = ""
    """For people: ``namespace/name`` of the object that says so."""


Filter = (
    RequestHeaderModifier
    | ResponseHeaderModifier
    | RequestRedirect
    | URLRewrite
    | RequestMirror
    | CORS
    | ExternalAuth
    | CredentialInjection
    | SourceRanges
)
