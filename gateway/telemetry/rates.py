"""Rates and latency percentiles over a window, from two readings of the counters.

Pure: two :class:`Statistics` and the time between them in, numbers for people out. A counter that
went back (a worker was replaced) counts from zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.telemetry.statistics import Series, Statistics

PERCENTILES = (50, 90, 99)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What went through in one window."""

    requests_per_second: float = 0.0
    classes: dict[str, float] = {}
    """Requests a second by the class of the response code: ``2xx``, ``3xx``, …"""
    latency_ms: dict[str, float] = {}
    """Upper estimate by percentile: ``p50``, ``p90``, ``p99``; empty without traffic."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic in one window, whole and in parts."""

    window_seconds: float = 0.0
    total: Traffic = Traffic()
    listeners: dict[str, float] = {}
    routes: dict[str, float] = {}
    backends: dict[str, Traffic] = {}
    """By destination service name and namespace, ``namespace/name``; gateway answers are under ``-``."""


def rates(earlier: Statistics, later: Statistics, seconds: float) -> Rates:
    """What happened between two readings that are ``seconds`` apart."""
    if seconds <= 0:
        return Rates()
    before = {series.labels: series for series in earlier.series}
    grown = [_growth(before.get(series.labels), series) for series in later.series]
    groups: defaultdict[str, list[Series]] = defaultdict(list)
    for series in grown:
        groups[destination(series)].append(series)
    bounds = later.duration_bounds_ms
    return Rates(
        window_seconds=round(seconds, 3),
        total=_traffic(grown, bounds, seconds),
        listeners=_per_second(
            {item.key: item.requests for item in earlier.listeners},
            {item.key: item.requests for item in later.listeners},
            seconds,
        ),
        routes=_per_second(
            {item.route: item.requests for item in earlier.routes_hit},
            {item.route: item.requests for item in later.routes_hit},
            seconds,
        ),
        backends={name: _traffic(group, bounds, seconds) for name, group in sorted(groups.items())},
    )


def destination(series: Series) -> str:
    """Name under which a series' backend is shown."""
    labels = series.labels
    if not labels.destination_service_name:
        return "-"
    return f"{labels.destination_service_namespace}/{labels.destination_service_name}".removeprefix("/")


def percentile(buckets: Sequence[int], bounds: Sequence[float], percent: int) -> float:
    """The value below which ``percent`` of the counted lie, interpolated within its bucket.

    Above the last bound nothing is known, so the last bound itself is the answer.
    """
    rank = sum(buckets) * percent / 100
    below = 0
    for index, count in enumerate(buckets):
        if count and below + count >= rank:
            if index >= len(bounds):
                break
            low = bounds[index - 1] if index else 0.0
            return low + (bounds[index] - low) * (rank - below) / count
        below += count
    return bounds[-1] if bounds else 0.0


def _growth(earlier: Series | None, later: Series) -> Series:
    if earlier is None or later.requests < earlier.requests:
        return later
    return Series(
        labels=later.labels,
        requests=later.requests - earlier.requests,
        duration_buckets=tuple(
            new - old for new, old in zip(later.duration_buckets, earlier.duration_buckets, strict=False)
        ),
    )


def _traffic(group: Iterable[Series], bounds: Sequence[float], seconds: float) -> Traffic:
    buckets: list[int] = [0] * (len(bounds) + 1)
    classes: defaultdict[str, int] = defaultdict(int)
    requests = 0
    for series in group:
        requests += series.requests
        if series.requests:
            classes[response_class(series)] += series.requests
        for index, count in enumerate(series.duration_buckets[: len(buckets)]):
            buckets[index] += count
    latency = {f"p{percent}": round(percentile(buckets, bounds, percent), 2) for percent in PERCENTILES}
    return Traffic(
        requests_per_second=round(requests / seconds, 2),
        classes={name: round(count / seconds, 2) for name, count in sorted(classes.items())},
        latency_ms=latency if sum(buckets) else {},
    )


def response_class(series: Series) -> str:
    """``2xx`` and so on; ``none`` where the client was gone before an answer."""
    first = str(series.labels.response_code)[:1]
    return f"{first}xx" if first in "12345" and first else "none"


def _per_second(earlier: Mapping[str, int], later: Mapping[str, int], seconds: float) -> dict[str, float]:
    result: dict[str, float] = {}
    for key, now in later.items():
        grown = now - earlier.get(key, 0)
        result[key] = round((grown if grown >= 0 else now) / seconds, 2)
    return result
