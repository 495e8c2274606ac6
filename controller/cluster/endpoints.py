"""What the controller process answers over HTTP: health and metrics for the cluster, its report for people.

Owns which path answers what. Reads only. The health address is for the kubelet and Prometheus and says nothing of
objects; the report is on the admin address, which stays on the loopback.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from html import escape
from io import StringIO

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.ca.rotation import AuthorityReport
from controller.terminal.report import write_report
from controller.terminal.writer import Writer
from gateway import __version__
from gateway.admin.guard import HostGuard
from gateway.admin.status import StatusReport

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sekisho controller</title>
<style>body{{font:14px/1.5 ui-monospace,monospace;margin:2rem;color:#222}}pre{{white-space:pre-wrap}}</style>
<h1>Sekisho controller</h1><p>{state}</p><pre>{report}</pre></html>
"""
_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Answering:
    """Everything that is read."""

    waiting_for: Callable[[], tuple[str, ...]]
    """Why the process is not ready; empty when it is."""
    leader: Callable[[], str]
    """Who leads, as far as is known."""
    report: Callable[[], Awaitable[StatusReport]]
    registry: CollectorRegistry
    authority: Callable[[], AuthorityReport | None]
    """How things stand with the authority; None before there is one."""


def health_app(answering: Answering) -> Starlette:
    """For the kubelet and Prometheus."""
    return Starlette(routes=_health_routes(answering))


def admin_app(answering: Answering, allowed_hosts: Iterable[str] = ()) -> Starlette:
    """For people. ``allowed_hosts``: names besides loopback by which it may be reached."""
    endpoints = _Endpoints(answering)
    return Starlette(
        routes=[
            *_health_routes(answering),
            Route("/", endpoints.page, methods=["GET"]),
            Route("/status", endpoints.status, methods=["GET"]),
            Route("/authority", endpoints.authority, methods=["GET"]),
            Route("/explain", endpoints.no_traffic, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(HostGuard, allowed=tuple(allowed_hosts))],
    )


def _health_routes(answering: Answering) -> list[Route]:
    endpoints = _Endpoints(answering)
    return [
        Route("/healthz/live", endpoints.live, methods=["GET"]),
        Route("/healthz/ready", endpoints.ready, methods=["GET"]),
        Route("/metrics", endpoints.metrics, methods=["GET"]),
    ]


class _Endpoints:
    """One method an address."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def live(self, _request: Request) -> Response:
        """The process runs and its event loop turns."""
        return JSONResponse({"live": True, "version": __version__})

    async def ready(self, _request: Request) -> Response:
        """Every kind has been read, and gateways are served their tables."""
        waiting_for = self._answering.waiting_for()
        answer = {"ready": not waiting_for, "waiting_for": waiting_for, "leader": self._answering.leader()}
        return JSONResponse(answer, 503 if waiting_for else 200)

    async def metrics(self, request: Request) -> Response:
        """Prometheus or OpenMetrics text, as asked for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._answering.registry), headers={"content-type": content_type})

    async def status(self, _request: Request) -> Response:
        """Objects, conditions, problems, and which gateway holds which version."""
        report = await self._answering.report()
        return Response(await run_in_threadpool(msgspec.json.encode, report), media_type="application/json")

    async def authority(self, _request: Request) -> Response:
        """The authority, and who has taken over its trust bundle."""
        report = self._answering.authority()
        if report is None:
            return JSONResponse({"error": "there is no authority yet"}, status_code=503)
        return Response(msgspec.json.encode(report), media_type="application/json")

    async def page(self, _request: Request) -> Response:
        """The same for people."""
        text = await run_in_threadpool(_text, await self._answering.report())
        waiting_for = self._answering.waiting_for()
        state = f"waiting for {', '.join(waiting_for)}" if waiting_for else "ready"
        leader = self._answering.leader() or "nobody yet"
        page = _PAGE.format(state=escape(f"version {__version__}, {state}; leader: {leader}"), report=escape(text))
        return Response(page, media_type="text/html", headers={"content-security-policy": _CONTENT_POLICY})

    async def no_traffic(self, _request: Request) -> Response:
        """A controller moves no traffic, so it cannot say what a gateway does with a request."""
        message = "a controller carries no traffic: ask the admin address of a gateway's pod"
        return JSONResponse({"error": message}, status_code=404)


def _text(report: StatusReport) -> str:
    file = StringIO()
    write_report(Writer(file, styled=False), report)
    return file.getvalue()
