"""From objects to tables and statuses in one process: store, translation, report.

Owns what holds now: the last translation, what is wrong, where each object was read. It moves no
traffic and waits for nothing: `sekisho up` drives it with changes and answers of the data plane,
`check` and `explain` use it once, `sekisho controller` uses the half of it that is not about one gateway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from controller.config import DEFAULT_TRUST_DOMAIN, TranslationSettings
from controller.kept_secrets import KeptSecrets
from controller.mesh_report import workload_statuses
from controller.report import ListenerUrls, Report
from controller.resources import Problem, RequestAuthentication
from controller.sources import Change
from controller.status import with_applied
from controller.store import Key, Snapshot, Store
from controller.translate import STANDALONE_TABLE, Options, Translation, Translator, Update
from controller.translate.names import listener_of
from controller.translate.request_authentication import key_locations
from controller.translate.workload import SidecarPlace
from gateway.admin.status import WorkloadStatus
from gateway.routing_table import describe
from gateway.routing_table.model import Applied, Resources

logger = logging.getLogger(__name__)

RegexProblem = Callable[[str], str | None]


class Taken(msgspec.Struct, frozen=True):
    """What a change came to."""

    snapshot: Snapshot
    translation: Translation
    changed: frozenset[Key]
    """Objects that are different now, new or gone."""
    changed_statuses: frozenset[Key]
    """Whose status is different now, new or gone."""
    changed_infrastructure: frozenset[Key] = frozenset()
    """Gateways whose infrastructure is different now, new or gone."""


class ObjectPipeline:
    """Every object there is, and what all of them mean."""

    def __init__(self, options: Options, kept: KeptSecrets | None = None) -> None:
        """``kept``: Secrets that vanish are served on; without it what is gone is gone."""
        self._options = options
        self._kept = kept
        self._store = Store()
        self._translator = Translator(options)
        self._translation = Translation({}, {}, {})
        self._problems: tuple[Problem, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        """The objects now."""
        return self._store.snapshot()

    @property
    def translation(self) -> Translation:
        """What they mean."""
        return self._translation

    def workloads(self) -> tuple[WorkloadStatus, ...]:
        """The workloads of the mesh that have sidecars, as their tables say."""
        translation = self._translation
        return workload_statuses(translation.sidecars, translation.tables, self._options.trust_domain)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the source could not use."""
        return self._problems

    def take(self, changes: Iterable[Change]) -> Taken:
        """Takes over what changed."""
        changed: set[Key] = set()
        for change in self._with_kept(changes):
            changed |= self._store.apply(change.upserts, change.deletes)
            if not change.keeps_problems:
                self._problems = change.problems
        snapshot = self._store.snapshot()
        before = self._translation
        update = self._update(snapshot, changed)
        self._translation = after = update.translation if update else self._afresh(snapshot)
        return Taken(
            snapshot,
            after,
            frozenset(changed),
            update.changed_statuses if update else frozenset({*before.statuses, *after.statuses}),
            update.changed_infrastructure if update else frozenset({*before.infrastructure, *after.infrastructure}),
        )

    def _with_kept(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes as they are to be stored. Each is made when those before it are."""
        if self._kept is None:
            yield from changes
            return
        tables = self._translation.tables
        released = self._kept.release(self._store.snapshot(), tables)
        if released != Change():
            yield msgspec.structs.replace(released, problems=self._problems)
        for change in changes:
            yield self._kept.rewrite(change, self._store.snapshot(), tables)

    def _update(self, snapshot: Snapshot, changed: Iterable[Key]) -> Update | None:
        try:
            return self._translator.update(snapshot, changed)
        except Exception:
            logger.exception("a change could not be translated by itself; everything is translated afresh")
            return None

    def _afresh(self, snapshot: Snapshot) -> Translation:
        """After a fault the translator's memory cannot be trusted, and one without a memory does without."""
        self._translator = Translator(self._options)
        return self._translator.update(snapshot, snapshot.keys()).translation


class Pipeline:
    """One table for one gateway, tables of sidecars, and the report on it."""

    def __init__(
        self,
        settings: TranslationSettings,
        regex_problem: RegexProblem,
        trust_domain: str = DEFAULT_TRUST_DOMAIN,
    ) -> None:
        """``trust_domain``: of the identities in the mesh; empty where there is none."""
        self._objects = ObjectPipeline(
            Options(
                regex_problem=regex_problem,
                address=settings.address,
                port_offset=settings.port_offset,
                mesh=bool(trust_domain),
                trust_domain=trust_domain,
            )
        )
        self._places: Mapping[Key, str] = {}
        self._report = Report()

    @property
    def table(self) -> Resources:
        """What the gateway should hold."""
        return self._objects.translation.tables.get(STANDALONE_TABLE, Resources())

    @property
    def tables(self) -> Mapping[str, Resources]:
        """All of them, by name."""
        return self._objects.translation.tables

    def workloads(self) -> tuple[WorkloadStatus, ...]:
        """The workloads of the mesh that have sidecars."""
        return self._objects.workloads()

    @property
    def sidecars(self) -> Mapping[Key, SidecarPlace]:
        """Where the sidecar of each workload gets its table."""
        return self._objects.translation.sidecars

    @property
    def places(self) -> Mapping[Key, str]:
        """``file:line`` of each object."""
        return self._places

    @property
    def key_locations(self) -> frozenset[str]:
        """Where keys of token issuers are to be fetched."""
        return key_locations(self._objects.snapshot.all(RequestAuthentication))

    def take(self, changes: Iterable[Change], places: Mapping[Key, str]) -> frozenset[Key]:
        """Takes over what changed; returns the keys of the objects that are different now."""
        self._places = places
        return self._objects.take(changes).changed

    def answer(self, applied: Applied) -> Report:
        """The report once the data plane has answered with the state it is in."""
        translation = self._objects.translation
        statuses = with_applied(translation.statuses, self.table, applied)
        self._report.update(statuses, self._places, self._objects.problems, translation.notices, self._listener_urls())
        return self._report

    def _listener_urls(self) -> Mapping[Key, ListenerUrls]:
        urls: dict[Key, dict[str, tuple[str, ...]]] = {}
        for listener in self.table.listeners:
            gateway, name = listener_of(listener.key)
            of_gateway = urls.setdefault(gateway, {})
            of_gateway[name] = (*of_gateway.get(name, ()), describe.listener_url(listener))
        return urls
