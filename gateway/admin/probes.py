"""Liveness, readiness and metrics, for both addresses that serve them."""

from __future__ import annotations

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.admin.sources import AdminSources


def json_response(document: object, status: int = 200) -> Response:
    """A document as JSON."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


class Probes:
    """One method an address."""

    def __init__(self, sources: AdminSources) -> None:
        self._sources = sources

    async def live(self, _request: Request) -> Response:
        """The process runs and its event loop turns."""
        return json_response({"live": True, "version": __version__})

    async def ready(self, _request: Request) -> Response:
        """A table is loaded, every listener is bound or reported, and no drain has begun."""
        state = self._sources.state()
        draining = self._sources.draining()
        answer = {
            "ready": state.ready and not draining,
            "version": state.version,
            "draining": draining,
            "restored": state.restored,
            "unbound": {listener.key: listener.error for listener in state.unbound},
        }
        return json_response(answer, 200 if answer["ready"] else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus or OpenMetrics text, as asked for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = await run_in_threadpool(encode, self._sources.registry)
        return Response(text, headers={"content-type": content_type})
