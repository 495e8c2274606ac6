"""Commands that need no running gateway: manifests in, conditions or an explanation out.

The engine judges the table without binding anything, so a condition here is the one that the
controller would write after the data plane's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from controller.config import TranslationSettings
from controller.errors import UnknownWorkloadError
from controller.pipeline import Pipeline
from controller.report import Report
from controller.resources import Pod, WorkloadEntry
from controller.sources import ManifestSource
from controller.store import Key
from controller.translate.names import object_name
from gateway.admin.explain import Question, encode_question, with_sources
from gateway.admin.status import WorkloadStatus
from gateway.agent.compiled import explain_offline, regex_problem, validate_offline
from gateway.routing_table import wire
from gateway.routing_table.model import ListenerState, Resources, Snapshot

_WORKLOADS = (Pod.kind, WorkloadEntry.kind)


class Offline:
    """Manifests, read once and translated."""

    def __init__(self, paths: Sequence[str], settings: TranslationSettings | None = None) -> None:
        source = ManifestSource(paths)
        self._pipeline = Pipeline(settings or TranslationSettings(), regex_problem)
        self._pipeline.take([source.load()], source.places())
        self._snapshot = wire.encode(Snapshot(version="offline", resources=self._pipeline.table))

    @property
    def table(self) -> Resources:
        """What a gateway would be given."""
        return self._pipeline.table

    def report(self) -> Report:
        """Conditions as they would be written once every port is bound."""
        applied = wire.decode_applied(validate_offline(self._snapshot))
        refused = {item.key for item in applied.rejected if item.kind == "listeners"}
        served = (listener.key for listener in self.table.listeners if listener.key not in refused)
        bound = tuple(ListenerState(key=key, bound=True) for key in served)
        return self._pipeline.answer(replace(applied, listeners=bound))

    def workloads(self) -> tuple[WorkloadStatus, ...]:
        """The workloads of the mesh that have sidecars, and what those enforce."""
        return self._pipeline.workloads()

    def explain(self, question: Question) -> dict[str, Any]:
        """What the gateway would do with a request."""
        return self._explained(self._snapshot, question)

    def explain_before(self, workload: str, question: Question) -> dict[str, Any]:
        """What the sidecar of a workload (``namespace/name``) would do with a request to it, on the port it is sent to.

        Raises :class:`UnknownWorkloadError`.
        """
        namespace, _, name = workload.partition("/")
        places = self._pipeline.sidecars
        place = next((one for kind in _WORKLOADS if (one := places.get(Key(kind, namespace, name)))), None)
        if place is None:
            known = ", ".join(sorted(object_name(key) for key in places)) or "none"
            raise UnknownWorkloadError(f"no workload {workload} with a sidecar is known", f"there are: {known}")
        table = self._pipeline.tables[place.table]
        inbound = replace(table, listeners=tuple(one for one in table.listeners if one.mesh is not None))
        return self._explained(wire.encode(Snapshot(version="offline", resources=inbound)), question)

    def _explained(self, snapshot: bytes, question: Question) -> dict[str, Any]:
        answer = explain_offline(snapshot, encode_question(question))
        return with_sources(answer, self.report().sources())
