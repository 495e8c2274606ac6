"""Events: what a person must act on, said on the object it is about.

Owns saying a thing once: the same text on the same object is not repeated while it holds, and only counted
when it comes back. Events are a courtesy, so one that cannot be written is let go; statuses hold the truth.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Clock
from controller.kube.rate import RateLimit
from controller.resources import BY_KIND
from controller.store import Key
from controller.translate.conditions import Condition
from controller.translate.statuses import (
    GatewayClassStatus,
    GatewayStatus,
    IngressStatus,
    ListenerSetStatus,
    PolicyStatus,
    RouteStatus,
    Status,
)

_MAX_MESSAGE: Final = 1_000
_REMEMBERED: Final = 20_000
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"

logger = logging.getLogger(__name__)


class Notice(msgspec.Struct, frozen=True):
    """One thing to say of one object."""

    key: Key
    uid: str
    reason: str
    """In CamelCase, as Kubernetes has it."""
    message: str


def notices_of(key: Key, uid: str, status: Status) -> Iterator[Notice]:
    """What a status says that a person must act on: each failing condition, once."""
    for condition in _conditions(status):
        positive = condition.type not in ("Conflicted", "OverlappingTLSConfig", "PartiallyInvalid")
        if condition.status == ("False" if positive else "True"):
            yield Notice(key, uid, str(condition.reason), f"{condition.type}: {condition.message}"[:_MAX_MESSAGE])


def _conditions(status: Status) -> Iterator[Condition]:
    match status:
        case GatewayClassStatus() | IngressStatus():
            yield from status.conditions
        case GatewayStatus() | ListenerSetStatus():
            yield from status.conditions
            for listener in status.listeners:
                yield from listener.conditions
        case RouteStatus():
            for parent in status.parents:
                yield from parent.conditions
        case PolicyStatus():
            for ancestor in status.ancestors:
                yield from ancestor.conditions
        case _:
            for backend in status.ancestors:
                yield from backend.conditions


class EventRecorder:
    """Writes events (``core/v1``)."""

    def __init__(self, api: Api, clock: Clock, *, component: str = "sekisho-controller", instance: str = "") -> None:
        self._api = api
        self._clock = clock
        self._component = component
        self._instance = instance
        self._holding: dict[Key, frozenset[Notice]] = {}
        self._written: OrderedDict[str, int] = OrderedDict()
        self._rate = RateLimit(10.0, 50, clock)

    def fresh(self, statements: Mapping[Key, Iterable[Notice]]) -> list[Notice]:
        """Of what holds for these objects now, what did not before. An object with nothing is forgotten."""
        found: list[Notice] = []
        for key, notices in statements.items():
            now = tuple(dict.fromkeys(notices))
            before = self._holding.pop(key, frozenset())
            if now:
                self._holding[key] = frozenset(now)
            found += [notice for notice in now if notice not in before]
        return found

    async def write(self, notices: Iterable[Notice]) -> None:
        """Writes each, or counts it where it was written before."""
        for notice in notices:
            await self._rate.wait()
            try:
                await self._write(notice)
            except (ApiError, UnreachableError) as error:
                logger.info("an event about %s was not written: %s", notice.key, error)

    async def _write(self, notice: Notice) -> None:
        namespace = notice.key.namespace or "default"
        digest = hashlib.blake2b(f"{notice.uid}\n{notice.reason}\n{notice.message}".encode(), digest_size=8)
        name = f"{notice.key.name[:200]}.{digest.hexdigest()}"
        events = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
        now = self._clock.now().strftime(_TIME)
        count = self._written.pop(name, 0) + 1
        self._written[name] = count
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        # The server drops events after an hour: what is only counted here may be gone there.
        if count > 1 and await self._counted(f"{events}/{quote(name, safe='')}", count, now):
            return
        try:
            await self._api.create(events, self._body(notice, name, namespace, now))
        except ApiError as error:
            # A leader before this one has said it.
            if error.status != 409:
                raise

    async def _counted(self, path: str, count: int, now: str) -> bool:
        try:
            await self._api.merge(path, {"count": count, "lastTimestamp": now})
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _body(self, notice: Notice, name: str, namespace: str, now: str) -> dict[str, Any]:
        type_ = BY_KIND[notice.key.kind]
        version = type_.versions[0]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": f"{type_.group}/{version}" if type_.group else version,
                "kind": notice.key.kind,
                "namespace": notice.key.namespace,
                "name": notice.key.name,
                "uid": notice.uid,
            },
            "type": "Warning",
            "reason": notice.reason,
            "message": notice.message,
            "source": {"component": self._component, "host": self._instance},
            "reportingComponent": self._component,
            "reportingInstance": self._instance or self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
