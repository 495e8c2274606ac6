"""The containers and volumes of a sidecar.

Owns their commands, privileges and files. The init container alone may change the pod's network; the sidecar runs as a
user of its own, without privileges, on a root file system that it cannot write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.inject.probes import VARIABLE
from controller.inject.settings import (
    ADMIN_PORT,
    HEALTH_PORT,
    INIT,
    PROXY,
    PROXY_USER,
    TRUST_BUNDLE,
    InjectionSettings,
)

_CA: Final = "/etc/sekisho/ca"
_CREDENTIALS: Final = "/var/run/secrets/sekisho"
_STATE: Final = "/var/lib/sekisho"
_TOKEN_SECONDS: Final = 3600
VOLUMES: Final = ("sekisho-ca", "sekisho-token", "sekisho-state", "sekisho-tmp")
_POD_FIELDS: Final = {
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_IP": "status.podIP",
}
_REQUESTS: Final = {"cpu": "50m", "memory": "96Mi"}
_RESOURCES: Final = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}
_IMAGE: Final = "sidecar.istio.io/proxyImage"
_EXCLUSIONS: Final = {
    "traffic.sidecar.istio.io/excludeInboundPorts": "--exclude-inbound-port",
    "traffic.sidecar.istio.io/excludeOutboundPorts": "--exclude-outbound-port",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": "--exclude-outbound-cidr",
}

Annotations = Mapping[str, str]


def init_container(annotations: Annotations, settings: InjectionSettings) -> dict[str, Any]:
    """Has connections redirected, and ends."""
    arguments = ["sidecar-init"]
    for annotation, option in _EXCLUSIONS.items():
        for value in annotations.get(annotation, "").split(","):
            arguments += [option, value.strip()] if value.strip() else []
    return {
        "name": INIT,
        "image": annotations.get(_IMAGE) or settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": arguments,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
        },
    }


def proxy_container(annotations: Annotations, probes: str, settings: InjectionSettings) -> dict[str, Any]:
    """The sidecar. ``probes``: what it asks the workload for the kubelet."""
    container = {
        "name": PROXY,
        "image": annotations.get(_IMAGE) or settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": _arguments(settings),
        "env": _environment(probes),
        "startupProbe": _probe("/healthz/ready", 1, failures=120),
        "readinessProbe": _probe("/healthz/ready", 2, failures=2),
        "livenessProbe": _probe("/healthz/live", 10, failures=3),
        "resources": _resources(annotations),
        "securityContext": {
            "runAsUser": PROXY_USER,
            "runAsGroup": PROXY_USER,
            "runAsNonRoot": True,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "sekisho-ca", "mountPath": _CA, "readOnly": True},
            {"name": "sekisho-token", "mountPath": _CREDENTIALS, "readOnly": True},
            {"name": "sekisho-state", "mountPath": _STATE},
            {"name": "sekisho-tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod
        ],
    }
    if settings.native:
        container["restartPolicy"] = "Always"
    return container


def volumes(settings: InjectionSettings) -> list[dict[str, Any]]:
    """What the sidecar knows the controller by, what it proves itself with, and where it may write."""
    token = {"audience": settings.audience, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        {"name": "sekisho-ca", "configMap": {"name": TRUST_BUNDLE}},
        {"name": "sekisho-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "sekisho-state", "emptyDir": {}},
        {"name": "sekisho-tmp", "emptyDir": {}},
    ]


def _arguments(settings: InjectionSettings) -> list[str]:
    arguments = ["gateway", "--role", "sidecar", "--controller", settings.controller_url]
    arguments += ["--trust-bundle", f"{_CA}/ca.crt", "--token", f"{_CREDENTIALS}/token"]
    arguments += ["--state-dir", _STATE, "--health", f"0.0.0.0:{HEALTH_PORT}"]
    return [*arguments, "--admin", f"127.0.0.1:{ADMIN_PORT}", "--workers", "1"]


def _environment(probes: str) -> list[dict[str, Any]]:
    fields = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _POD_FIELDS.items()]
    return [*fields, {"name": VARIABLE, "value": probes}] if probes else fields


def _resources(annotations: Annotations) -> dict[str, Any]:
    resources: dict[str, dict[str, str]] = {"requests": dict(_REQUESTS)}
    for annotation, (part, name) in _RESOURCES.items():
        if annotations.get(annotation):
            resources.setdefault(part, {})[name] = annotations[annotation]
    return resources


def _probe(path: str, every: int, *, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HEALTH_PORT, "scheme": "HTTP"},
        "periodSeconds": every,
        "timeoutSeconds": 1 if every == 1 else 2,
        "failureThreshold": failures,
    }
