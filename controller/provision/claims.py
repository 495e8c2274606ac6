"""Which Gateway a name in a namespace belongs to.

Owns the choice where two Gateways come to one name (``a-b`` of class ``c``, and ``a`` of class ``b-c``): the older
one has it. Pure bookkeeping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from controller.store import Key
from controller.translate import Infrastructure


class Place(NamedTuple):
    """The name that everything made for a Gateway bears."""

    namespace: str
    name: str


class Claims:
    """What every Gateway needs, by Gateway and by place."""

    def __init__(self) -> None:
        self._wanted: dict[Key, Infrastructure] = {}
        self._claimants: dict[Place, set[Key]] = {}
        self._released: set[Key] = set()

    def take(self, changes: Mapping[Key, Infrastructure | None]) -> set[Place]:
        """Takes changes over; the places that may look different now. None: nothing is wanted any more."""
        touched: set[Place] = set()
        for key, infrastructure in changes.items():
            before = self._wanted.pop(key, None)
            if before is not None:
                place = place_of(before)
                touched.add(place)
                self._claimants[place].discard(key)
                if not self._claimants[place]:
                    del self._claimants[place]
            if infrastructure is None:
                self._released.add(key)
                continue
            self._released.discard(key)
            self._wanted[key] = infrastructure
            self._claimants.setdefault(place_of(infrastructure), set()).add(key)
            touched.add(place_of(infrastructure))
        return touched

    def places(self) -> tuple[Place, ...]:
        """All that are claimed."""
        return tuple(self._claimants)

    def at(self, place: Place) -> Infrastructure | None:
        """What the Gateway that has a place needs."""
        claimants = [self._wanted[key] for key in self._claimants.get(place, ())]
        return min(claimants, key=lambda claimant: claimant.age) if claimants else None

    def losers(self, place: Place) -> tuple[Key, ...]:
        """The other Gateways that would have the place."""
        winner = self.at(place)
        return tuple(key for key in self._claimants.get(place, ()) if winner is None or key != winner.gateway)

    def lets_go(self, owner: Key, place: Place) -> bool:
        """Whether what stands at a place for a Gateway, and is not wanted, may go."""
        infrastructure = self._wanted.get(owner)
        if infrastructure is None:
            return owner in self._released
        # Of a Gateway that is not accepted it is not known what it wants: what stands at its place, stays.
        return infrastructure.problem is None or self.at(place) is not infrastructure


def place_of(infrastructure: Infrastructure) -> Place:
    """Where the objects of a Gateway are."""
    return Place(infrastructure.gateway.namespace, infrastructure.name)
