"""Results of the control planes: JSON to compare, a table to read, and the expectations of Sekisho."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.control.expected import expectations, must_hold
from tests.bench.control.peers import PEERS
from tests.bench.control.scale import PARTS, Scale

_NOTHING = "-"
RESULTS = Path(__file__).parents[1] / "results"
Found = Mapping[str, Any]

_TITLES = {
    "attached": "Attached routes: `attachedRoutes` of {attached_routes:,} new routes",
    "probe": "Probe: {probes:,} routes created one after another",
    "change": "Route change: {toggles:,} changes of one route under load",
    "load": "Route load: {load_routes:,} routes and Services in {load_namespaces} namespaces",
}
_ROWS: dict[str, tuple[tuple[str, str], ...]] = {
    "attached": (
        ("right after the last create, s", "setup.after_the_last"),
        ("creating them, s", "setup.writing"),
        ("right after the last delete, s", "teardown.after_the_last"),
        ("controller, CPU s", "controller.cpu_seconds"),
        ("controller, peak MiB", "controller.peak"),
    ),
    "probe": (
        ("routes probed", "probes"),
        ("created → first 200, p50 ms", "propagation_ms.p50"),
        ("p99 ms", "propagation_ms.p99"),
        ("worst ms", "propagation_ms.max"),
        ("answers other than 404, then 200", "wrong_answers"),
        ("routes never served", "never"),
        ("controller, CPU s", "controller.cpu_seconds"),
        ("controller, peak MiB", "controller.peak"),
        ("gateway, peak MiB", "gateway.peak"),
    ),
    "change": (
        ("changes made", "toggles"),
        ("seen within 2 s", "seen_in_time"),
        ("written → seen, p50 ms", "propagation_ms.p50"),
        ("p99 ms", "propagation_ms.p99"),
        ("requests", "requests"),
        ("failed", "failed"),
        ("failed after which change", "failed_after"),
        ("gateway, peak MiB", "gateway.peak"),
    ),
    "load": (
        ("served after the last was written, s", "setup.served_after_seconds"),
        ("not served at all", "setup.not_served"),
        ("controller, CPU s to set up", "setup.controller.cpu_seconds"),
        ("at rest: new routes probed", "calm.probes"),
        ("created → first 200, p50 ms", "calm.propagation_ms.p50"),
        ("p99 ms", "calm.propagation_ms.p99"),
        ("wrong answers", "calm.wrong_answers"),
        ("under churn: new routes probed", "churn.probes"),
        ("created → first 200, p50 ms", "churn.propagation_ms.p50"),
        ("p99 ms", "churn.propagation_ms.p99"),
        ("wrong answers", "churn.wrong_answers"),
        ("writes per second", "churn.writes_per_second"),
        ("controller, mean cores under churn", "churn.controller_cores"),
        ("controller, CPU ms a write", "churn.controller_ms_a_write"),
        ("controller, peak MiB", "churn.controller.peak"),
        ("gateway, MiB after churn", "churn.gateway.memory"),
        ("gateway, peak MiB", "churn.gateway.peak"),
    ),
}


def value(found: Found, path: str) -> Any:
    """What a dotted path leads to; None where a part did not come so far."""
    current: Any = found
    for name in path.split("."):
        current = current.get(name) if isinstance(current, Mapping) else None
    return current


def table(found: Sequence[Found], scale: Scale, machine: Mapping[str, str]) -> str:
    """Markdown."""
    lines = [
        "# Control plane",
        "",
        f"On {machine['cpu']} ({machine['kernel']}), {machine['date']}. Its {machine['cores']} cores are shared by",
        "everything: cluster, controller, gateway, backend, client, and whatever else the load average tells of. Each",
        "part of each peer ran in a fresh one-machine cluster, one after the other. Both were installed from their",
        "charts with their defaults, but without access logs.",
        "",
    ]
    for part in PARTS:
        columns = [(peer, one) for peer in PEERS for one in found if (one["part"], one["peer"]) == (part, peer.name)]
        if not columns:
            continue
        lines += [f"## {_TITLES[part].format(**asdict(scale))}", ""]
        lines += [f"| | {' | '.join(peer.title for peer, _ in columns)} |", f"|---|{'---|' * len(columns)}"]
        for title, path in _ROWS[part]:
            lines.append(f"| {title} | {' | '.join(_text(value(one, path)) for _, one in columns)} |")
        loads = " | ".join(" → ".join(f"{load:g}" for load in one["load_average"]) for _, one in columns)
        lines += [f"| load average of the machine | {loads} |", ""]
    held = expectations(found, value)
    if held:
        lines += ["## Expected of Sekisho", "", *(f"* {line}" for line in held)]
    return "\n".join(lines).rstrip() + "\n"


def _text(given: Any) -> str:
    if given is None:
        return _NOTHING
    if isinstance(given, Mapping):
        return ", ".join(f"{name}: {count:,}" for name, count in given.items()) or _NOTHING
    return f"{given:,.4g}" if isinstance(given, float) and given < 1000 else f"{given:,.0f}"


def failures(found: Iterable[Found]) -> list[str]:
    """What must hold on any machine, however loaded."""
    return must_hold(found, value)


def write(found: list[dict[str, Any]], scale: Scale, machine: dict[str, str], directory: Path) -> str:
    """Write both files, and return the table."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine, "scale": asdict(scale), "results": found}
    (directory / "control.json").write_text(json.dumps(document, indent=2) + "\n")
    text = table(found, scale, machine)
    (directory / "control.md").write_text(text)
    return text
