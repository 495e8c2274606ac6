"""What the agent knows at one moment, for everybody who only reads: readiness, metrics, status."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.routing_table.model import ListenerState, Rejection


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """Replaced as a whole after each update; never changed."""

    version: str = ""
    loaded: bool = False
    """A table was applied at least once, from the state directory or from a controller."""
    restored: bool = False
    """The table in force is the one of the last run: no controller has spoken yet."""
    applied_at: float = 0.0
    """Seconds since the epoch."""
    rejected: tuple[Rejection, ...] = ()
    listeners: tuple[ListenerState, ...] = ()
    counts: Mapping[str, int] = {}
    last_error: str = ""
    """Why the last update was refused as a whole, until one is applied."""
    persistence_error: str = ""

    @property
    def ready(self) -> bool:
        """A table is loaded, and every listener is bound or was reported as not bindable."""
        return self.loaded and all(listener.bound or listener.error for listener in self.listeners)

    @property
    def unbound(self) -> tuple[ListenerState, ...]:
        """Listeners that are not served."""
        return tuple(listener for listener in self.listeners if not listener.bound)
