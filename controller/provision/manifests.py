"""From what a Gateway needs to the objects that give it: ServiceAccount, ConfigMap, Service, Deployment and the rest.

Owns their metadata and which of them there are. Pure. Everything of a Gateway bears one name and belongs to it, so
that Kubernetes removes it with the Gateway.
"""

from __future__ import annotations

from typing import Any

from controller.provision.objects import API_VERSIONS, Manifest
from controller.provision.scaling import autoscaler_spec, budget_spec
from controller.provision.service import service_spec
from controller.provision.settings import ProvisionSettings
from controller.provision.workload import deployment_spec
from controller.resources import GATEWAY_GROUP, Gateway
from controller.translate import Infrastructure

BUNDLE_KEY = "ca.crt"


def provisioned(infrastructure: Infrastructure, settings: ProvisionSettings) -> tuple[Manifest, ...]:
    """The manifests, in the order in which they are needed."""
    parameters = infrastructure.parameters
    manifests = [
        {**_head("ServiceAccount", infrastructure), "automountServiceAccountToken": False},
        {**_head("ConfigMap", infrastructure), "data": {BUNDLE_KEY: settings.bundle_pem}},
        {**_head("Service", infrastructure, parameters.service.annotations), "spec": service_spec(infrastructure)},
        {**_head("Deployment", infrastructure), "spec": deployment_spec(infrastructure, settings)},
    ]
    budget = budget_spec(infrastructure)
    if budget is not None:
        manifests.append({**_head("PodDisruptionBudget", infrastructure), "spec": budget})
    autoscaler = autoscaler_spec(infrastructure)
    if autoscaler is not None:
        manifests.append({**_head("HorizontalPodAutoscaler", infrastructure), "spec": autoscaler})
    return tuple(manifests)


def _head(kind: str, infrastructure: Infrastructure, annotations: Any = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": infrastructure.name,
        "namespace": infrastructure.gateway.namespace,
        "labels": dict(infrastructure.labels),
        "ownerReferences": [_owner(infrastructure)],
    }
    together = {**infrastructure.annotations, **(annotations or {})}
    if together:
        metadata["annotations"] = together
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata}


def _owner(infrastructure: Infrastructure) -> dict[str, Any]:
    return {
        "apiVersion": f"{GATEWAY_GROUP}/{Gateway.versions[0]}",
        "kind": Gateway.kind,
        "name": infrastructure.gateway.name,
        "uid": infrastructure.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
