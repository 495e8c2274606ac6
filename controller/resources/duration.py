"""Durations as the Gateway API writes them (GEP-2257)."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")
_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``1m30s`` that has already passed its pattern."""
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))
