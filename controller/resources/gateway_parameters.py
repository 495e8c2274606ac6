"""GatewayParameters (``sekisho.dev/v1alpha1``): settings of a Gateway that the Gateway API has no field for.

A GatewayClass names one in ``spec.parametersRef``, a Gateway in ``spec.infrastructure.parametersRef``;
what the Gateway's sets wins. An absent field keeps the routing table's default.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.egress_parameters import EgressParameters
from controller.resources.metadata import Resource
from controller.resources.provisioning import (
    AutoscalingParameters,
    DeploymentParameters,
    PodDisruptionBudgetParameters,
    ServiceParameters,
)
from controller.resources.schema import Duration, Struct

SEKISHO_GROUP = "sekisho.dev"

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class GatewayLimits(Struct, frozen=True, kw_only=True):
    """Bounds at the edge; ``0s`` means no bound for a timeout. The names follow the routing table's Limits."""

    max_connections: Count | None = None
    max_connections_per_listener: Count | None = None
    max_request_head_bytes: Count | None = None
    max_request_headers: Count | None = None
    max_concurrent_streams: Count | None = None
    initial_stream_window_bytes: Count | None = None
    initial_connection_window_bytes: Count | None = None
    max_resets_per_connection: Count | None = None
    tls_handshake_timeout: Duration | None = None
    request_head_timeout: Duration | None = None
    stream_idle_timeout: Duration | None = None
    connection_idle_timeout: Duration | None = None
    connect_timeout: Duration | None = None
    drain_timeout: Duration | None = None
    replay_buffer_bytes: Count | None = None
    mirror_buffer_bytes: Count | None = None


class GatewayParametersSpec(Struct, frozen=True, kw_only=True):
    """``trusted_hops``: proxies in front whose forwarding headers are believed.

    The fields from ``deployment`` on are for clusters, where each Gateway has pods of its own, and so is
    ``egress.records``.
    """

    trusted_hops: Annotated[int, Meta(ge=0, le=100)] | None = None
    access_log: bool | None = None
    limits: GatewayLimits = GatewayLimits()
    egress: EgressParameters = EgressParameters()
    deployment: DeploymentParameters = DeploymentParameters()
    service: ServiceParameters = ServiceParameters()
    pod_disruption_budget: PodDisruptionBudgetParameters | None = None
    autoscaling: AutoscalingParameters | None = None


class GatewayParameters(Resource, frozen=True, kw_only=True):
    """Sekisho's own settings of a Gateway."""

    group: ClassVar[str] = SEKISHO_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1alpha1",)
    kind: ClassVar[str] = "GatewayParameters"

    spec: GatewayParametersSpec = GatewayParametersSpec()
