"""From objects to a table and a report, in one process: store, translation, status.

Owns what holds now: the last translation, what is wrong, where each object was read. It moves no
traffic and waits for nothing: `sekisho up` drives it with changes and answers of the data plane,
`check` and `explain` use it once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from controller.config import TranslationSettings
from controller.report import ListenerUrls, Report
from controller.resources import Problem
from controller.sources import Change
from controller.status import with_applied
from controller.store import Key, Store
from controller.translate import STANDALONE_TABLE, Options, Translation, Translator
from controller.translate.names import listener_of
from gateway.routing_table import describe
from gateway.routing_table.model import Applied, Resources

logger = logging.getLogger(__name__)

RegexProblem = Callable[[str], str | None]


class Pipeline:
    """One table for one gateway."""

    def __init__(self, settings: TranslationSettings, regex_problem: RegexProblem) -> None:
        self._options = Options(regex_problem=regex_problem, address=settings.address, port_offset=settings.port_offset)
        self._store = Store()
        self._translator = Translator(self._options)
        self._translation = Translation({}, {}, {})
        self._source_problems: tuple[Problem, ...] = ()
        self._places: Mapping[Key, str] = {}
        self._report = Report()

    @property
    def table(self) -> Resources:
        """What the gateway should hold."""
        return self._translation.tables.get(STANDALONE_TABLE, Resources())

    @property
    def places(self) -> Mapping[Key, str]:
        """``file:line`` of each object."""
        return self._places

    def take(self, changes: Iterable[Change], places: Mapping[Key, str]) -> frozenset[Key]:
        """Takes over what changed; returns the keys of the objects that are different now."""
        changed: set[Key] = set()
        for change in changes:
            changed |= self._store.apply(change.upserts, change.deletes)
            self._source_problems = change.problems
        self._places = places
        self._translation = self._translate(changed)
        return frozenset(changed)

    def _translate(self, changed: Iterable[Key]) -> Translation:
        snapshot = self._store.snapshot()
        try:
            return self._translator.update(snapshot, changed).translation
        except Exception:
            # After a fault its memory cannot be trusted, and a translation from scratch does without.
            logger.exception("a change could not be translated by itself; everything is translated afresh")
            self._translator = Translator(self._options)
            return self._translator.update(snapshot, snapshot.keys()).translation

    def answer(self, applied: Applied) -> Report:
        """The report once the data plane has answered with the state it is in."""
        translation = self._translation
        statuses = with_applied(translation.statuses, self.table, applied)
        self._report.update(statuses, self._places, self._source_problems, translation.notices, self._listener_urls())
        return self._report

    def _listener_urls(self) -> Mapping[Key, ListenerUrls]:
        urls: dict[Key, dict[str, tuple[str, ...]]] = {}
        for listener in self.table.listeners:
            gateway, name = listener_of(listener.key)
            of_gateway = urls.setdefault(gateway, {})
            of_gateway[name] = (*of_gateway.get(name, ()), describe.listener_url(listener))
        return urls
