"""What several gateways say of one table, as one answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.routing_table.model import Applied, ListenerState, Rejection


@dataclass(frozen=True)
class Standing:
    """One gateway of a table."""

    gateway: str
    holds: Applied | None
    """None before it has said anything."""
    refused: str = ""
    """The version that it refused as a whole; ``holds`` says why."""
    connected: bool = True
    identity: str = ""
    certificate_ends: float = 0.0
    """Of the certificate it showed; empty and 0 where that is not known."""

    def has_answered(self, version: str) -> bool:
        """Whether it said what becomes of ``version``: it holds it, or refuses it as a whole."""
        return self.holds is not None and version in {self.holds.version, self.refused}


def united(version: str, standings: Iterable[Standing], *, without_late: bool) -> Applied | None:
    """One answer to ``version``; None while there is none.

    What any gateway refuses is refused, and a listener is bound when it is with all that know it.
    ``without_late``: do not wait for gateways that have not answered.
    """
    every = list(standings)
    answered = [item for item in every if item.has_answered(version)]
    answers = [item.holds for item in answered if item.holds is not None]
    if not answers or (len(answers) < len(every) and not without_late):
        return None
    rejected: dict[tuple[str, str], Rejection] = {}
    listeners: dict[str, ListenerState] = {}
    for answer in answers:
        for rejection in answer.rejected:
            rejected.setdefault((rejection.kind, rejection.key), rejection)
        for state in answer.listeners:
            known = listeners.get(state.key)
            if known is None or known.bound:
                listeners[state.key] = state
    return Applied(
        version=version,
        rejected=tuple(rejected[name] for name in sorted(rejected)),
        listeners=tuple(listeners[key] for key in sorted(listeners)),
        error=next((item.holds.error for item in answered if item.holds is not None and item.refused == version), ""),
    )
