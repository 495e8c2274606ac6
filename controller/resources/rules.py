"""Finds the rules between fields that a value breaks, and its duplicates in lists that are sets or maps.

Owns the visit; the rules stand with the types (:meth:`controller.resources.schema.Struct.violations`).
They mirror the CEL rules of the Gateway API's definitions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from controller.resources.diagnose import Finding, api_type, join, type_info
from controller.resources.schema import Struct


def rule_findings(value: Struct, path: str = "") -> Iterator[Finding]:
    """Findings on rules between fields, in a value whose every field fits its type."""
    plan = _plan(type(value))
    if plan.own:
        for violation in value.violations():
            yield Finding("error", join(path, violation.field), violation.message, violation.remedy)
    for attribute, name, unique in plan.lists:
        yield from _duplicates(getattr(value, attribute), unique, join(path, name))
    for attribute, name in plan.below:
        child = getattr(value, attribute)
        if isinstance(child, Struct):
            yield from rule_findings(child, join(path, name))
        elif child:
            for index, item in enumerate(child):
                yield from rule_findings(item, f"{join(path, name)}[{index}]")


class _Plan(msgspec.Struct, frozen=True):
    """Where rules are declared at and below a type, so that the rest is not visited."""

    own: bool
    lists: tuple[tuple[str, str, str], ...]
    below: tuple[tuple[str, str], ...]


@functools.cache
def _plan(type_: type[Struct]) -> _Plan:
    lists: list[tuple[str, str, str]] = []
    below: list[tuple[str, str]] = []
    for field in type_info(type_).fields:
        unique, struct = _unwrap(field.type)
        if unique is not None:
            lists.append((field.name, field.encode_name, unique))
        if struct is not None and _plan(struct) != _Plan(own=False, lists=(), below=()):
            below.append((field.name, field.encode_name))
    return _Plan(type_.violations is not Struct.violations, tuple(lists), tuple(below))


def _unwrap(type_: inspect.Type) -> tuple[str | None, type[Struct] | None]:
    """The uniqueness asked of a list, and the struct a field holds, alone or in a list."""
    match type_:
        case inspect.Metadata():
            unique = (type_.extra or {}).get("unique")
            return unique, _unwrap(type_.type)[1]
        case inspect.UnionType():
            found = [_unwrap(member) for member in type_.types]
            return next((pair for pair in found if pair != (None, None)), (None, None))
        case inspect.VarTupleType():
            return None, _unwrap(type_.item_type)[1]
        case inspect.StructType():
            return None, api_type(type_)
        case _:
            return None, None


def _duplicates(items: tuple[Any, ...], unique: str, path: str) -> Iterator[Finding]:
    seen: set[object] = set()
    for index, item in enumerate(items):
        key = getattr(item, unique) if unique else item
        if key in seen:
            what = f"{unique} {key!r}" if unique else f"{key!r}"
            yield Finding("error", f"{path}[{index}]", f"{what} is given twice", "remove one")
        seen.add(key)
