"""What a source of objects gives, whatever stands behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from controller.resources import Problem, Resource
from controller.store import Key


class Change(msgspec.Struct, frozen=True):
    """What happened since the last one, ready for :meth:`controller.store.Store.apply`.

    ``problems`` is everything that is wrong now, not only what became wrong.
    """

    upserts: tuple[Resource, ...] = ()
    deletes: tuple[Key, ...] = ()
    problems: tuple[Problem, ...] = ()
    keeps_problems: bool = False
    """Of a source that knows of none: what was wrong before it still is, and ``problems`` says nothing."""


class Source(Protocol):
    """A place that objects come from."""

    def load(self) -> Change:
        """Everything there is."""
        ...

    def changes(self) -> AsyncGenerator[Change, None]:
        """What changes after :meth:`load`, without end."""
        ...
