"""One kind kept current: a list, then a watch from where the list ended, for as long as it runs.

Owns what to do when either fails. A watch that ends or breaks goes on from the last version it told, without
a new list; only a version that the server no longer has (410) means listing anew, from now and not from the
version that was refused. Failures wait longer each time, with chance in it, so that a server that comes back
is not met by everybody at once. Kubernetes API concepts: "Efficient detection of changes".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controller.kube.cache import Delta, ObjectCache, merged
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Chance, Clock
from controller.kube.kinds import collection, field_selector
from controller.resources import Problem, Resource

_MANY: Final = 200
_REFUSALS: Final = 3
"""In a row: then it is for a person to do something."""
_ABSENT_LOOKS: Final = 3
"""A server that starts answers 404 for a moment: a kind is absent once it was so often in a row."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchSettings:
    """How patient an informer is, in seconds."""

    page: int = 500
    """Objects in one page of a list."""
    silence: float = 90.0
    """A watch without a word for this long is asked anew. Bookmarks come about every minute."""
    watch: float = 300.0
    """The server ends a watch after this long, and up to twice of it."""
    resync: float = 3600.0
    """Everything is listed again this long after the last list, whatever the watch told."""
    first_wait: float = 0.25
    longest_wait: float = 30.0
    unreachable_wait: float = 4.0
    """The longest wait for a server that cannot be reached at all: to ask it costs it nothing, and it is awaited."""
    absent_look: float = 0.5
    absent_wait: float = 60.0
    """Between looks for a kind that the cluster does not have."""


class _ExpiredError(Exception):
    """The version to go on from is too old."""


class Informer:
    """Watches the objects of one kind and tells what changes."""

    def __init__(  # noqa: PLR0913  # its collaborators, each a thing of its own
        self,
        api: Api,
        type_: type[Resource],
        tell: Callable[[Delta], None],
        *,
        namespace: str = "",
        settings: WatchSettings,
        clock: Clock,
        chance: Chance,
    ) -> None:
        """``tell`` is called with every delta, in order; ``namespace`` empty: all of them."""
        self.cache = ObjectCache(type_)
        self.synced = False
        """Whether everything there is has been told once."""
        self.absent = False
        """Whether the cluster does not have the kind."""
        self.problem: Problem | None = None
        """Why nothing can be read now, where that needs a person."""
        self.failure = ""
        """What went wrong last, until something is read again."""
        self._api = api
        self._type = type_
        self._namespace = namespace
        self._tell = tell
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._backoff = Backoff(settings.first_wait, settings.longest_wait, chance)
        self._served = 0
        self._looks = 0
        self._refusals = 0
        self._version = ""
        self._listed_at = 0.0
        self._whole_list = False
        self._away = False
        """Whether the server could not be reached the last time."""

    @property
    def name(self) -> str:
        """What it watches."""
        within = f" in {self._namespace}" if self._namespace else ""
        return f"{self._type.kind}{within}"

    async def run(self) -> None:
        """Without end."""
        while True:
            wait = await self._round()
            if wait:
                await self._clock.sleep(wait)

    async def _round(self) -> float:
        """A list if there must be one, and a watch to its end; the seconds to wait before the next."""
        began = self._clock.monotonic()
        try:
            if not self._version or began - self._listed_at >= self._settings.resync:
                await self._list()
            told = await self._watch()
        except _ExpiredError:
            self._reached()
            logger.info("%s: the version to go on from is too old, everything is listed again", self.name)
            self._version = ""
            return self._backoff.next() if self._backoff.failures else self._count_failure()
        except ApiError as error:
            self._reached()
            self.failure = str(error)
            return self._refused(error)
        except UnreachableError as error:
            # Every kind fails when the server is away: said once each, not at each try.
            self._refusals = 0
            logger.log(logging.DEBUG if self.failure else logging.INFO, "%s: %s", self.name, error)
            self.failure = str(error)
            if self._clock.monotonic() - began >= self._settings.silence:
                # A quiet cluster behind a server without bookmarks: nothing has failed.
                self._backoff.reset()
            self._away = True
            return self._backoff.next(self._settings.unreachable_wait)
        self.failure, self._away = "", False
        # A server that ends every watch at once is not asked in a circle.
        if told or self._clock.monotonic() - began >= 1.0:
            self._backoff.reset()
            return 0.0
        return self._backoff.next()

    def _reached(self) -> None:
        """What it says now has nothing to do with how long it was away: the waits begin anew."""
        if self._away:
            self._away = False
            self._backoff.reset()

    def _count_failure(self) -> float:
        """The first failure is tried again at once, and is counted."""
        self._backoff.next()
        return 0.0

    # --- list -----------------------------------------------------------------------------------

    async def _list(self) -> None:
        documents: list[dict[str, Any]] = []
        query = {} if self._whole_list else {"limit": str(self._settings.page)}
        selector = field_selector(self._type)
        if selector:
            query["fieldSelector"] = selector
        while True:
            try:
                page = await self._api.get(self._path(), query)
            except ApiError as error:
                if error.expired:
                    # Pages that take too long to read expire under us: the next list comes in one piece.
                    self._whole_list = "continue" in query
                    raise _ExpiredError from error
                raise
            metadata = page.get("metadata") or {}
            documents += page.get("items") or []
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        self._whole_list = False
        solved = self._found()
        self._version = str(metadata.get("resourceVersion") or "")
        self._listed_at = self._clock.monotonic()
        if len(documents) > _MANY:
            # Parsing is most of the work, and a lease has to be renewed meanwhile.
            delta = await asyncio.to_thread(self.cache.replace, documents, self._api_version())
        else:
            delta = self.cache.replace(documents, self._api_version())
        self._finish(merged([delta, Delta(problems=solved)]))

    def _finish(self, delta: Delta) -> None:
        first, self.synced = not self.synced, True
        if delta or delta.touched or first:
            self._tell(delta)

    def _found(self) -> bool:
        """Whether a problem is solved by a list that succeeded."""
        if self.absent:
            logger.warning("%s: the cluster has the kind now", self.name)
        solved = self.problem is not None
        self.absent, self._looks, self._refusals, self.problem, self.failure = False, 0, 0, None, ""
        return solved

    # --- watch ----------------------------------------------------------------------------------

    async def _watch(self) -> bool:
        """Follows one stream to its end; whether it told anything."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(self._settings.watch * (1 + self._chance()))),
        }
        selector = field_selector(self._type)
        if selector:
            query["fieldSelector"] = selector
        told = False
        try:
            async with contextlib.aclosing(self._api.watch(self._path(), query, self._settings.silence)) as events:
                async for event in events:
                    self._event(event)
                    told, self.failure = True, ""
                    self._backoff.reset()
                    if self._clock.monotonic() - self._listed_at >= self._settings.resync:
                        break
        except ApiError as error:
            if error.expired:
                raise _ExpiredError from error
            raise
        return told

    def _event(self, event: dict[str, Any]) -> None:
        document = event.get("object")
        if not isinstance(document, dict):
            raise UnreachableError(f"{self.name}: an event without an object")
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                delta = self.cache.upsert(document, self._api_version())
            case "DELETED":
                delta = self.cache.delete(document)
            case "BOOKMARK":
                delta = Delta()
            case "ERROR":
                code = document.get("code")
                if code == 410:
                    raise _ExpiredError
                raise ApiError(
                    code if isinstance(code, int) else 500,
                    str(document.get("reason") or "watch error"),
                    str(document.get("message") or ""),
                )
            case other:
                raise UnreachableError(f"{self.name}: an event of the unknown type {str(other)[:40]!r}")
        version = (document.get("metadata") or {}).get("resourceVersion")
        if version:
            self._version = str(version)
        if delta or delta.touched:
            self._tell(delta)

    # --- refusals -------------------------------------------------------------------------------

    def _refused(self, error: ApiError) -> float:
        """The seconds to wait after an answer that is no success."""
        if error.status == 404:
            return self._not_found()
        self._looks = 0
        if error.status in (401, 403):
            return self._forbidden(error)
        logger.info("%s: %s", self.name, error)
        wait = self._backoff.next()
        return wait if error.retry_after is None else max(wait, error.retry_after)

    def _not_found(self) -> float:
        self._version = ""
        self._looks += 1
        versions = self._type.versions
        if self._looks < _ABSENT_LOOKS * len(versions):
            self._served = self._looks % len(versions)
            return self._settings.absent_look if self._served == 0 else 0.0
        self._served = 0
        if not self.absent:
            self.absent = True
            logger.warning("%s: the cluster does not have the kind %s", self.name, self._api_version())
            self._finish(self.cache.clear())
        self._looks = (_ABSENT_LOOKS - 1) * len(versions)
        return self._settings.absent_wait

    def _forbidden(self, error: ApiError) -> float:
        # A token is renewed, or a server that has just started has not read its roles yet.
        self._refusals += 1
        if self.problem is None and self._refusals >= _REFUSALS:
            self.problem = Problem(
                severity="error",
                message=f"the API server refuses to list or watch {self.name}: {error}",
                remedy="let the controller's service account get, list and watch it",
                object=self._type.kind,
            )
            logger.error("%s", self.problem)
            self._tell(Delta(problems=True))
        self._version = ""
        return self._backoff.next()

    def _path(self) -> str:
        return collection(self._type, self._type.versions[self._served], self._namespace)

    def _api_version(self) -> str:
        version = self._type.versions[self._served]
        return f"{self._type.group}/{version}" if self._type.group else version
