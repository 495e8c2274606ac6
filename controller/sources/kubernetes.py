"""Objects from a Kubernetes API server, kind by kind, as one source.

Owns which kinds and namespaces are watched, and that nothing is told before every kind has been read once:
a table made of routes without their Services would answer 500 for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

from controller.kube.cache import Delta, Seen, merged
from controller.kube.client import Api
from controller.kube.clock import Chance, Clock, SystemClock
from controller.kube.informer import Informer, WatchSettings
from controller.resources import KINDS, Problem, Resource
from controller.sources.source import Change
from controller.store import Key

_FAULT_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KubernetesSettings:
    """What is watched, and how."""

    kinds: tuple[type[Resource], ...] = KINDS
    namespaces: tuple[str, ...] = ()
    """Of namespaced kinds, the objects of these namespaces alone; empty: of all."""
    watch: WatchSettings = field(default_factory=WatchSettings)


class KubernetesSource:
    """Use it as a context (it watches inside), wait until :attr:`synced` is set, then ``load`` and ``changes``."""

    def __init__(
        self,
        api: Api,
        settings: KubernetesSettings | None = None,
        *,
        clock: Clock | None = None,
        chance: Chance = random.random,
    ) -> None:
        settings = settings or KubernetesSettings()
        self.synced = asyncio.Event()
        """Set once every kind has been read."""
        self._deltas: list[Delta] = []
        self._told = asyncio.Event()
        self._loaded = False
        self._on_touched: Callable[[tuple[Key, ...]], None] = _nobody
        self._tasks: list[asyncio.Task[None]] = []
        self._by_kind: dict[str, list[Informer]] = {}
        for type_ in settings.kinds:
            for namespace in settings.namespaces if type_.namespaced and settings.namespaces else ("",):
                informer = Informer(
                    api,
                    type_,
                    self._take,
                    namespace=namespace,
                    settings=settings.watch,
                    clock=clock or SystemClock(),
                    chance=chance,
                )
                self._by_kind.setdefault(type_.kind, []).append(informer)

    async def __aenter__(self) -> KubernetesSource:
        for informer in self._informers():
            self._tasks.append(asyncio.create_task(_forever(informer), name=f"watch {informer.name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def load(self) -> Change:
        """Everything there is; only after :attr:`synced`."""
        if not self.synced.is_set():
            raise RuntimeError("the source has not been read yet: wait for synced")
        self._loaded = True
        self._deltas.clear()
        self._told.clear()
        upserts = tuple(resource for informer in self._informers() for resource in informer.cache.objects.values())
        return Change(upserts, (), self.problems())

    async def changes(self) -> AsyncGenerator[Change, None]:
        """What changes after :meth:`load`, without end."""
        while True:
            await self._told.wait()
            delta = merged(self._deltas)
            self._deltas.clear()
            self._told.clear()
            if delta:
                yield Change(delta.upserts, delta.deletes, self.problems())

    def places(self) -> dict[Key, str]:
        """Nowhere: an object in a cluster has no file."""
        return {}

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now: kinds that may not be read, and objects that cannot be used."""
        found = [informer.problem for informer in self._informers() if informer.problem is not None]
        for informer in self._informers():
            for key in sorted(informer.cache.problems):
                found.extend(informer.cache.problems[key])
        return tuple(found)

    def unsynced(self) -> tuple[str, ...]:
        """The kinds that have not been read yet."""
        return tuple(informer.name for informer in self._informers() if not informer.synced)

    def absent(self) -> tuple[str, ...]:
        """The kinds that the cluster does not have."""
        return tuple(kind for kind, informers in self._by_kind.items() if all(one.absent for one in informers))

    def failure(self) -> str:
        """Why a kind that has not been read yet could not be, as far as one is known; empty otherwise."""
        return next((one.failure for one in self._informers() if not one.synced and one.failure), "")

    def objects(self) -> dict[str, int]:
        """How many objects there are, by kind."""
        return {kind: sum(len(one.cache) for one in informers) for kind, informers in self._by_kind.items()}

    def seen(self, key: Key) -> Seen | None:
        """The object as the API server last told it."""
        for informer in self._by_kind.get(key.kind, ()):
            found = informer.cache.seen(key)
            if found is not None:
                return found
        return None

    def on_touched(self, listener: Callable[[tuple[Key, ...]], None]) -> None:
        """``listener`` hears of every object that was told, also where only its status differs."""
        self._on_touched = listener

    def _informers(self) -> Iterator[Informer]:
        for informers in self._by_kind.values():
            yield from informers

    def _take(self, delta: Delta) -> None:
        if not self.synced.is_set() and all(informer.synced for informer in self._informers()):
            self.synced.set()
        if delta.touched:
            self._on_touched(delta.touched)
        if self._loaded and delta:
            self._deltas.append(delta)
            self._told.set()


async def _forever(informer: Informer) -> None:
    """A fault in one kind must neither end its watch nor go unsaid."""
    while True:
        try:
            await informer.run()
        except Exception:
            logger.exception("watching %s failed and is begun again", informer.name)
            await asyncio.sleep(_FAULT_SECONDS)


def _nobody(_keys: Iterable[Key]) -> None:
    """Hears of nothing."""
