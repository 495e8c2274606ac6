"""YAML text to plain values, within bounds.

Owns what YAML means here: the values that kubectl would make of it, and nothing that runs code. It is
built on the parser's events, because values made from finished nodes could not be bounded: aliases
that expand without end, nesting, and keys given twice are refused while reading.

Scalars follow YAML 1.1 as kubectl reads it (``yes`` and ``on`` are true), except that times and
base-60 numbers stay text. The keys of mappings are always text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import yaml
from yaml import events

MAX_DEPTH = 64
MAX_ALIAS_NODES = 100_000
"""Nodes that the aliases of one document may stand for."""
MAX_POSITION_DEPTH = 3
"""Deep enough for the items of a list document."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG_PREFIX = "tag:yaml.org,2002:"
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9][0-9_]*\.[0-9_]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z")
_MAX_NUMBER_LENGTH = 80


class UnreadableError(Exception):
    """The text is not a document that can be used. ``line`` counts from 1."""

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.remedy = remedy


class Value(msgspec.Struct, frozen=True):
    """One document. ``lines`` tells where the mappings near its root start, by their identity."""

    line: int
    content: object
    lines: dict[int, int]


def yaml_values(text: str) -> Iterator[Value]:
    """The documents of a YAML text; raises :class:`UnreadableError` at the first fault."""
    try:
        stream = yaml.parse(text, Loader=_LOADER)
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                yield _Builder(stream).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1 if mark else 1, text.rstrip().count("\n") + 1)
        raise UnreadableError(line, f"not valid YAML: {error.problem or error.context}", _remedy(text, line)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise UnreadableError(line, "the text holds a character that YAML does not allow", "remove it") from None


def _remedy(text: str, line: int) -> str:
    lines = text.split("\n")
    near = lines[max(0, line - 2) : line]
    if any("\t" in part[: len(part) - len(part.lstrip())] for part in near):
        return "indent with spaces, not tabs"
    if any("{{" in part for part in near):
        return "render the template first"
    return "check the indentation, the quotes and the ':' on this line and the one before"


class _Anchor(msgspec.Struct):
    """What an alias stands for, and how many nodes that is; None while it is being read."""

    value: object = None
    size: int | None = None


class _Builder:
    """Makes the value of one document from its events."""

    def __init__(self, stream: Iterator[events.Event]) -> None:
        self._stream = stream
        self._anchors: dict[str, _Anchor] = {}
        self._lines: dict[int, int] = {}
        self._alias_nodes = 0

    def document(self) -> Value:
        """Read up to the end of the document."""
        event = next(self._stream)
        content, _ = self._node(event, 1)
        next(self._stream)
        return Value(_line(event), content, self._lines)

    def _node(self, event: events.Event, depth: int) -> tuple[object, int]:
        """The value of a node, and the number of nodes in it, with aliases counted in full."""
        if depth > MAX_DEPTH:
            raise UnreadableError(_line(event), f"nested deeper than {MAX_DEPTH} levels", "flatten the document")
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        anchor = None
        if isinstance(event, events.NodeEvent) and event.anchor is not None:
            anchor = self._anchors[event.anchor] = _Anchor()
        if isinstance(event, events.ScalarEvent):
            value, size = _scalar(event), 1
        elif isinstance(event, events.SequenceStartEvent):
            _check_tag(event, "seq")
            value, size = self._sequence(depth)
        elif isinstance(event, events.MappingStartEvent):
            _check_tag(event, "map")
            value, size = self._mapping(event, depth)
        else:
            raise UnreadableError(_line(event), "the document ends too early", "complete it")
        if anchor is not None:
            anchor.value, anchor.size = value, size
        return value, size

    def _alias(self, event: events.AliasEvent) -> tuple[object, int]:
        name = str(event.anchor)
        anchor = self._anchors.get(name)
        if anchor is None:
            raise UnreadableError(_line(event), f"the alias *{name[:40]} has no anchor before it", "define it first")
        if anchor.size is None:
            raise UnreadableError(_line(event), f"the alias *{name[:40]} contains itself", "write the value out")
        self._alias_nodes += anchor.size
        if self._alias_nodes > MAX_ALIAS_NODES:
            message = f"aliases stand for more than {MAX_ALIAS_NODES} values"
            raise UnreadableError(_line(event), message, "write the values out")
        return anchor.value, anchor.size

    def _sequence(self, depth: int) -> tuple[list[object], int]:
        items: list[object] = []
        total = 1
        for event in self._stream:
            if isinstance(event, events.SequenceEndEvent):
                break
            item, size = self._node(event, depth + 1)
            items.append(item)
            total += size
        return items, total

    def _mapping(self, start: events.MappingStartEvent, depth: int) -> tuple[dict[str, object], int]:
        entries: dict[str, object] = {}
        merged: list[dict[str, object]] = []
        total = 1
        for event in self._stream:
            if isinstance(event, events.MappingEndEvent):
                break
            key = self._key(event)
            item, size = self._node(next(self._stream), depth + 1)
            total += size + 1
            if key is None:
                merged.extend(_merge_sources(item, _line(event)))
            elif key in entries:
                message = f"the key {key[:80]!r} is given twice in one mapping"
                raise UnreadableError(_line(event), message, "remove one of the two")
            else:
                entries[key] = item
        for source in merged:
            for key, item in source.items():
                entries.setdefault(key, item)
        if depth <= MAX_POSITION_DEPTH:
            self._lines[id(entries)] = _line(start)
        return entries, total

    def _key(self, event: events.Event) -> str | None:
        """The text of a key; None for the merge key."""
        if isinstance(event, events.AliasEvent):
            value, _ = self._alias(event)
            if isinstance(value, str):
                return value
        if not isinstance(event, events.ScalarEvent):
            remedy = "render the template first, or put the key in quotes"
            raise UnreadableError(_line(event), "a key of a mapping is not plain text", remedy)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(event.value, 1)
        if event.value == "<<" and event.implicit[0]:
            return None
        return str(event.value)


def _line(event: events.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _merge_sources(value: object, line: int) -> list[dict[str, object]]:
    values = value if isinstance(value, list) else [value]
    sources = [source for source in values if isinstance(source, dict)]
    if len(sources) != len(values):
        raise UnreadableError(line, "the merge key '<<' takes a mapping, or a list of mappings", "correct its value")
    return sources


def _check_tag(event: events.SequenceStartEvent | events.MappingStartEvent, kind: str) -> None:
    if event.tag not in (None, "!", _TAG_PREFIX + kind):
        raise UnreadableError(_line(event), f"the tag {str(event.tag)[:80]} is not allowed", "remove the tag")


def _scalar(event: events.ScalarEvent) -> object:
    text = str(event.value)
    if event.tag is None:
        return _plain(text, event) if event.implicit[0] else text
    if event.tag in ("!", _TAG_PREFIX + "str"):
        return text
    value = _plain(text, event)
    kinds: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "float": (int, float),
        "bool": bool,
        "null": type(None),
    }
    expected = kinds.get(str(event.tag).removeprefix(_TAG_PREFIX))
    if expected is None or not isinstance(value, expected):
        raise UnreadableError(_line(event), f"the tag {str(event.tag)[:80]} is not allowed here", "remove the tag")
    return value


def _plain(text: str, event: events.Event) -> object:
    """The value of a scalar written without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.match(text):
        return _integer(text, event)
    if _FLOAT.match(text) and len(text) <= _MAX_NUMBER_LENGTH:
        return float(text.replace("_", ""))
    return text


def _integer(text: str, event: events.Event) -> int:
    digits = text.replace("_", "").lower()
    sign, digits = (-1 if digits[0] == "-" else 1), digits.lstrip("+-")
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2])
    if base is None:
        base = 8 if len(digits) > 1 and digits[0] == "0" else 10
    digits = digits[2:] if digits[:2] in ("0b", "0x", "0o") else digits
    if not digits or len(digits) > _MAX_NUMBER_LENGTH:
        raise UnreadableError(_line(event), "a number is malformed or too long", "put it in quotes if it is text")
    return sign * int(digits, base)
