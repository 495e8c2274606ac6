"""What the kubelet and Prometheus ask: alive, ready, metrics, how a sidecar's workload is. None tells of a table.

The same answers as the admin endpoint's, on an address that the cluster may reach. There is no check of the
``Host``: probes use the pod's address, scrapers a name, and nothing here is worth a rebound name.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.admin.app_probes import AppProbes
from gateway.admin.probes import Probes
from gateway.admin.sources import AdminSources


def health_app(sources: AdminSources) -> Starlette:
    """The ASGI application of the health address."""
    probes = Probes(sources)
    app_probes = AppProbes.of()
    return Starlette(
        routes=[
            Route("/healthz/live", probes.live, methods=["GET"]),
            Route("/healthz/ready", probes.ready, methods=["GET"]),
            Route("/metrics", probes.metrics, methods=["GET"]),
            Route("/app-health/{container}/{probe}", app_probes.answer, methods=["GET"]),
        ]
    )
