"""What is created for a Gateway, as far as GatewayParameters say: Deployment, Service, scaling.

Owns the fields of ``spec.deployment``, ``spec.service``, ``spec.podDisruptionBudget`` and ``spec.autoscaling``
of :class:`~controller.resources.gateway_parameters.GatewayParameters`. What Kubernetes alone gives a meaning to
(affinity, tolerations, values of environment variables) is handed on as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from controller.resources.schema import AnnotationValue, LabelValue, Struct, Violation

Document = Mapping[str, Any]
"""A part of a Kubernetes object that is handed on."""
Quantity = str | int | float
Replicas = Annotated[int, Meta(ge=1, le=10_000)]
ServiceType = Annotated[
    str,
    Meta(pattern=r"^(?:LoadBalancer|ClusterIP|NodePort)\Z", description="LoadBalancer, ClusterIP or NodePort"),
]
TrafficPolicy = Annotated[str, Meta(pattern=r"^(?:Cluster|Local)\Z", description="Cluster or Local")]

GRACE_LEAST = 20
"""Seconds: fewer would leave no time to drain."""

_PERCENTAGE = re.compile(r"^[0-9]{1,3}%\Z")


class ResourceRequirements(Struct, frozen=True, kw_only=True):
    """Quantities as Kubernetes writes them, for example ``cpu: 500m``."""

    requests: Mapping[str, Quantity] = {}
    limits: Mapping[str, Quantity] = {}


class DeploymentParameters(Struct, frozen=True, kw_only=True):
    """The gateway's pods. ``replicas`` unset leaves the number to whoever scales the Deployment."""

    replicas: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    image: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    resources: ResourceRequirements | None = None
    node_selector: Mapping[str, str] | None = None
    tolerations: tuple[Document, ...] | None = None
    affinity: Document | None = None
    topology_spread_constraints: tuple[Document, ...] | None = None
    priority_class_name: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    image_pull_secrets: tuple[str, ...] | None = None
    pod_labels: Mapping[str, LabelValue] | None = None
    pod_annotations: Mapping[str, AnnotationValue] | None = None
    env: tuple[Document, ...] | None = None
    termination_grace_period_seconds: Annotated[int, Meta(ge=GRACE_LEAST, le=86_400)] | None = None

    def violations(self) -> Iterator[Violation]:
        """Environment variables have distinct names."""
        names: set[object] = set()
        for index, variable in enumerate(self.env or ()):
            name = variable.get("name")
            if not isinstance(name, str) or not name:
                yield Violation(f"env[{index}]", "an environment variable needs a name", "set name")
            elif name in names:
                yield Violation(f"env[{index}]", f"{name} is given twice", "remove one")
            names.add(name)


class ServiceParameters(Struct, frozen=True, kw_only=True):
    """The Service that clients reach the gateway by."""

    type: ServiceType | None = None
    annotations: Mapping[str, AnnotationValue] | None = None
    load_balancer_class: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    external_traffic_policy: TrafficPolicy | None = None
    load_balancer_source_ranges: tuple[str, ...] | None = None


class PodDisruptionBudgetParameters(Struct, frozen=True, kw_only=True):
    """How many pods may be missing at a time; without either field there is no budget."""

    min_available: int | str | None = None
    max_unavailable: int | str | None = None

    def violations(self) -> Iterator[Violation]:
        """One of the two, a number or a percentage."""
        if self.min_available is not None and self.max_unavailable is not None:
            yield Violation("", "minAvailable and maxUnavailable exclude each other", "remove one")
        for field, value in (("minAvailable", self.min_available), ("maxUnavailable", self.max_unavailable)):
            valid = value >= 0 if isinstance(value, int) else value is None or _PERCENTAGE.match(value)
            if not valid:
                yield Violation(
                    field, f"{value!r} is no number of pods", 'write a number or a percentage such as "50%"'
                )


class AutoscalingParameters(Struct, frozen=True, kw_only=True):
    """Scaling by use of processors; without ``maxReplicas`` there is none."""

    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None
    target_cpu_utilization_percentage: Annotated[int, Meta(ge=1, le=1_000)] = msgspec.field(
        default=80, name="targetCPUUtilizationPercentage"
    )

    def violations(self) -> Iterator[Violation]:
        """The least is not more than the most."""
        if self.min_replicas is None:
            return
        if self.max_replicas is None:
            yield Violation("maxReplicas", "minReplicas without maxReplicas does nothing", "set maxReplicas")
        elif self.min_replicas > self.max_replicas:
            yield Violation(
                "minReplicas",
                f"minReplicas {self.min_replicas} is more than maxReplicas {self.max_replicas}",
                "lower it",
            )
