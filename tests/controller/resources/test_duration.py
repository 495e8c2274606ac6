"""Durations of GEP-2257."""

from __future__ import annotations

import pytest

from controller.resources import duration_ms
from tests.controller.resources.samples import accepted, error_fields, http_route


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0s", 0),
        ("500ms", 500),
        ("10s", 10_000),
        ("1m30s", 90_000),
        ("1h2m3s4ms", 3_723_004),
        ("99999h", 359_996_400_000),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, milliseconds: int) -> None:
    accepted(http_route(timeouts={"request": text}))
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "10", "s", "1.5s", "-1s", "1d", "1s2s3s4s5s", "100000s", "1 s", "1s\n"])
def test_anything_else_is_refused(text: str) -> None:
    assert error_fields(http_route(timeouts={"request": text})) == ["spec.rules[0].timeouts.request"]
