"""The vocabulary the resource types are written in: the base of every struct and the bounded scalars.

Owns what a single value may look like (Gateway API: ``shared_types.go``). It must not know a kind.

A value that the API restricts to an enumeration is a plain string here: a value nobody knows is
answered with a condition by translation, so it has to arrive there. Lengths, patterns and ranges
are enforced. The patterns accept what the API's do, written so that matching is linear in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

_LABEL = "[a-z0-9]+(?:-+[a-z0-9]+)*"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_PATH_CHARACTERS = r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+"
_QUALIFIED_NAME = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"

DNS_LABEL_PATTERN = rf"^{_LABEL}\Z"
DNS_SUBDOMAIN_PATTERN = rf"^{_SUBDOMAIN}\Z"
PATH_PATTERN = rf"^{_PATH_CHARACTERS}\Z"
METADATA_KEY_PATTERN = rf"^(?:{_SUBDOMAIN}/)?{_QUALIFIED_NAME}\Z"

Hostname = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=rf"^(?:\*\.)?{_SUBDOMAIN}\Z", description="a host name")
]
"""``*.`` may stand before it."""
PreciseHostname = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN, description="a host name without wildcard")
]
Group = Annotated[str, Meta(max_length=253, pattern=rf"^(?:{_SUBDOMAIN})?\Z", description="an API group")]
Kind = Annotated[
    str,
    Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*(?:-+[A-Za-z0-9]+)*\Z", description="a kind"),
]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253)]
NamespaceName = Annotated[
    str, Meta(min_length=1, max_length=63, pattern=DNS_LABEL_PATTERN, description="a namespace (a DNS label)")
]
SectionName = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN, description="a name in DNS form")
]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Duration = Annotated[
    str, Meta(pattern=r"^(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}\Z", description='a duration such as "10s" or "1m30s"')
]
HeaderName = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=rf"^{_HEADER_NAME}\Z", description="a header name (RFC 9110 token)")
]
HeaderValue = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        pattern=r"^[!-~]+(?:[\t ][!-~]+)*\Z",
        description="visible ASCII, words apart by one space or tab",
    ),
]
ControllerName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{_SUBDOMAIN}/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z",
        description="a domain-prefixed path such as example.com/controller",
    ),
]
AnnotationValue = Annotated[str, Meta(max_length=4096)]
LabelValue = Annotated[
    str,
    Meta(max_length=63, pattern=r"^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?\Z", description="a label value"),
]


class Violation(msgspec.Struct, frozen=True):
    """A rule between fields that a struct breaks. ``field`` is relative to the struct, "" for itself."""

    field: str
    message: str
    remedy: str


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Base of every API type. Attribute names are the API's in snake case."""

    ignored: ClassVar[frozenset[str]] = frozenset()
    """Fields the API has and Sekisho has no use for: accepted without a warning, and not kept."""

    def violations(self) -> Iterator[Violation]:
        """Rules between the fields of this struct alone that its values break."""
        yield from ()
