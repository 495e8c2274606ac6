"""The status report of a cluster, made when somebody asks.

Owns what `sekisho status` shows of a controller: the same statuses that are written, so that it and kubectl tell
one story, and what no status can hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from controller.cluster.statuses import Statuses
from controller.pipeline import ObjectPipeline
from controller.report import Report
from controller.sources.kubernetes import KubernetesSource
from controller.store import Key
from controller.translate import Status
from gateway.admin.status import GatewayVersion, Problem, StatusReport

_NEEDED: Final = frozenset({"GatewayClass", "Gateway", "HTTPRoute"})
_STANDARD: Final = "install the custom resources of the Gateway API (standard channel) at the version tested with"
_CHANNEL: Final = "install the experimental channel of the Gateway API, or Sekisho's chart, if you want to use it"


class Reporting:
    """Keeps what was reported last, so that asking again costs what has changed."""

    def __init__(
        self,
        pipeline: ObjectPipeline,
        source: KubernetesSource,
        statuses: Statuses,
        gateways: Callable[[], tuple[GatewayVersion, ...]],
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._statuses = statuses
        self._gateways = gateways
        self._report = Report()
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> StatusReport:
        """Everything as it is now."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(
                self._made, self._statuses.every(), self._pipeline.translation.notices, self._gateways()
            )

    def _made(
        self,
        statuses: Mapping[Key, Status],
        notices: Mapping[Key, tuple[str, ...]],
        gateways: tuple[GatewayVersion, ...],
    ) -> StatusReport:
        self._report.update(statuses, {}, self._pipeline.problems, notices, {})
        return StatusReport(
            gateways=gateways,
            objects=self._report.objects,
            problems=(*self._absent(), *self._report.problems),
            left_alone=self._report.left_alone,
        )

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
