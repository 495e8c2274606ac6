"""Sidecars in manifests: in pods, and in the templates of what makes pods.

Owns where the pod is in each kind. What has none is handed back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from controller.inject.choice import refusal
from controller.inject.pod import injected
from controller.inject.settings import InjectionSettings

_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


class Outcome(NamedTuple):
    """A document after injection. ``skipped``: why a pod in it got no sidecar, or empty."""

    document: Any
    injected: bool = False
    skipped: str = ""


def inject_document(document: Any, settings: InjectionSettings) -> Outcome:
    """One object."""
    if not isinstance(document, dict) or document.get("kind") not in _TEMPLATES:
        return Outcome(document)
    path = _TEMPLATES[document["kind"]]
    pod: Any = document
    for name in path:
        pod = pod.get(name) if isinstance(pod, dict) else None
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict) or not pod["spec"].get("containers"):
        return Outcome(document, skipped="it has no containers")
    reason = refusal(pod.get("metadata") or {}, pod["spec"])
    if reason:
        return Outcome(document, skipped=reason)
    return Outcome(_replaced(document, path, injected(pod, settings)), injected=True)


def _replaced(document: Mapping[str, Any], path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**document, path[0]: _replaced(document[path[0]], path[1:], value)}
