"""What is wrong with an object or a file, said to the person who wrote it."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "notice"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. An error keeps its object (or document) from being used, a warning does not.

    A notice is no fault: the object is of a kind that a gateway has nothing to do with.
    """

    severity: Severity
    message: str
    remedy: str = ""
    object: str = ""
    """``Kind namespace/name``, as far as it is known."""
    field: str = ""
    """Path of the field, for example ``spec.rules[0].matches[1].path``."""
    place: str = ""
    """Where it was read, ``file:line``; empty for an object that came from an API server."""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.place, self.object, self.field) if part)
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.severity}: {where + ': ' if where else ''}{self.message}{remedy}"
