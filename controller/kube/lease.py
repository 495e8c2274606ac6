"""Leader election among controllers by a Lease (``coordination.k8s.io/v1``).

Owns who leads. A holder counts as gone once its record has not changed for the lease's duration *as seen
here*: the clocks of two machines are never compared. A leader that cannot renew stops leading before
another may begin, and one that exits gives the lease back, so that the next need not wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Chance, Clock

_LEAST_SECONDS: Final = 0.5
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseSettings:
    """The Lease, and times in seconds: ``duration`` > ``renew_within`` > ``every``."""

    namespace: str
    identity: str
    """Of this process, unlike any other's."""
    name: str = "sekisho-controller"
    duration: int = 15
    renew_within: float = 10.0
    """A leader that could not renew for this long stops."""
    every: float = 2.0


class LeaderElection:
    """Takes part in the election; ``told`` hears True when this process begins to lead, False when it stops."""

    def __init__(
        self, api: Api, settings: LeaseSettings, told: Callable[[bool], None], *, clock: Clock, chance: Chance
    ) -> None:
        self._api = api
        self._settings = settings
        self._told = told
        self._clock = clock
        self._chance = chance
        self._leads = False
        self._renewed_at = 0.0
        self._record: dict[str, Any] = {}
        self._observed_at = 0.0
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{quote(settings.namespace, safe='')}/leases"
        self._collection = leases
        self._path = f"{leases}/{quote(settings.name, safe='')}"

    @property
    def leads(self) -> bool:
        """Whether this process may write, now: a leader that was held up too long to renew may not."""
        return self._leads and self._clock.monotonic() - self._renewed_at < self._settings.renew_within

    @property
    def holder(self) -> str:
        """Who leads, as far as is known."""
        return str(self._record.get("holderIdentity") or "")

    async def run(self) -> None:
        """Without end; on cancellation, :meth:`release` is for the caller."""
        while True:
            await self.step()
            await self._clock.sleep(self._settings.every * (1.0 + 0.2 * self._chance()))

    async def step(self) -> None:
        """One try to take or to renew the lease."""
        try:
            # An answer that comes after the time to renew would come too late to stop.
            async with asyncio.timeout(self._seconds_left()):
                taken = await self._try()
        except (ApiError, UnreachableError, TimeoutError) as error:
            logger.info("the lease %s: %s", self._settings.name, str(error) or "no answer in time")
            self._stop_if_late()
            return
        if taken:
            self._set(leads=True)
        elif self._leads and self.holder != self._settings.identity:
            self._set(leads=False)
        else:
            self._stop_if_late()

    async def release(self) -> None:
        """Gives the lease back, if it is ours."""
        if not self._leads:
            return
        self._set(leads=False)
        try:
            lease = await self._api.get(self._path)
            spec = lease.get("spec") or {}
            if spec.get("holderIdentity") != self._settings.identity:
                return
            given_back = {**spec, "leaseDurationSeconds": 1, "renewTime": self._now()}
            del given_back["holderIdentity"]
            await self._api.replace(self._path, {**lease, "spec": given_back})
        except (ApiError, UnreachableError) as error:
            logger.warning("the lease %s was not given back (%s): it ends by itself", self._settings.name, error)

    async def _try(self) -> bool:
        try:
            lease = await self._api.get(self._path)
        except ApiError as error:
            if error.status != 404:
                raise
            return await self._create()
        spec = lease.get("spec") or {}
        self._observe(spec)
        mine = spec.get("holderIdentity") == self._settings.identity
        if not mine and self.holder and not self._ended(spec):
            return False
        began = self._clock.monotonic()
        renewed = self._spec() | {
            "acquireTime": spec.get("acquireTime") if mine else self._now(),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if mine else 1),
        }
        # Guarded by the resource version that was read: of two that try, one gets a conflict.
        answer = await self._api.replace(self._path, {**lease, "spec": renewed})
        self._observe(answer.get("spec") or renewed)
        self._renewed_at = began
        return True

    async def _create(self) -> bool:
        began = self._clock.monotonic()
        metadata = {"name": self._settings.name, "namespace": self._settings.namespace}
        spec = self._spec() | {"acquireTime": self._now(), "leaseTransitions": 0}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        answer = await self._api.create(self._collection, body)
        self._observe(answer.get("spec") or spec)
        self._renewed_at = began
        return True

    def _spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._settings.identity,
            "leaseDurationSeconds": self._settings.duration,
            "renewTime": self._now(),
        }

    def _observe(self, spec: dict[str, Any]) -> None:
        if spec != self._record:
            self._record = spec
            self._observed_at = self._clock.monotonic()

    def _ended(self, spec: dict[str, Any]) -> bool:
        given = spec.get("leaseDurationSeconds")
        duration = given if isinstance(given, int) and given > 0 else self._settings.duration
        return self._clock.monotonic() - self._observed_at >= duration

    def _seconds_left(self) -> float:
        held = self._clock.monotonic() - self._renewed_at if self._leads else 0.0
        return max(_LEAST_SECONDS, self._settings.renew_within - held)

    def _stop_if_late(self) -> None:
        if self._leads and self._clock.monotonic() - self._renewed_at >= self._settings.renew_within:
            self._set(leads=False)

    def _set(self, *, leads: bool) -> None:
        if leads == self._leads:
            return
        self._leads = leads
        logger.info("%s %s", self._settings.identity, "leads" if leads else "no longer leads")
        self._told(leads)

    def _now(self) -> str:
        return self._clock.now().strftime(_TIME)
