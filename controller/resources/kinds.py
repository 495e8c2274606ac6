"""What is said of kinds that are not read: misspelt, of another version, or somebody else's."""

from __future__ import annotations

import difflib

from controller.resources.problem import Problem
from controller.resources.registry import BY_KIND, api_versions

_NOT_SERVED = {
    "Ingress": "write an HTTPRoute instead",
    "IngressClass": "write a GatewayClass instead",
    "XListenerSet": "write a ListenerSet instead",
    "XBackendTrafficPolicy": "set retry and timeouts on the route's rules",
    "XMesh": "remove it",
    "Endpoints": "write an EndpointSlice instead",
    "PeerAuthentication": "remove it",
    "AuthorizationPolicy": "remove it, and do not rely on its protection",
    "RequestAuthentication": "remove it, and do not rely on its protection",
    "VirtualService": "write an HTTPRoute instead",
    "DestinationRule": "write a BackendTLSPolicy for its TLS settings",
}
"""Kinds about traffic that Sekisho does not serve yet, with what to do instead."""

_NOT_TRAFFIC = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "Role",
        "RoleBinding",
        "ServiceAccount",
        "StatefulSet",
    }
)


def unread_kind(api_version: str, kind: str, *, object_: str, place: str) -> Problem:
    """Say why ``(api_version, kind)`` is not read, and what to write instead."""
    severity, message, remedy = "warning", f"the kind {kind[:80]} ({api_version[:120]}) is unknown", ""
    known = BY_KIND.get(kind)
    if known is not None:
        severity = "error"
        message = f"the apiVersion {api_version[:120]} of kind {kind} is not read"
        remedy = f"use {' or '.join(api_versions(known))}"
    elif kind in _NOT_SERVED:
        message, remedy = f"{kind} is not served yet, so it has no effect", _NOT_SERVED[kind]
    elif kind in _NOT_TRAFFIC:
        message, remedy = f"{kind} means nothing to a gateway, so it is ignored", "nothing to do"
    else:
        lower = {name.lower(): name for name in BY_KIND}
        near = difflib.get_close_matches(kind.lower(), lower, n=1, cutoff=0.8)
        known_kinds = f"known kinds: {', '.join(sorted(BY_KIND))}"
        remedy = f"did you mean {lower[near[0]]}? {known_kinds}" if near else known_kinds
    return Problem(
        severity="error" if severity == "error" else "warning",
        message=message,
        remedy=remedy,
        object=object_,
        field="apiVersion" if known is not None else "kind",
        place=place,
    )
