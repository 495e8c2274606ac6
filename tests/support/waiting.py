"""Bounded waits: poll a condition instead of sleeping for a guess."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float = 5.0, every: float = 0.02, what: str = "") -> T:
    """Call ``probe`` until it returns something true, and return that.

    An ``AssertionError`` raised by the probe counts as "not yet"; the last one explains a failure.
    """
    deadline = time.monotonic() + within
    reason = ""
    while True:
        try:
            result = probe()
        except AssertionError as error:
            reason = str(error)
        else:
            if result:
                return result
            reason = f"the last result was {result!r}"
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true within {within} s: {reason}")
        time.sleep(every)
