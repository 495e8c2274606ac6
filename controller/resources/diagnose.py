"""Says what is wrong with a document, field by field, when it does not fit its type.

Owns the wording of structural findings and the pruning of what may be ignored. Decoding stops at
its first error; a person wants all of them, each with its path and a remedy. The walk follows the
same declarations that decoding uses, so the two cannot disagree on a bound.

Null is the same as absent, as in the API server.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import re
from typing import Any, Literal

import msgspec
from msgspec import inspect

from controller.resources.schema import Struct

MAX_FINDINGS = 50
"""Per object. Beyond this the rest is left out: a person corrects the first ones first."""

_SHOWN = 60
_WRONG_TYPE_HINTS = {
    ("a string", "int"): "put the value in quotes",
    ("a string", "float"): "put the value in quotes",
    ("a string", "bool"): "put the value in quotes",
    ("a whole number", "str"): "remove the quotes",
    ("true or false", "str"): "write true or false without quotes",
    ("a list", "dict"): 'write a list: start each item with "- "',
    ("a mapping", "list"): 'write a mapping of fields: no "- " before them',
}
_TYPE_NAMES = {"dict": "a mapping", "list": "a list", "bool": "a truth value", "NoneType": "nothing"}


class Finding(msgspec.Struct, frozen=True):
    """One finding about the field at ``path``."""

    severity: Literal["error", "warning"]
    path: str
    message: str
    remedy: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """``pruned`` is the document without nulls and unknown fields. It fits its type if no finding is an error."""

    pruned: Any
    findings: tuple[Finding, ...]


def diagnose(document: object, type_: type[Struct], *, reveal: bool) -> Diagnosis:
    """Compare a document with its type. ``reveal`` False keeps every value out of the messages."""
    walk = _Walk(reveal=reveal)
    pruned = walk.value(document, type_info(type_), "")
    return Diagnosis(pruned, tuple(walk.findings[:MAX_FINDINGS]))


def join(path: str, field: str) -> str:
    """Path of ``field``, which may be an index in brackets, below ``path``."""
    if not path or not field:
        return path or field
    return f"{path}{field}" if field.startswith("[") else f"{path}.{field}"


@functools.cache
def type_info(type_: type[Struct]) -> inspect.StructType:
    """How the fields of a type are declared."""
    info = inspect.type_info(type_)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{type_} is not a struct")
    return info


def api_type(type_: inspect.StructType) -> type[Struct]:
    """The class of a declared struct; every field of an API type holds API types."""
    if not issubclass(type_.cls, Struct):
        raise TypeError(f"{type_.cls} is not an API type")
    return type_.cls


class _Walk:
    """One walk over a document, collecting findings."""

    def __init__(self, *, reveal: bool) -> None:
        self.findings: list[Finding] = []
        self._reveal = reveal

    def value(self, value: object, type_: inspect.Type, path: str, description: str = "") -> object:
        """Check ``value`` and return it pruned."""
        match type_:
            case inspect.Metadata():
                described = (type_.extra_json_schema or {}).get("description", description)
                return self.value(value, type_.type, path, described)
            case inspect.UnionType():
                return self._union(value, type_, path, description)
            case inspect.StructType():
                return self._struct(value, type_, path)
            case inspect.VarTupleType():
                return self._sequence(value, type_, path)
            case inspect.DictType():
                return self._mapping(value, type_, path)
            case _:
                self._scalar(value, type_, path, description)
                return value

    def _scalar(self, value: object, type_: inspect.Type, path: str, description: str) -> None:
        match type_:
            case inspect.StrType():
                self._string(value, type_, path, description)
            case inspect.IntType():
                self._integer(value, type_, path)
            case inspect.BoolType():
                if not isinstance(value, bool):
                    self._wrong_type(value, "true or false", path)
            case inspect.BytesType():
                self._base64(value, path)
            case inspect.DateTimeType():
                self._time(value, path)
            case inspect.LiteralType():
                if value not in type_.values:
                    shown = repr(value)[:_SHOWN] if self._reveal else "the value"
                    choices = ", ".join(str(choice) for choice in type_.values)
                    self._error(path, f"{shown} is none of {choices}", "use one of them")
            case inspect.AnyType():
                return
            case _:
                raise TypeError(f"a field of type {type_!r} cannot be checked at {path}")

    def _struct(self, value: object, type_: inspect.StructType, path: str) -> object:
        if not isinstance(value, dict):
            return self._wrong_type(value, "a mapping", path)
        fields = {field.encode_name: field for field in type_.fields}
        pruned: dict[str, object] = {}
        for name, item in value.items():
            field = fields.get(name) if isinstance(name, str) else None
            if item is None and field is not None:
                continue
            if field is not None:
                pruned[field.encode_name] = self.value(item, field.type, join(path, str(name)))
            elif name not in api_type(type_).ignored:
                self._unknown(str(name), list(fields), path)
        for name, field in fields.items():
            if field.required and value.get(name) is None:
                self._error(join(path, name), f"{name} is required", f"add {name}")
        return pruned

    def _sequence(self, value: object, type_: inspect.VarTupleType, path: str) -> object:
        if not isinstance(value, list):
            return self._wrong_type(value, "a list", path)
        self._length(len(value), "item", (type_.min_length, type_.max_length), path)
        bounded = value if type_.max_length is None else value[: type_.max_length]
        return [self.value(item, type_.item_type, f"{path}[{index}]") for index, item in enumerate(bounded)]

    def _mapping(self, value: object, type_: inspect.DictType, path: str) -> object:
        if not isinstance(value, dict):
            return self._wrong_type(value, "a mapping", path)
        self._length(len(value), "entry", (type_.min_length, type_.max_length), path)
        pruned: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self._error(path, f"the key {self._show(key)} is not a string", "put the key in quotes")
            elif item is not None:
                pruned[key] = self.value(item, type_.value_type, f"{path}[{key!r}]")
        return pruned

    def _union(self, value: object, type_: inspect.UnionType, path: str, description: str) -> object:
        members = [member for member in type_.types if not isinstance(member, inspect.NoneType)]
        if len(members) == 1:
            return self.value(value, members[0], path, description)
        fractions = any(isinstance(member, inspect.FloatType) for member in members)
        if isinstance(value, bool) or not isinstance(value, int | float | str if fractions else int | str):
            self._wrong_type(value, "a number or a name", path)
        return value

    def _string(self, value: object, type_: inspect.StrType, path: str, description: str) -> None:
        if not isinstance(value, str):
            self._wrong_type(value, "a string", path)
            return
        if not self._length(len(value), "character", (type_.min_length, type_.max_length), path):
            return
        if type_.pattern is not None and not re.search(type_.pattern, value):
            self._error(
                path, f"{self._show(value)} is not {description or 'in the form asked for'}", "correct the value"
            )

    def _integer(self, value: object, type_: inspect.IntType, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong_type(value, "a whole number", path)
            return
        low, high = type_.ge, type_.le
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
            self._error(path, f"{self._show(value)} is out of range", f"use a number {bounds}")

    def _base64(self, value: object, path: str) -> None:
        if not isinstance(value, str):
            self._wrong_type(value, "base64 text", path)
            return
        try:
            msgspec.convert(value, bytes)
        except msgspec.ValidationError:
            self._error(path, "the value is not base64", "encode it with base64, or write plain text in stringData")

    def _time(self, value: object, path: str) -> None:
        try:
            parsed = msgspec.convert(value, datetime.datetime)
        except msgspec.ValidationError:
            parsed = None
        if parsed is None or parsed.tzinfo is None:
            self._error(path, f"{self._show(value)} is not a time", "write it as 2026-01-31T12:00:00Z")

    def _length(self, length: int, unit: str, bounds: tuple[int | None, int | None], path: str) -> bool:
        low, high = bounds
        units = {"entry": "entries"}.get(unit, f"{unit}s")
        if low is not None and length < low:
            empty = "it must not be empty" if low == 1 else f"it needs at least {low} {units}"
            self._error(path, empty, "set it, or remove the field if it is optional")
            return False
        if high is not None and length > high:
            self._error(path, f"it has {length} {units}, at most {high} are allowed", "make it shorter")
            return False
        return True

    def _unknown(self, name: str, known: list[str], path: str) -> None:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        remedy = f"did you mean {near[0]}?" if near else f"known fields: {', '.join(sorted(known))}"
        self.findings.append(Finding("warning", join(path, name), "the field is unknown and has no effect", remedy))

    def _wrong_type(self, value: object, expected: str, path: str) -> object:
        kind = type(value).__name__
        got = _TYPE_NAMES.get(kind) if isinstance(value, dict | list | None) else self._show(value)
        remedy = _WRONG_TYPE_HINTS.get((expected, kind), f"write {expected}")
        self._error(path, f"expected {expected}, got {got}", remedy)
        return value

    def _show(self, value: object) -> str:
        if not self._reveal:
            return "the value"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int) and abs(value) >= 2**64:
            return "a number beyond 64 bits"
        text = repr(value) if isinstance(value, str) else str(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def _error(self, path: str, message: str, remedy: str) -> None:
        self.findings.append(Finding("error", path, message, remedy))
