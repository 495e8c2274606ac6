"""The text of one manifest file to objects and problems, reusing what did not change.

Owns the memory of a file between two readings: a document whose text is the same is not read again, so
that one edit in a file of thousands of objects costs that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from controller.resources import BY_KIND, DEFAULT_NAMESPACE, Problem, Resource, parse
from controller.sources.documents import (
    MAX_DOCUMENTS,
    Document,
    Fault,
    Piece,
    read_json,
    read_yaml,
    yaml_pieces,
)
from controller.store import Key


class Placed(msgspec.Struct, frozen=True):
    """An object, and where it stands: ``file:line``."""

    key: Key
    resource: Resource
    place: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of one document. ``line`` counts from 1 within its piece.

    ``key`` is what the document says it is, even where it could not be used.
    """

    line: int
    key: Key | None
    resource: Resource | None
    problems: tuple[Problem, ...]


class Reading(msgspec.Struct, frozen=True):
    """A file as it was read. ``pieces`` serves the next reading of the same file."""

    objects: tuple[Placed, ...]
    problems: tuple[Problem, ...]
    unusable: frozenset[Key]
    """Objects that the file means to define, with an error."""
    faulty: bool
    """Some of the text could not be read, so nobody knows which objects it means."""
    pieces: Mapping[bytes, tuple[Outcome, ...]]


EMPTY = Reading((), (), frozenset(), faulty=False, pieces={})


def read_manifest(text: str, *, name: str, previous: Reading = EMPTY) -> Reading:
    """Read the text of the file ``name``, whose last reading was ``previous``."""
    is_json = name.lower().endswith(".json")
    objects: list[Placed] = []
    problems: list[Problem] = []
    unusable: set[Key] = set()
    faulty = False
    pieces: dict[bytes, tuple[Outcome, ...]] = {}
    count = 0
    for piece in [Piece(1, text)] if is_json and text.strip() else yaml_pieces(text):
        digest = hashlib.blake2b(piece.text.encode(), digest_size=16).digest()
        outcomes = previous.pieces.get(digest) or tuple(_outcomes(piece.text, is_json=is_json))
        pieces[digest] = outcomes
        count += len(outcomes)
        if count > MAX_DOCUMENTS:
            message, remedy = f"more than {MAX_DOCUMENTS} documents; the rest is left out", "split the file"
            problems.append(Problem(severity="error", message=message, remedy=remedy, place=name))
            faulty = True
            break
        for outcome in outcomes:
            place = f"{name}:{piece.line + outcome.line - 1}"
            problems.extend(msgspec.structs.replace(problem, place=place) for problem in outcome.problems)
            if outcome.key is None:
                faulty = faulty or any(problem.severity == "error" for problem in outcome.problems)
            elif outcome.resource is None:
                unusable.add(outcome.key)
            else:
                objects.append(Placed(outcome.key, outcome.resource, place))
    return Reading(tuple(objects), tuple(problems), frozenset(unusable), faulty=faulty, pieces=pieces)


def _outcomes(text: str, *, is_json: bool) -> Iterator[Outcome]:
    for found in read_json(text) if is_json else read_yaml(text):
        match found:
            case Fault(line=line, message=message, remedy=remedy):
                yield Outcome(line, None, None, (Problem(severity="error", message=message, remedy=remedy),))
            case Document(line=line, content=content):
                result = parse(content)
                key = Key.of(result.resource) if result.resource is not None else _claimed(content)
                yield Outcome(line, key, result.resource, result.problems)


def _claimed(content: object) -> Key | None:
    """The key that a document names, if it names one."""
    match content:
        case {"kind": str(kind), "metadata": {"name": str(name), **metadata}} if kind in BY_KIND:
            namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
            return Key(kind, str(namespace) if BY_KIND[kind].namespaced else "", name)
        case _:
            return None
