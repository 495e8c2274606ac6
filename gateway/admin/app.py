"""The admin application: which path answers what. Reads only, no CORS, and GET only except for explain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.admin import page
from gateway.admin.explain import (
    MAX_QUESTION_BYTES,
    Question,
    QuestionError,
    encode_question,
    question_from_json,
    question_from_query,
    with_sources,
)
from gateway.admin.guard import HostGuard
from gateway.admin.page_data import Reading, page_data
from gateway.admin.probes import Probes, json_response
from gateway.admin.redaction import redacted
from gateway.admin.sources import AdminSources
from gateway.routing_table.wire import KINDS
from gateway.telemetry.sampler import Sampler


def admin_app(sources: AdminSources, allowed_hosts: Iterable[str] = ()) -> Starlette:
    """The ASGI application. ``allowed_hosts``: names besides loopback by which it may be reached."""
    endpoints, probes = _Endpoints(sources), Probes(sources)
    get = ["GET"]
    return Starlette(
        routes=[
            Route("/", endpoints.page, methods=get),
            Route("/page-data", endpoints.page_data, methods=get),
            Route("/healthz/live", probes.live, methods=get),
            Route("/healthz/ready", probes.ready, methods=get),
            Route("/metrics", probes.metrics, methods=get),
            Route("/config", endpoints.config, methods=get),
            Route("/explain", endpoints.explain, methods=["GET", "POST"]),
            Route("/status", endpoints.status, methods=get),
        ],
        middleware=[Middleware(HostGuard, allowed=tuple(allowed_hosts))],
        exception_handlers={404: _not_found},
    )


def _refused(message: str, status: int = 400) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)


async def _not_found(_request: Request, _error: Exception) -> Response:
    paths = ["/", "/healthz/live", "/healthz/ready", "/metrics", "/config", "/explain", "/status"]
    return JSONResponse({"error": "no such page", "pages": paths}, status_code=404)


class _Endpoints:
    """One method an address."""

    def __init__(self, sources: AdminSources) -> None:
        self._sources = sources
        self._sampler = Sampler(sources.statistics, sources.monotonic)

    async def page(self, _request: Request) -> Response:
        """The page for people."""
        return Response(page.HTML, media_type="text/html", headers={"content-security-policy": page.CONTENT_POLICY})

    async def page_data(self, request: Request) -> Response:
        """What the page shows, for its polling."""
        sources = self._sources
        statistics, rates = await run_in_threadpool(self._sampler.look)
        reading = Reading(
            state=sources.state(),
            table=await run_in_threadpool(sources.table),
            statistics=statistics,
            rates=rates,
            status=sources.status(),
            certificate_ends=sources.certificate_ends(),
        )
        return json_response(page_data(reading, request.query_params.get("search", "")))

    async def config(self, request: Request) -> Response:
        """The table in force without its secrets; narrowed by ``?kind=`` and ``?key=``."""
        kind = request.query_params.get("kind", "")
        key = request.query_params.get("key", "")
        if kind and kind not in KINDS:
            return _refused(f"kind {kind!r} is not one of {', '.join(KINDS)}")
        table = redacted(await run_in_threadpool(self._sources.table))
        resources: dict[str, list[Any]] = {}
        for name in (kind,) if kind else KINDS:
            found = [resource for resource in getattr(table, name) if key in {"", resource.key}]
            if found or not key:
                resources[name] = found
        if key and not resources:
            return _refused(f"the table holds no {kind or 'resource'} with key {key!r}", 404)
        state = self._sources.state()
        return json_response(
            {
                "version": state.version,
                "applied_at": state.applied_at,
                "resources": resources,
                "rejected": state.rejected,
                "listeners": state.listeners,
            }
        )

    async def explain(self, request: Request) -> Response:
        """Which route takes a request on the live table, and why no other does."""
        try:
            question = await _question(request)
        except QuestionError as error:
            return _refused(str(error))
        answer = await run_in_threadpool(self._sources.explain, encode_question(question))
        objects = {item.key: item.source for item in self._sources.status().objects}
        return json_response(with_sources(answer, objects))

    async def status(self, _request: Request) -> Response:
        """Objects, conditions, problems and versions."""
        return json_response(self._sources.status())


async def _question(request: Request) -> Question:
    if request.method != "POST":
        return question_from_query(request.query_params.multi_items())
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_QUESTION_BYTES:
            raise QuestionError(f"the question is longer than {MAX_QUESTION_BYTES} bytes")
    return question_from_json(bytes(body))
