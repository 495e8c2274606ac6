"""The text of a manifest file to documents, each read on its own.

Owns the splitting: a document that cannot be read costs itself, and the others of its file are read.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import msgspec

from controller.sources.yaml_values import MAX_DEPTH, UnreadableError, yaml_values

MAX_DOCUMENTS = 50_000
"""In one file."""

_MARKER = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_LIST_ITEMS_DEPTH = 3


class Document(msgspec.Struct, frozen=True):
    """One object, undecoded. ``line`` counts from 1 within its piece of text; 0 if it is not known."""

    line: int
    content: object


class Fault(msgspec.Struct, frozen=True):
    """Why a piece of text could not be read."""

    line: int
    message: str
    remedy: str


class Piece(msgspec.Struct, frozen=True):
    """The text of one YAML document, or a whole JSON file, starting on ``line`` of its file."""

    line: int
    text: str


def yaml_pieces(text: str) -> Iterator[Piece]:
    """Cut at the document markers, which YAML allows nowhere else at the start of a line."""
    starts = [0, *(match.start() for match in _MARKER.finditer(text)), len(text)]
    line = 1
    for start, end in itertools.pairwise(starts):
        piece = text[start:end]
        if _has_content(piece):
            yield Piece(line, piece)
        line += piece.count("\n")


def read_yaml(text: str) -> tuple[Document | Fault, ...]:
    """The objects in one piece of YAML, those inside of lists included."""
    found: list[Document | Fault] = []
    try:
        for value in yaml_values(text):
            if value.content is not None:
                found.extend(_objects(Document(value.line, value.content), value.lines))
    except UnreadableError as error:
        found.append(Fault(error.line, error.message, error.remedy))
    return tuple(found)


def read_json(text: str) -> tuple[Document | Fault, ...]:
    """The objects in a JSON text."""
    try:
        content = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return (Fault(error.lineno, f"not valid JSON: {error.msg}", "check the commas, quotes and brackets here"),)
    except _RefusedJSONError as error:
        return (Fault(1, str(error), "correct the value"),)
    except RecursionError:
        return (Fault(1, f"nested deeper than {MAX_DEPTH} levels", "flatten the document"),)
    except ValueError:
        return (Fault(1, "a number is too long", "put it in quotes if it is text"),)
    return tuple(_objects(Document(1, content), {}))


def _has_content(piece: str) -> bool:
    lines = piece.removeprefix("---").split("\n")
    return any(line.strip() and not line.lstrip().startswith("#") and not line.startswith("%") for line in lines)


def _objects(document: Document, lines: dict[int, int], depth: int = 1) -> Iterator[Document]:
    """The object itself, or the items if it is a list of objects (``kubectl get -o yaml``)."""
    content = document.content
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(items, list) or depth > _LIST_ITEMS_DEPTH:
        yield document
        return
    kind = content.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List"):
        yield document
        return
    implied = {"apiVersion": content.get("apiVersion"), "kind": kind.removesuffix("List")}
    for item in items:
        line = lines.get(id(item), document.line)
        if isinstance(item, dict) and kind != "List":
            item = {**implied, **item}  # noqa: PLW2901  # items of a typed list may leave their type out
        yield from _objects(Document(line, item), lines, depth + 1)


class _RefusedJSONError(Exception):
    """JSON that parses, but says nothing that can be trusted."""


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedJSONError(f"the key {twice[:80]!r} is given twice in one object")
    return entries


def _refuse_constant(name: str) -> object:
    raise _RefusedJSONError(f"{name} is not a JSON value")
