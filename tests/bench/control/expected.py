"""What is expected of Sekisho, and what of it must hold on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Found = Mapping[str, Any]
Value = Callable[[Found, str], Any]

_NOTHING_WRONG = (
    ("probe", "wrong_answers", "probe: answers other than 404, then 200"),
    ("probe", "never", "probe: routes never served"),
    ("change", "failed", "route change: failed requests"),
    ("load", "setup.not_served", "route load: routes not served"),
    ("load", "calm.wrong_answers", "route load: wrong answers at rest"),
    ("load", "churn.wrong_answers", "route load: wrong answers under churn"),
)
_BOUNDS = (
    ("probe", "propagation_ms.p50", 30.0, "probe: propagation p50, ms"),
    ("probe", "propagation_ms.p99", 150.0, "probe: propagation p99, ms"),
    ("load", "calm.propagation_ms.p50", 30.0, "route load: propagation p50 at rest, ms"),
    ("load", "calm.propagation_ms.p99", 150.0, "route load: propagation p99 at rest, ms"),
    ("load", "churn.propagation_ms.p50", 30.0, "route load: propagation p50 under churn, ms"),
    ("load", "churn.propagation_ms.p99", 150.0, "route load: propagation p99 under churn, ms"),
    ("load", "churn.controller.peak", 500.0, "route load: controller's peak, MB"),
    ("load", "churn.controller_cores", 0.2, "route load: controller's mean cores under churn"),
    ("load", "churn.gateway.peak", 80.0, "route load: gateway's peak, MB"),
)
_MEGABYTES_A_MEBIBYTE = 1.048576


def must_hold(found: Iterable[Found], value: Value) -> list[str]:
    """Sentences on what is wrong; ``found`` is Sekisho's alone."""
    lines = []
    for one in found:
        for part, path, words in _NOTHING_WRONG:
            if one["part"] == part and value(one, path) != 0:
                lines.append(f"{words}: {value(one, path)}")
    return lines


def expectations(found: Iterable[Found], value: Value) -> list[str]:
    """Each bound with what was measured."""
    lines = []
    for one in found:
        if one["peer"] != "sekisho":
            continue
        zero = [(part, path, 0.0, words) for part, path, words in _NOTHING_WRONG]
        for part, path, bound, words in [*zero, *_BOUNDS]:
            if part != one["part"]:
                continue
            measured = value(one, path)
            if measured is not None and words.endswith("MB"):
                measured = round(measured * _MEGABYTES_A_MEBIBYTE, 1)
            held = measured is not None and measured <= bound
            lines.append(f"{words}: {measured}, expected at most {bound:g}: {'holds' if held else 'DOES NOT HOLD'}")
    return lines
