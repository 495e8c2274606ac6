"""How much of everything a run does. The fields speak for the field's own tests; `small` only shows that all works."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

PARTS = ("attached", "probe", "change", "load")


@dataclass(frozen=True)
class Scale:
    attached_routes: int = 1000
    probes: int = 3000
    toggles: int = 200
    """Changes of the one route that is under load; each kind of change in turn."""
    load_routes: int = 5000
    """Routes, each with a Service and endpoints of its own."""
    load_namespaces: int = 50
    load_probes: int = 300
    """Routes created one after another beside those, at rest and again under churn."""
    churn_per_second: float = 4.0
    """Changes of routes and endpoints, beside the routes that are probed and deleted."""
    probe_pause: float = 0.3
    """Seconds between two probes under load: without it the probes themselves would be most of the churn."""
    minutes: float = 12.0
    """Bound of one part of one peer. A part that does not finish tells how far it came."""

    def times(self, factor: float) -> Scale:
        """Fewer of everything that is counted; never none."""
        counted = ("attached_routes", "probes", "toggles", "load_routes", "load_namespaces", "load_probes")
        changed = {field.name: getattr(self, field.name) for field in fields(self) if field.name in counted}
        return replace(self, **{name: max(4, round(value * factor)) for name, value in changed.items()})
