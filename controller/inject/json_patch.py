"""The difference between two documents as a JSON patch (RFC 6902): additions, replacements and removals of members.

A list is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def json_patch(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[dict[str, Any]]:
    """What makes ``after`` of ``before``."""
    for name in before.keys() | after.keys():
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield {"op": "remove", "path": place}
        elif name not in before:
            yield {"op": "add", "path": place, "value": after[name]}
        elif isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from json_patch(before[name], after[name], place)
        elif before[name] != after[name]:
            yield {"op": "replace", "path": place, "value": after[name]}
