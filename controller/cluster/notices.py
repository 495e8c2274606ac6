"""Events of what a person must act on, said once it has lasted a moment.

Owns when: while this replica leads, and not of what is over before anybody could have looked, such as a route
that was applied a second before its Service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from controller.kube.events import EventRecorder, Notice, notices_of
from controller.store import Key, Snapshot
from controller.translate import Status

_PAUSE_SECONDS: Final = 2.0
_MOST_AT_ONCE: Final = 500

logger = logging.getLogger(__name__)


class Remark(NamedTuple):
    """Something that no condition says."""

    reason: str
    """In CamelCase, as Kubernetes has it."""
    text: str


class Notices:
    """Use :meth:`run` as a task."""

    def __init__(
        self,
        recorder: EventRecorder,
        status: Callable[[Key], Status | None],
        remarks: Callable[[Key], Iterable[Remark]],
        snapshot: Callable[[], Snapshot],
    ) -> None:
        """``remarks``: what is to say of an object beside its status."""
        self._recorder = recorder
        self._status = status
        self._remarks = remarks
        self._snapshot = snapshot
        self._leads = False
        self._young: dict[Key, None] = {}
        self._due: dict[Key, None] = {}

    def lead(self, leads: bool) -> None:
        """Begin to speak, of everything first, or stop."""
        self._leads = leads

    def touched(self, keys: Iterable[Key]) -> None:
        """Something else may be to say of these objects."""
        self._young.update(dict.fromkeys(keys))

    async def run(self) -> None:
        """Without end."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            if not self._leads:
                continue
            try:
                await self._recorder.write(self.collect())
            except Exception:
                logger.exception("events could not be written")

    def collect(self) -> list[Notice]:
        """What is to say now of the objects that were touched before the last time."""
        due = list(self._due)[:_MOST_AT_ONCE]
        for key in due:
            del self._due[key]
        self._due.update((key, None) for key in self._young)
        self._young.clear()
        return self._recorder.fresh({key: tuple(self._of(key)) for key in due})

    def _of(self, key: Key) -> Iterator[Notice]:
        resource = self._snapshot().find(key)
        if resource is None:
            return
        status = self._status(key)
        if status is not None:
            yield from notices_of(key, resource.metadata.uid, status)
        for remark in self._remarks(key):
            yield Notice(key, resource.metadata.uid, remark.reason, remark.text)
