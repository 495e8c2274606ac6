"""Brings what stands in the cluster to what Gateways need: applies, repairs, removes.

Owns when an object is written: while this process leads, at a bounded rate, and only where what is wanted differs
from what stands. Server-side apply leaves alone what others set. It writes no object that is not a Gateway's of ours:
one of the same name is a problem that is told. Must not decide what a Gateway needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from controller.kube.client import Api
from controller.kube.clock import Chance, Clock
from controller.provision.applier import Applier, Rules, Wanted
from controller.provision.claims import Claims, Place, place_of
from controller.provision.manifests import provisioned
from controller.provision.objects import (
    API_VERSIONS,
    ObjectName,
    digested,
    owner_of,
)
from controller.provision.observed import Observed
from controller.provision.settings import ProvisionerSettings, ProvisionSettings
from controller.store import Key
from controller.translate import Infrastructure

_REFUSED: Final = (400, 403, 422)

logger = logging.getLogger(__name__)


class Provisioner:
    """Use :meth:`run` as a task."""

    def __init__(  # noqa: PLR0913  # its collaborators, each a thing of its own
        self,
        api: Api,
        settings: ProvisionSettings,
        told: Callable[[Key], None] = lambda _gateway: None,
        *,
        namespaces: Iterable[str] = (),
        bounds: ProvisionerSettings | None = None,
        clock: Clock,
        chance: Chance,
    ) -> None:
        """``told`` hears of every Gateway whose :meth:`problems` are others than before."""
        self._api = api
        self._settings = settings
        self._told = told
        self._bounds = bounds or ProvisionerSettings()
        self._clock = clock
        self._chance = chance
        self._claims = Claims()
        self._problems: dict[Key, dict[ObjectName, str]] = {}
        self._due: dict[Place, None] = {}
        self._busy: set[Place] = set()
        self._wake = asyncio.Event()
        self._later: dict[Place, asyncio.Task[None]] = {}
        self._leads = asyncio.Event()
        self._follows = asyncio.Event()
        self._observed = Observed(api, self._bounds, self._seen, namespaces=namespaces, clock=clock, chance=chance)
        rules = Rules(self._leads.is_set, self._lets_go, self._set_problem)
        self._applier = Applier(api, self._observed, rules, self._bounds, clock=clock, chance=chance)

    # --- what others ask ------------------------------------------------------------------------

    @property
    def writes(self) -> int:
        """How many objects were applied or removed since the start."""
        return self._applier.writes

    @property
    def idle(self) -> bool:
        """Whether everything that is wanted stands, as far as is known."""
        return self._observed.synced.is_set() and not (self._due or self._busy or self._later)

    def lead(self, leads: bool) -> None:
        """Begin to write, or stop."""
        (self._leads if leads else self._follows).set()
        (self._follows if leads else self._leads).clear()

    def want(self, changes: Mapping[Key, Infrastructure | None]) -> None:
        """From now on these are wanted. None: the Gateway is gone, or no concern of ours."""
        for touched in self._claims.take(changes):
            self._put(touched)
        for key, infrastructure in changes.items():
            place = place_of(infrastructure) if infrastructure is not None else None
            for name in list(self._problems.get(key, ())):
                if (name.namespace, name.name) != place:
                    self._set_problem(key, name, "")
            self._put_owned(key)

    def use(self, settings: ProvisionSettings) -> None:
        """From now on these settings hold, for example another bundle."""
        if settings != self._settings:
            self._settings = settings
            for place in self._claims.places():
                self._put(place)

    def gateway_of(self, namespace: str, service_account: str) -> Key | None:
        """The Gateway whose pods run as a service account. Also followers know."""
        infrastructure = self._claims.at(Place(namespace, service_account))
        return infrastructure.gateway if infrastructure else None

    def problems(self, gateway: Key) -> tuple[str, ...]:
        """Why what a Gateway needs does not stand."""
        return tuple(self._problems.get(gateway, {}).values())

    async def run(self) -> None:
        """Without end."""
        while True:
            await self._leads.wait()
            for place in self._claims.places():
                self._put(place)
            work = [asyncio.create_task(self._observed.run(), name="provisioned objects")]
            work += [asyncio.create_task(self._work(), name="provision") for _ in range(self._bounds.workers)]
            end = asyncio.create_task(self._follows.wait())
            try:
                await asyncio.wait([*work, end], return_when=asyncio.FIRST_COMPLETED)
            finally:
                tasks = (*work, end, *self._later.values())
                for task in tasks:
                    task.cancel()
                self._later.clear()
                await asyncio.gather(*tasks, return_exceptions=True)

    # --- the queue ------------------------------------------------------------------------------

    def _seen(self, name: ObjectName) -> None:
        self._put(Place(name.namespace, name.name))

    def _put(self, place: Place) -> None:
        if self._leads.is_set():
            self._due[place] = None
            self._wake.set()

    def _put_owned(self, gateway: Key) -> None:
        """Everything of a Gateway that stands, under whatever name, may be too much now."""
        for name in self._observed.names():
            document = self._observed.get(name)
            if document is not None and owner_of(document) == gateway:
                self._seen(name)

    async def _work(self) -> None:
        await self._observed.synced.wait()
        while True:
            place = next((place for place in self._due if place not in self._busy), None)
            if place is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            del self._due[place]
            self._busy.add(place)
            try:
                wait = await self._bring(place)
            except Exception:
                logger.exception("what is provisioned as %s/%s could not be brought about", *place)
                wait = self._bounds.longest_wait
            finally:
                self._busy.discard(place)
                self._wake.set()
            self._look_again(place, wait)

    def _look_again(self, place: Place, seconds: float) -> None:
        """After so many seconds, or not at all for 0. One wait a place: a look in between finds anew how long."""
        before = self._later.pop(place, None)
        if before is not None:
            before.cancel()
        if not seconds:
            return

        async def later() -> None:
            await self._clock.sleep(seconds)
            if self._later.get(place) is task:
                del self._later[place]
            self._put(place)

        task = self._later[place] = asyncio.create_task(later(), name=f"provision {place.namespace}/{place.name}")

    # --- one place ------------------------------------------------------------------------------

    async def _bring(self, place: Place) -> float:
        """One object after another, as they are needed; the seconds until another look, 0 for none."""
        if not self._settings.bundle_pem:
            # Not known yet: pods without it could not reach the controller.
            return 0.0
        infrastructure = self._claims.at(place)
        self._tell_losers(place, infrastructure)
        wanted = dict(self._manifests(infrastructure))
        waits = []
        for kind in API_VERSIONS:
            name = ObjectName(kind, *place)
            if not self._leads.is_set():
                break
            if kind in wanted or self._observed.get(name) is not None:
                waits.append(await self._applier.bring(name, wanted.get(kind)))
                continue
            self._applier.forget(name)
            if infrastructure is not None:
                self._set_problem(infrastructure.gateway, name, "")
        return min((wait for wait in waits if wait), default=0.0)

    def _manifests(self, infrastructure: Infrastructure | None) -> Iterator[tuple[str, Wanted]]:
        if infrastructure is not None and infrastructure.problem is None:
            for manifest in provisioned(infrastructure, self._settings):
                yield manifest["kind"], Wanted(infrastructure.gateway, digested(manifest))

    def _lets_go(self, owner: Key, name: ObjectName) -> bool:
        return self._claims.lets_go(owner, Place(name.namespace, name.name))

    # --- what went wrong ------------------------------------------------------------------------

    def _tell_losers(self, place: Place, winner: Infrastructure | None) -> None:
        for key in self._claims.losers(place):
            name = ObjectName("Deployment", *place)
            owner = winner.gateway if winner else "another Gateway"
            self._set_problem(key, name, f"{name} is {owner}'s, which is older: rename one of the two Gateways")

    def _set_problem(self, gateway: Key, name: ObjectName, text: str) -> None:
        known = self._problems.get(gateway, {})
        if known.get(name, "") == text:
            return
        if text:
            self._problems.setdefault(gateway, {})[name] = text
        else:
            del known[name]
            if not known:
                del self._problems[gateway]
        self._told(gateway)
