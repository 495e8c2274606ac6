"""One object brought to what is wanted: applied, set right, or removed.

Owns whether an object is written at all: only where what is wanted differs from what stands, never against its owner,
and later each time somebody undoes it. Must not decide what is wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Chance, Clock
from controller.kube.kinds import FIELD_MANAGER
from controller.kube.rate import RateLimit
from controller.provision.handover import KEEPER, gives_up, kept_replicas
from controller.provision.objects import (
    API_VERSIONS,
    ObjectName,
    digest_of,
    is_going,
    ours_in,
    owner_of,
    path_of,
    stranger,
)
from controller.provision.observed import Observed
from controller.provision.settings import ProvisionerSettings
from controller.store import Key

_PASSING: Final = (409, 429, 502, 503, 504)
"""Answers that say nothing against the object itself."""

logger = logging.getLogger(__name__)


class _Object:
    """How writing one object went."""

    __slots__ = ("backoff", "digest", "not_before", "ours", "tried", "written_at")

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.digest = ""
        """Of the manifest that was written last."""
        self.not_before = 0.0
        self.tried: dict[str, Any] | None = None
        """The manifest that failed: another one need not wait."""
        self.ours: Any = None
        """What of ours stood right after it was written: the server may write values in another form."""
        self.written_at: float | None = None


@dataclass(frozen=True)
class Wanted:
    """An object that is to stand for a Gateway."""

    gateway: Key
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """What the applier asks before it writes, and whom it tells."""

    may_write: Callable[[], bool]
    lets_go: Callable[[Key, ObjectName], bool]
    """Whether a Gateway's object, which is not wanted, may go."""
    problem: Callable[[Key, ObjectName, str], None]
    """Why an object does not stand; empty: it does."""


class Applier:
    """Writes objects one by one."""

    def __init__(  # its collaborators, each a thing of its own
        self,
        api: Api,
        observed: Observed,
        rules: Rules,
        bounds: ProvisionerSettings,
        *,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._api = api
        self._observed = observed
        self._rules = rules
        self._bounds = bounds
        self._clock = clock
        self._chance = chance
        self._rate = RateLimit(bounds.per_second, bounds.burst, clock)
        self._objects: dict[ObjectName, _Object] = {}
        self.writes = 0
        """How many objects were applied or removed since the start."""

    def forget(self, name: ObjectName) -> None:
        """The object is gone, and nobody wants it."""
        self._objects.pop(name, None)

    async def bring(self, name: ObjectName, wanted: Wanted | None) -> float:
        """Writes what is wanted if it does not stand; the seconds until another try, 0 for none."""
        entry = self._objects.setdefault(name, _Object(self._new_backoff()))
        manifest = wanted.manifest if wanted is not None else None
        early = entry.not_before - self._clock.monotonic()
        if early > 0 and entry.tried == manifest:
            return early
        try:
            if wanted is None:
                return await self._remove(name)
            live = self._observed.get(name) or await self._read(name)
            if live is None:
                return self._quarrel(entry, wanted) or await self._write(name, wanted, entry, None)
            return await self._replace(name, wanted, entry, live)
        except (ApiError, UnreachableError) as error:
            return self._failed(name, wanted, entry, error)

    async def _replace(self, name: ObjectName, wanted: Wanted, entry: _Object, live: dict[str, Any]) -> float:
        """Writes over what stands, if it is ours and says something else."""
        strange = stranger(live, wanted.gateway)
        if strange and self._may_go(name, live):
            return await self._remove(name) or self._bounds.first_wait
        if strange:
            # It may have no label of ours, so that no watch tells when it goes.
            self._rules.problem(wanted.gateway, name, strange)
            return self._bounds.longest_wait
        if is_going(live):
            return self._bounds.first_wait
        same = digest_of(live) == digest_of(wanted.manifest)
        if same and ours_in(live, wanted.manifest) in (wanted.manifest, entry.ours):
            self._rules.problem(wanted.gateway, name, "")
            return 0.0
        return self._quarrel(entry, wanted) or await self._write(name, wanted, entry, live)

    async def _write(self, name: ObjectName, wanted: Wanted, entry: _Object, live: dict[str, Any] | None) -> float:
        await self._rate.wait()
        if not self._rules.may_write():
            return 0.0
        manifest = wanted.manifest
        if live is not None and gives_up(name, manifest):
            await self._hand_over(name)
        # The uid has the server refuse, should another object have taken the name meanwhile.
        guard = {"uid": live["metadata"]["uid"]} if live is not None else {}
        body = {**manifest, "metadata": {**manifest["metadata"], **guard}}
        answer = await self._api.apply(path_of(name), body, {"fieldManager": FIELD_MANAGER, "force": "true"})
        self.writes += 1
        self._observed.put(name, answer)
        if entry.digest == digest_of(manifest):
            entry.backoff.next()
        else:
            entry.backoff.reset()
        entry.digest = digest_of(manifest)
        entry.ours = ours_in(answer, manifest)
        entry.written_at = self._clock.monotonic()
        self._rules.problem(wanted.gateway, name, "")
        return 0.0

    async def _hand_over(self, name: ObjectName) -> None:
        live = await self._read(name)
        kept = kept_replicas(live) if live is not None else None
        if kept is not None:
            await self._api.apply(path_of(name), kept, {"fieldManager": KEEPER, "force": "true"})

    def _quarrel(self, entry: _Object, wanted: Wanted) -> float:
        """Seconds to hold back, where somebody changed or removed what was written a moment ago."""
        if entry.written_at is None or entry.digest != digest_of(wanted.manifest):
            return 0.0
        since = self._clock.monotonic() - entry.written_at
        if since >= self._bounds.quarrel:
            entry.backoff.reset()
            return 0.0
        bound = min(self._bounds.longest_wait, self._bounds.first_wait * 2.0 ** min(entry.backoff.failures, 30))
        return max(0.0, bound - since)

    async def _remove(self, name: ObjectName) -> float:
        live = self._observed.get(name)
        if live is None or is_going(live) or not self._may_go(name, live):
            return 0.0
        await self._rate.wait()
        if not self._rules.may_write():
            return 0.0
        try:
            await self._api.delete(path_of(name), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise
        self.writes += 1
        self._observed.put(name, None)
        self.forget(name)
        return 0.0

    def _may_go(self, name: ObjectName, live: dict[str, Any]) -> bool:
        owner = owner_of(live)
        return owner is not None and self._rules.lets_go(owner, name)

    async def _read(self, name: ObjectName) -> dict[str, Any] | None:
        try:
            found = await self._api.get(path_of(name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return {"apiVersion": API_VERSIONS[name.kind], "kind": name.kind, **found}

    def _failed(
        self, name: ObjectName, wanted: Wanted | None, entry: _Object, error: ApiError | UnreachableError
    ) -> float:
        wait = entry.backoff.next()
        if isinstance(error, ApiError):
            wait = max(wait, error.retry_after or 0.0)
            if error.status not in _PASSING:
                wait = max(wait, self._bounds.longest_wait)
                logger.warning("%s is refused: %s", name, error)
                if wanted is not None:
                    self._rules.problem(wanted.gateway, name, f"{name} is refused by the API server: {error}")
        entry.not_before = self._clock.monotonic() + wait
        entry.tried = wanted.manifest if wanted is not None else None
        logger.info("%s: %s; tried again in %.1f s", name, error, wait)
        return wait

    def _new_backoff(self) -> Backoff:
        return Backoff(self._bounds.first_wait, self._bounds.longest_wait, self._chance)
