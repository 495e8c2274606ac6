"""What stands in the cluster of all that was ever provisioned, kept current by lists and watches.

Owns the mirror of the objects with our label. A watch that ends, for whatever reason, is followed by a list: these
are few objects, so nothing is gained by going on from a version. Must not decide what ought to stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Chance, Clock
from controller.provision.objects import API_VERSIONS, ObjectName, collection_path
from controller.provision.settings import ProvisionerSettings
from controller.translate.infrastructure_names import MANAGED_BY, MANAGED_BY_LABEL

_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
_PAGE: Final = "500"

Document = dict[str, Any]

logger = logging.getLogger(__name__)


class Observed:
    """Use :meth:`run` as a task; ``told`` hears the name of every object that is new, different or gone."""

    def __init__(  # its collaborators, each a thing of its own
        self,
        api: Api,
        settings: ProvisionerSettings,
        told: Callable[[ObjectName], None],
        *,
        namespaces: Iterable[str] = (),
        clock: Clock,
        chance: Chance,
    ) -> None:
        """``namespaces`` empty: all of them."""
        self._api = api
        self._settings = settings
        self._told = told
        self._namespaces = tuple(namespaces) or ("",)
        self._clock = clock
        self._chance = chance
        self._objects: dict[ObjectName, Document] = {}
        self._unread: set[tuple[str, str]] = set()
        self.synced = asyncio.Event()
        """Set once everything has been listed."""

    def get(self, name: ObjectName) -> Document | None:
        """An object with our label, as it was last seen."""
        return self._objects.get(name)

    def names(self) -> tuple[ObjectName, ...]:
        """Of everything that is known to stand."""
        return tuple(self._objects)

    def put(self, name: ObjectName, document: Document | None) -> None:
        """An answer of the server told of an object before the watch did. None: it is gone."""
        if document is None:
            self._objects.pop(name, None)
        else:
            self._objects[name] = _lean(document, name.kind)

    async def run(self) -> None:
        """Without end."""
        followed = [(kind, namespace) for kind in API_VERSIONS for namespace in self._namespaces]
        self._objects.clear()
        self._unread = set(followed)
        self.synced.clear()
        tasks = [asyncio.create_task(self._follow(*one), name=f"watch provisioned {one[0]}") for one in followed]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, kind: str, namespace: str) -> None:
        backoff, away = Backoff(self._settings.first_wait, self._settings.longest_wait, self._chance), False
        while True:
            began, longest = self._clock.monotonic(), None
            try:
                version = await self._list(kind, namespace)
                await self._watch(kind, namespace, version)
            except UnreachableError as error:
                # Said once for each kind, as the other watches do.
                logger.log(logging.DEBUG if away else logging.INFO, "provisioned %s: %s", kind, error)
                longest, away = self._settings.unreachable_wait, True
            except ApiError as error:
                logger.log(logging.WARNING if error.status == 403 else logging.INFO, "provisioned %s: %s", kind, error)
                if away:
                    # How long it was away says nothing about how long this will last.
                    away = False
                    backoff.reset()
            except Exception:
                logger.exception("watching provisioned objects of kind %s failed and is begun again", kind)
            if self._clock.monotonic() - began >= self._settings.longest_wait:
                backoff.reset()
                away = False
            await self._clock.sleep(backoff.next(longest))

    async def _list(self, kind: str, namespace: str) -> str:
        query = {"labelSelector": _SELECTOR, "limit": _PAGE}
        present: set[ObjectName] = set()
        while True:
            page = await self._api.get(collection_path(kind, namespace), query)
            present.update(self._take(document, kind) for document in page.get("items") or ())
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        within = [name for name in self._objects if name.kind == kind and namespace in ("", name.namespace)]
        for name in within:
            if name not in present:
                self._gone(name)
        self._unread.discard((kind, namespace))
        if not self._unread:
            self.synced.set()
        return str(metadata.get("resourceVersion") or "")

    async def _watch(self, kind: str, namespace: str, version: str) -> None:
        seconds = str(int(self._settings.watch * (0.8 + 0.2 * self._chance())))
        query = {"watch": "1", "labelSelector": _SELECTOR, "resourceVersion": version, "timeoutSeconds": seconds}
        stream = self._api.watch(collection_path(kind, quote(namespace, safe="")), query, self._settings.silence)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                document = event.get("object")
                if not isinstance(document, dict):
                    raise UnreachableError(f"provisioned {kind}: an event without an object")
                match event.get("type"):
                    case "ADDED" | "MODIFIED":
                        self._take(document, kind)
                    case "DELETED":
                        self._gone(_name(document, kind))
                    case _:
                        # Too old a version, or a fault of the server: a list comes next.
                        return

    def _take(self, document: Document, kind: str) -> ObjectName:
        name, lean = _name(document, kind), _lean(document, kind)
        if _labels(lean).get(MANAGED_BY_LABEL) != MANAGED_BY:
            return name
        if self._objects.get(name) != lean:
            self._objects[name] = lean
            self._told(name)
        return name

    def _gone(self, name: ObjectName) -> None:
        if self._objects.pop(name, None) is not None:
            self._told(name)


def _name(document: Document, kind: str) -> ObjectName:
    metadata = document.get("metadata") or {}
    return ObjectName(kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def _labels(document: Document) -> dict[str, str]:
    return (document.get("metadata") or {}).get("labels") or {}


def _lean(document: Document, kind: str) -> Document:
    """Without what nobody looks at; items of lists do not say their kind."""
    metadata = {name: value for name, value in (document.get("metadata") or {}).items() if name != "managedFields"}
    rest = {name: value for name, value in document.items() if name != "status"}
    return {**rest, "apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata}
