"""Brings what stands in the cluster to what Gateways need: applies, repairs, removes.

Owns when an object is written: while this process leads, at a bounded rate, and only where what is wanted differs
from what stands. Server-side apply leaves alone what others set. It writes no object that is not a Gateway's of ours:
one of the same name is a problem that is told. Must not decide what a Gateway needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Chance, Clock
from controller.kube.kinds import FIELD_MANAGER
from controller.kube.rate import RateLimit
from controller.provision.claims import Claims, Place
from controller.provision.manifests import provisioned
from controller.provision.objects import (
    API_VERSIONS,
    ObjectName,
    digest_of,
    digested,
    is_going,
    ours_in,
    owner_of,
    path_of,
    stranger,
)
from controller.provision.observed import Observed
from controller.provision.settings import ProvisionerSettings, ProvisionSettings
from controller.store import Key
from controller.translate import Infrastructure

_REFUSED: Final = (400, 403, 422)

logger = logging.getLogger(__name__)


class _Object:
    """One object at a place, and how writing it went."""

    __slots__ = ("backoff", "not_before", "ours", "written_at")

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.not_before = 0.0
        self.ours: Any = None
        """What of ours stood right after it was written: the server may write values in another form."""
        self.written_at: float | None = None


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
        self._rate = RateLimit(self._bounds.per_second, self._bounds.burst, clock)
        self._claims = Claims()
        self._objects: dict[ObjectName, _Object] = {}
        self._problems: dict[Key, dict[ObjectName, str]] = {}
        self._due: dict[Place, None] = {}
        self._busy: set[Place] = set()
        self._wake = asyncio.Event()
        self._later: set[asyncio.Task[None]] = set()
        self._leads = asyncio.Event()
        self._follows = asyncio.Event()
        self._observed = Observed(api, self._bounds, self._seen, namespaces=namespaces, clock=clock, chance=chance)
        self.writes = 0
        """How many objects were applied or removed since the start."""

    # --- what others ask ------------------------------------------------------------------------

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
        for place in self._claims.take(changes):
            self._put(place)
        for key in changes:
            if key in self._problems and changes[key] is None:
                self._forget_problems(key)
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
                tasks = (*work, end, *self._later)
                for task in tasks:
                    task.cancel()
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
            if wait:
                self._postpone(place, wait)

    def _postpone(self, place: Place, seconds: float) -> None:
        async def later() -> None:
            await self._clock.sleep(seconds)
            self._put(place)

        task = asyncio.create_task(later(), name=f"provision {place.namespace}/{place.name}")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- one place ------------------------------------------------------------------------------

    async def _bring(self, place: Place) -> float:
        """One object after another, as they are needed; the seconds until another look, 0 for none."""
        infrastructure = self._claims.at(place)
        self._tell_losers(place, infrastructure)
        wanted = dict(self._manifests(infrastructure))
        waits = []
        for kind in API_VERSIONS:
            name = ObjectName(kind, *place)
            if not self._leads.is_set():
                break
            if kind in wanted and infrastructure is not None:
                waits.append(await self._guarded(name, infrastructure.gateway, wanted[kind]))
            elif self._observed.get(name) is not None:
                waits.append(await self._guarded(name, None, None))
        return min((wait for wait in waits if wait), default=0.0)

    def _manifests(self, infrastructure: Infrastructure | None) -> Iterator[tuple[str, dict[str, Any]]]:
        if infrastructure is not None and infrastructure.problem is None:
            for manifest in provisioned(infrastructure, self._settings):
                yield manifest["kind"], digested(manifest)

    async def _guarded(self, name: ObjectName, gateway: Key | None, manifest: dict[str, Any] | None) -> float:
        entry = self._objects.setdefault(name, _Object(self._new_backoff()))
        early = entry.not_before - self._clock.monotonic()
        if early > 0:
            return early
        try:
            if gateway is None or manifest is None:
                return await self._remove(name)
            return await self._apply(name, gateway, manifest, entry)
        except (ApiError, UnreachableError) as error:
            return self._failed(name, gateway, entry, error)

    async def _apply(self, name: ObjectName, gateway: Key, manifest: dict[str, Any], entry: _Object) -> float:
        live = self._observed.get(name) or await self._read(name)
        repairs = False
        if live is not None:
            strange = stranger(live, gateway)
            if strange:
                # It has no label of ours, so no watch tells when it goes.
                self._set_problem(gateway, name, strange)
                return self._bounds.longest_wait
            if is_going(live):
                return self._bounds.first_wait
            standing = ours_in(live, manifest)
            if digest_of(live) == digest_of(manifest) and standing in (manifest, entry.ours):
                self._set_problem(gateway, name, "")
                return 0.0
            repairs = digest_of(live) == digest_of(manifest)
            if repairs and (wait := self._quarrel(entry)):
                return wait
        await self._rate.wait()
        if not self._leads.is_set():
            return 0.0
        # The uid has the server refuse, should another object have taken the name meanwhile.
        guard = {"uid": live["metadata"]["uid"]} if live is not None else {}
        body = {**manifest, "metadata": {**manifest["metadata"], **guard}}
        answer = await self._api.apply(path_of(name), body, {"fieldManager": FIELD_MANAGER, "force": "true"})
        self.writes += 1
        self._observed.put(name, answer)
        entry.ours = ours_in(answer, manifest)
        entry.written_at = self._clock.monotonic()
        if repairs:
            entry.backoff.next()
        else:
            entry.backoff.reset()
        self._set_problem(gateway, name, "")
        return 0.0

    def _quarrel(self, entry: _Object) -> float:
        """Seconds to hold back, where somebody undid what was written a moment ago."""
        if entry.written_at is None:
            return 0.0
        since = self._clock.monotonic() - entry.written_at
        if since >= self._bounds.quarrel:
            entry.backoff.reset()
            return 0.0
        bound = min(self._bounds.longest_wait, self._bounds.first_wait * 2.0 ** min(entry.backoff.failures, 30))
        return max(0.0, bound - since)

    async def _remove(self, name: ObjectName) -> float:
        live = self._observed.get(name)
        owner = owner_of(live) if live is not None else None
        if live is None or owner is None or is_going(live):
            return 0.0
        if not self._claims.lets_go(owner, Place(name.namespace, name.name)):
            return 0.0
        await self._rate.wait()
        if not self._leads.is_set():
            return 0.0
        try:
            await self._api.delete(path_of(name), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise
        self.writes += 1
        self._observed.put(name, None)
        self._objects.pop(name, None)
        self._set_problem(owner, name, "")
        return 0.0

    async def _read(self, name: ObjectName) -> dict[str, Any] | None:
        try:
            found = await self._api.get(path_of(name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return {"apiVersion": API_VERSIONS[name.kind], "kind": name.kind, **found}

    # --- what went wrong ------------------------------------------------------------------------

    def _failed(
        self, name: ObjectName, gateway: Key | None, entry: _Object, error: ApiError | UnreachableError
    ) -> float:
        wait = entry.backoff.next()
        if isinstance(error, ApiError):
            wait = max(wait, error.retry_after or 0.0)
            if error.status in _REFUSED:
                wait = max(wait, self._bounds.longest_wait)
                logger.warning("%s is refused: %s", name, error)
                if gateway is not None:
                    self._set_problem(gateway, name, f"{name} is refused by the API server: {error}")
        entry.not_before = self._clock.monotonic() + wait
        logger.info("%s: %s; tried again in %.1f s", name, error, wait)
        return wait

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

    def _forget_problems(self, gateway: Key) -> None:
        if self._problems.pop(gateway, None):
            self._told(gateway)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._bounds.first_wait, self._bounds.longest_wait, self._chance)
