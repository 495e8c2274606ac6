"""An API server of the tests' own: real HTTP on the loopback, objects in memory.

It keeps the rules that clients stumble over: one resource version for all writes, lists in pages that expire,
watches from a version with bookmarks, 410 in both forms, optimistic locking, the ``status`` subresource,
generations, uids. Faults are ordered by the test. It knows no schema: whatever is put in is kept.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from controller.kube.kinds import plural
from controller.resources import REGISTRY

Object = dict[str, Any]
Name = tuple[str, str, str]
"""Collection (``group/version/plural``, without the version), namespace, name."""

_GUARDS = ("resourceVersion", "uid")

CREATED = "2026-01-01T00:00:00Z"


class FakeApiServer:
    """Use it as an async context; ``url`` is where it listens."""

    def __init__(self) -> None:
        self.objects: dict[Name, Object] = {}
        self.version = 100
        self.compacted = 0
        """Watches from before this version are answered 410."""
        self.history: list[tuple[int, str, str, Object]] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path with query of everything that was asked."""
        self.tokens: set[str] = set()
        """If any, the only bearer tokens that are taken."""
        self.accounts: dict[str, str] = {}
        """Of service-account tokens, the user (``system:serviceaccount:…``) that a TokenReview answers."""
        self.missing: set[str] = set()
        """Plurals that answer 404, as before their CRD is installed."""
        self.forbidden: set[str] = set()
        """Plurals that answer 403."""
        self.faults: list[tuple[Callable[[web.Request], bool], web.StreamResponse | None]] = []
        """For the next request that fits: this answer, or a reset connection."""
        self.error_events: Counter[str] = Counter()
        """By plural, how many next watches say 410 in an event after their 200."""
        self.before_write: Callable[[Name], None] | None = None
        """Called once, before the next write is checked: somebody else comes first."""
        self.silent: set[str] = set()
        """Plurals whose watches say nothing at all, as half-open connections."""
        self.watches: list[tuple[str, asyncio.Transport]] = []
        """Open ones, by collection."""
        self._news = asyncio.Event()
        self._pages: dict[str, list[Object]] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> FakeApiServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On the same port as before, after :meth:`stop`."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Every connection is cut; the objects stay."""
        if self._runner is not None:
            self.cut()
            await self._runner.cleanup()
            self._runner = None

    # --- what a test does -----------------------------------------------------------------------

    def put(self, document: Object) -> Object:
        """Creates or changes an object, as kubectl apply does."""
        type_ = REGISTRY[document["apiVersion"], document["kind"]]
        namespace = document["metadata"].get("namespace", "default") if type_.namespaced else ""
        name = (f"{type_.group}/{plural(type_.kind)}", namespace, document["metadata"]["name"])
        return self._store(name, document, status=False)

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        found = next(
            key for key in self.objects if key[0].endswith(f"/{plural(kind)}") and key[1:] == (namespace, name)
        )
        self._remove(found)

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        for key, document in self.objects.items():
            if key[0].endswith(f"/{plural(kind)}") and key[1:] == (namespace, name):
                return document
        raise AssertionError(f"{kind} {namespace}/{name} is not there")

    def set_status(self, kind: str, name: str, status: Object, namespace: str = "default") -> None:
        """Somebody else writes a status."""
        key = next(key for key in self.objects if key[0].endswith(f"/{plural(kind)}") and key[1:] == (namespace, name))
        self._store(key, {**self.objects[key], "status": status}, status=True)

    def all(self, kind: str) -> list[Object]:
        return [document for key, document in self.objects.items() if key[0].endswith(f"/{plural(kind)}")]

    def compact(self) -> None:
        """Forgets all versions: who asks to go on from one gets 410, and so do pages."""
        self.version += 1
        self.compacted = self.version
        self._pages.clear()

    def fail(
        self,
        status: int | None,
        *,
        times: int = 1,
        method: str = "",
        within: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """The next requests that fit are answered so; None resets their connection."""

        def fits(request: web.Request) -> bool:
            return (not method or request.method == method) and within in request.path_qs

        for _ in range(times):
            self.faults.append((fits, None if status is None else _failure(status, headers=headers)))

    def cut(self, within: str = "", partial: bytes = b"") -> None:
        """Breaks the connections of watches, after ``partial`` of an event."""
        for watch in list(self.watches):
            collection, transport = watch
            if within in collection:
                if partial:
                    transport.write(b"%x\r\n%s\r\n" % (len(partial), partial))
                transport.close()
                self.watches.remove(watch)

    def bookmark(self) -> None:
        """Tells every watch how far it is."""
        self.history.append((self.version, "BOOKMARK", "", {"metadata": {"resourceVersion": str(self.version)}}))
        self._tell()

    def asked(self, method: str, within: str) -> list[str]:
        return [path for asked, path in self.requests if asked == method and within in path]

    # --- answering ------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        collection, namespace, name, subresource, api_version = _parsed(request.path)
        refusal = self._ordered(request) or self._refusal(request, collection, api_version)
        if refusal is not None:
            return refusal
        if request.method != "GET":
            return await self._write(request, (collection, namespace, name), subresource)
        if name:
            found = self.objects.get((collection, namespace, name))
            return web.json_response(found) if found else _failure(404)
        if request.query.get("watch") == "1":
            return await self._watch(request, collection, namespace)
        return self._list(request, collection, namespace)

    def _ordered(self, request: web.Request) -> web.StreamResponse | None:
        """What the test ordered for this request."""
        for index, (fits, answer) in enumerate(self.faults):
            if fits(request):
                del self.faults[index]
                if answer is None and request.transport is not None:
                    request.transport.close()
                return answer or web.Response()
        return None

    def _refusal(self, request: web.Request, collection: str, api_version: str) -> web.StreamResponse | None:
        name = collection.rpartition("/")[2]
        if self.tokens and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _failure(401, "Unauthorized")
        if name in self.missing or f"{api_version}/{collection}" in self.missing:
            return _failure(404)
        return _failure(403, "Forbidden") if name in self.forbidden else None

    def _matching(self, collection: str, namespace: str, request: web.Request) -> list[Object]:
        excluded = {
            term.partition("!=")[2] for term in request.query.get("fieldSelector", "").split(",") if "!=" in term
        }
        return [
            document
            for key, document in sorted(self.objects.items())
            if key[0] == collection and namespace in ("", key[1]) and document.get("type") not in excluded
        ]

    def _list(self, request: web.Request, collection: str, namespace: str) -> web.StreamResponse:
        token = request.query.get("continue", "")
        if token and token not in self._pages:
            return _failure(410, "Expired")
        items = self._pages.pop(token) if token else self._matching(collection, namespace, request)
        limit = int(request.query.get("limit", "0")) or len(items)
        metadata = {"resourceVersion": str(self.version)}
        if len(items) > limit:
            metadata["continue"] = token = uuid.uuid4().hex
            self._pages[token] = items[limit:]
        if collection.startswith("/"):
            # Built-in kinds do not repeat in each item what it is.
            items = [
                {name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in items
            ]
        return web.json_response({"kind": "List", "metadata": metadata, "items": items[:limit]})

    async def _watch(self, request: web.Request, collection: str, namespace: str) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion", "0"))
        if since < self.compacted:
            return _failure(410, "Expired")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if self.error_events[collection.rpartition("/")[2]]:
            self.error_events[collection.rpartition("/")[2]] -= 1
            await response.write(_line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))
            return response
        assert isinstance(request.transport, asyncio.Transport)
        watch = (collection, request.transport)
        self.watches.append(watch)
        sent = 0
        silent = collection.rpartition("/")[2] in self.silent
        try:
            deadline = asyncio.get_running_loop().time() + float(request.query.get("timeoutSeconds", "300"))
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                news = self._news
                for version, kind, where, document in [] if silent else self.history[sent:]:
                    fits = (kind == "BOOKMARK" and version >= since) or (
                        version > since
                        and where == collection
                        and namespace in ("", document["metadata"].get("namespace"))
                    )
                    if fits:
                        await response.write(_line(kind, document))
                sent = len(self.history)
                try:
                    async with asyncio.timeout(left):
                        await news.wait()
                except TimeoutError:
                    break
        except ConnectionResetError:
            return response
        finally:
            if watch in self.watches:
                self.watches.remove(watch)
        return response

    async def _write(self, request: web.Request, key: Name, subresource: str) -> web.StreamResponse:
        if request.method == "DELETE":
            if key not in self.objects:
                return _failure(404)
            self._remove(key)
            return web.json_response({"kind": "Status", "status": "Success"})
        body = json.loads(await request.read())
        if key[0] == "authentication.k8s.io/tokenreviews":
            return web.json_response({**body, "status": self._reviewed(body["spec"])}, status=201)
        if request.method == "POST":
            return self._create((key[0], key[1], body["metadata"]["name"]), body)
        return self._change(request, key, body, subresource)

    def _reviewed(self, spec: Object) -> Object:
        user = self.accounts.get(spec["token"])
        if user is None:
            return {"authenticated": False}
        return {"authenticated": True, "audiences": spec["audiences"], "user": {"username": user}}

    def _create(self, key: Name, body: Object) -> web.StreamResponse:
        if key in self.objects:
            return _failure(409, "AlreadyExists")
        return web.json_response(self._store(key, body, status=False), status=201)

    def _change(self, request: web.Request, key: Name, body: Object, subresource: str) -> web.StreamResponse:
        if self.before_write is not None:
            first, self.before_write = self.before_write, None
            first(key)
        current = self.objects.get(key)
        if current is None:
            return self._create(key, body) if "apply-patch" in request.content_type else _failure(404)
        wanted = body.get("metadata", {})
        if any(wanted.get(field, current["metadata"][field]) != current["metadata"][field] for field in _GUARDS):
            return _failure(409, "Conflict")
        changed = body if request.method == "PUT" else _merged(current, body)
        return web.json_response(self._store(key, changed, status=subresource == "status"))

    # --- storing --------------------------------------------------------------------------------

    def _store(self, key: Name, document: Object, *, status: bool) -> Object:
        """A write to the object leaves its status alone, and a write to its status everything else."""
        before = self.objects.get(key)
        stored: Object = json.loads(json.dumps(document))
        if before is not None and status:
            stored = {**before, "status": stored.get("status", {})}
        elif before is not None:
            stored.pop("status", None)
            stored |= {"status": before["status"]} if "status" in before else {}
        metadata = {**stored.get("metadata", {}), **({"namespace": key[1]} if key[1] else {})}
        if before is None:
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": CREATED, "generation": 1}
        else:
            same = _content(stored) == _content(before)
            old = before["metadata"]
            generation = old["generation"] + (0 if same else 1)
            metadata |= {"uid": old["uid"], "creationTimestamp": old["creationTimestamp"], "generation": generation}
            metadata["resourceVersion"] = old["resourceVersion"]
            if {**stored, "metadata": metadata} == before:
                return before
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        stored = {**stored, "metadata": metadata}
        self.objects[key] = stored
        self.history.append((self.version, "ADDED" if before is None else "MODIFIED", key[0], stored))
        self._tell()
        return stored

    def _remove(self, key: Name) -> None:
        self.version += 1
        document = self.objects.pop(key)
        gone = {**document, "metadata": {**document["metadata"], "resourceVersion": str(self.version)}}
        self.history.append((self.version, "DELETED", key[0], gone))
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _content(document: Object) -> Object:
    """What a generation counts."""
    return {name: value for name, value in document.items() if name not in ("metadata", "status")}


def _parsed(path: str) -> tuple[str, str, str, str, str]:
    """``group/plural``, namespace, name, subresource, version."""
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name, subresource = [*rest[1:], "", ""][:2]
    return f"{group}/{rest[0]}", namespace, name, subresource, version


def _merged(current: Object, patch: Object) -> Object:
    """RFC 7396."""
    result = dict(current)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def _line(kind: str, document: Object) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"


def _failure(status: int, reason: str = "", headers: dict[str, str] | None = None) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": "as the test ordered"}
    return web.json_response(body, status=status, headers=headers)
