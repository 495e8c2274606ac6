"""How many gateway pods there are, and how many may be missing: HorizontalPodAutoscaler and PodDisruptionBudget.

Owns their specs, where GatewayParameters ask for them. Pure.
"""

from __future__ import annotations

from typing import Any

from controller.translate import Infrastructure


def scales_by_itself(infrastructure: Infrastructure) -> bool:
    """Whether an autoscaler decides how many pods there are."""
    autoscaling = infrastructure.parameters.autoscaling
    return autoscaling is not None and autoscaling.max_replicas is not None


def budget_spec(infrastructure: Infrastructure) -> dict[str, Any] | None:
    """Of the PodDisruptionBudget, if there is to be one."""
    budget = infrastructure.parameters.pod_disruption_budget
    if budget is None or budget.min_available is budget.max_unavailable is None:
        return None
    spec: dict[str, Any] = {"selector": {"matchLabels": dict(infrastructure.selector)}}
    if budget.min_available is not None:
        spec["minAvailable"] = budget.min_available
    else:
        spec["maxUnavailable"] = budget.max_unavailable
    return spec


def autoscaler_spec(infrastructure: Infrastructure) -> dict[str, Any] | None:
    """Of the HorizontalPodAutoscaler, if there is to be one."""
    autoscaling = infrastructure.parameters.autoscaling
    if autoscaling is None or autoscaling.max_replicas is None:
        return None
    target = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": infrastructure.name},
        "minReplicas": autoscaling.min_replicas or 1,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
