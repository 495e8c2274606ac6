"""Rules on names, numbers and sizes that several resources share.

A rule yields what is wrong, as text; no text means that nothing is. ``at`` puts the field before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final, TypeVar

Problems = Iterator[str]
Item = TypeVar("Item")

MAX_UNSIGNED_8: Final = 2**8 - 1
MAX_UNSIGNED_16: Final = 2**16 - 1
MAX_UNSIGNED_32: Final = 2**32 - 1
_MAX_KEY_BYTES: Final = 1024
_MAX_HOSTNAME_BYTES: Final = 253
_MAX_LABEL_BYTES: Final = 63
_MAX_HEADER_VALUE_BYTES: Final = 8192
_MAX_PATH_BYTES: Final = 1024
_MAX_TOKEN_BYTES: Final = 64
_MAX_MILLISECONDS: Final = 1_000_000_000_000
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]+(?<!-)\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_GRAPHIC: Final = re.compile(r"[!-~]*\Z")


def at(field: str, problems: Iterable[str]) -> Problems:
    """Puts problems into the field they were found in."""
    for text in problems:
        place, colon, rest = text.partition(": ")
        if colon and place.startswith("["):
            yield f"{field}{place}: {rest}"
        elif colon and _is_place(place):
            yield f"{field}.{place}: {rest}"
        else:
            yield f"{field}: {text}"


def _is_place(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z_0-9.\[\]]+", text))


def each(field: str, items: Sequence[Item], judge: Callable[[Item], Iterable[str]]) -> Problems:
    """Judges every item of a list, naming the index of a bad one."""
    for index, item in enumerate(items):
        yield from at(f"{field}[{index}]", judge(item))


def bounded(size: int, most: int, unit: str) -> Problems:
    """At most so many, and never less than none."""
    if size < 0:
        yield f"{size} is below 0; write 0 or more"
    elif size > most:
        yield f"{size} {unit} are over the bound of {most}; use fewer"


def text_bounded(text: str, most: int) -> Problems:
    """At most so many bytes."""
    yield from bounded(len(text.encode()), most, "bytes")


def within(value: int, lowest: int, highest: int) -> Problems:
    """A number in a range."""
    if not lowest <= value <= highest:
        yield f"{value} is outside {lowest} to {highest}"


def port(value: int) -> Problems:
    """A port that can be bound or dialled."""
    yield from within(value, 1, MAX_UNSIGNED_16)


def count(value: int) -> Problems:
    """A count or size: zero makes no sense."""
    yield from within(value, 1, MAX_UNSIGNED_32)


def duration(milliseconds: int) -> Problems:
    """A time in milliseconds; zero means none."""
    yield from within(milliseconds, 0, _MAX_MILLISECONDS)


def key(text: str) -> Problems:
    """A resource's key."""
    if not text:
        yield "the key is empty; every resource needs one"
    yield from text_bounded(text, _MAX_KEY_BYTES)


def hostname(name: str) -> Problems:
    """A DNS name in lower case; an IPv4 address reads as one."""
    labels = name.split(".")
    fits = len(name.encode()) <= _MAX_HOSTNAME_BYTES
    if not fits or not all(len(label) <= _MAX_LABEL_BYTES and _LABEL.match(label) for label in labels):
        yield f"{name!r} is not a hostname; write a DNS name in lower case such as 'www.example.com', without port"


def pattern_hostname(name: str) -> Problems:
    """A hostname whose first label may be ``*``."""
    yield from hostname(name.removeprefix("*."))


def is_ip_address(text: str) -> bool:
    """Whether a text is an IP address that can be dialled or bound, so without a zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def header_name(name: str) -> Problems:
    """A field name in lower case."""
    if not _TOKEN.match(name) or name != name.lower():
        yield f"{name!r} is not a header name in lower case; use letters, digits and '-'"


def header_value(value: str) -> Problems:
    """A field value: anything but control characters, save for the tab."""
    yield from text_bounded(value, _MAX_HEADER_VALUE_BYTES)
    if any((byte < 32 and byte != 9) or byte == 127 for byte in value.encode()):
        yield f"{value!r} holds control characters; remove them"


def token(text: str) -> Problems:
    """A token of RFC 9110, such as a method."""
    if not _TOKEN.match(text) or len(text) > _MAX_TOKEN_BYTES:
        yield f"{text!r} is not a method name; write one such as 'GET'"


def graphic(text: str) -> bool:
    """Printable ASCII without the space."""
    return bool(_GRAPHIC.match(text))


def path(text: str) -> Problems:
    """A path without query: ``/`` first, then what a request line can carry."""
    yield from text_bounded(text, _MAX_PATH_BYTES)
    if not text.startswith("/"):
        yield f"{text!r} does not start with '/'; write {'/' + text!r}"
    elif not graphic(text) or "?" in text or "#" in text:
        yield f"{text!r} holds characters that a path cannot; percent-encode them"
