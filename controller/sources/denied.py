"""Whom the authority denies, as a change of objects: now, and whenever its list is another."""

from __future__ import annotations

from collections.abc import Callable

from controller.ca.authority import Authority
from controller.resources import DeniedIdentities
from controller.sources.source import Change


def follow_denied(authority: Authority, tell: Callable[[Change], None]) -> None:
    """``tell`` is called at once where somebody is denied, and then on the thread that changes ``authority``."""
    told: frozenset[str] = frozenset()

    def look() -> None:
        nonlocal told
        denied = authority.material.denied
        if denied != told:
            told = denied
            tell(Change(upserts=(DeniedIdentities.of(denied),), keeps_problems=True))

    look()
    authority.on_change(look)
