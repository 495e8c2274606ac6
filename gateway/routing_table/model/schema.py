"""What every resource is: immutable, and strict about unknown fields."""

from __future__ import annotations

from typing import dataclass_transform

import msgspec

FORMAT = 1
"""Version of the wire format. A reader refuses a table whose format it does not know."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of every resource: immutable, and strict about unknown fields.

    An unknown field may be a match or a guard that this reader does not understand, so the
    resource that holds it is rejected rather than served without it.
    """


class Header(Struct):
    """A header to set or add; ``name`` in lower case."""

    name: str
    value: str
