"""The status report of a cluster, made when somebody asks.

Owns what `sekisho status` shows of a controller: the same statuses that are written, so that it and kubectl tell
one story, and what no status can hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from controller.cluster.statuses import Statuses
from controller.pipeline import ObjectPipeline
from controller.report import Report
from controller.resources import Problem as Unusable
from controller.sources.kubernetes import KubernetesSource
from controller.store import Key
from controller.translate import Status
from gateway.admin.status import GatewayVersion, Problem, StatusReport, WorkloadStatus

_NEEDED: Final = frozenset({"GatewayClass", "Gateway", "HTTPRoute"})
_STANDARD: Final = "install the custom resources of the Gateway API (standard channel) at the version tested with"
_CHANNEL: Final = "install the experimental channel of the Gateway API, or Sekisho's chart, if you want to use it"


@dataclass(frozen=True)
class _Look:
    """What a report is made of, as it was at one moment."""

    statuses: Mapping[Key, Status]
    notices: Mapping[Key, tuple[str, ...]]
    unusable: tuple[Unusable, ...]
    gateways: tuple[GatewayVersion, ...]
    others: tuple[Problem, ...]
    workloads: tuple[WorkloadStatus, ...]


class Reporting:
    """Keeps what was reported last, so that asking again costs what has changed."""

    def __init__(
        self,
        pipeline: ObjectPipeline,
        source: KubernetesSource,
        statuses: Statuses,
        gateways: Callable[[], tuple[GatewayVersion, ...]],
        unprovisioned: Callable[[Key], tuple[str, ...]],
        authority: Callable[[], tuple[Problem, ...]] = tuple,
    ) -> None:
        """``unprovisioned``: why what a Gateway needs does not stand. ``authority``: what is wrong with that."""
        self._pipeline = pipeline
        self._source = source
        self._statuses = statuses
        self._gateways = gateways
        self._unprovisioned = unprovisioned
        self._authority = authority
        self._report = Report()
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> StatusReport:
        """Everything as it is now."""
        async with self._one_at_a_time:
            statuses = self._statuses.every()
            look = _Look(
                statuses=statuses,
                notices=self._pipeline.translation.notices,
                unusable=self._source.problems(),
                gateways=self._gateways(),
                others=(*self._authority(), *self._absent(), *self._not_provisioned(statuses)),
                workloads=self._pipeline.workloads(),
            )
            # On a thread: the first report on thousands of objects takes a while.
            return await asyncio.to_thread(self._made, look)

    def _made(self, look: _Look) -> StatusReport:
        self._report.update(look.statuses, {}, look.unusable, look.notices, {})
        return StatusReport(
            gateways=look.gateways,
            workloads=look.workloads,
            objects=self._report.objects,
            problems=(*look.others, *self._report.problems),
            left_alone=self._report.left_alone,
        )

    def _not_provisioned(self, statuses: Mapping[Key, Status]) -> Iterator[Problem]:
        for key in statuses:
            if key.kind == "Gateway":
                for text in self._unprovisioned(key):
                    yield Problem(message=text, object=str(key))

    def _absent(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(
                message=f"the cluster does not have the kind {kind}",
                object=kind,
                remedy=_STANDARD if kind in _NEEDED else _CHANNEL,
                severity="error" if kind in _NEEDED else "warning",
            )
            for kind in self._source.absent()
        )
