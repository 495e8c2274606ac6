"""The Deployment of a Gateway: the pods that move its traffic.

Owns their command, volumes, probes and security. Pure. Listeners are not in it: they change live, and a change
of them must not start new pods. New pods are started where the template differs, so nothing else is put there.
"""

from __future__ import annotations

from typing import Any, Final

from controller.provision.egress import egress_arguments, egress_mounts, egress_volumes
from controller.provision.scaling import scales_by_itself
from controller.provision.settings import ProvisionSettings
from controller.resources import DeploymentParameters, GatewayParametersSpec
from controller.translate import Infrastructure

HEALTH_PORT: Final = 15021
_USER: Final = 65532
_GRACE: Final = 60
_TOKEN_SECONDS: Final = 3600
_BEFORE_KILL: Final = 15
"""Seconds of the grace period that are not for open connections: for the load balancer to look away, and to end."""
_CA: Final = "/etc/sekisho/ca"
_CREDENTIALS: Final = "/var/run/secrets/sekisho"
_STATE: Final = "/var/lib/sekisho"
_REQUESTS: Final = {"cpu": "100m", "memory": "128Mi"}
_POD_FIELDS: Final = {
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_IP": "status.podIP",
}
# A table that is replaced leaves memory behind: by default the allocator holds on to it, in huge pages besides.
_MEMORY: Final = {"MIMALLOC_ALLOW_THP": "0", "MIMALLOC_PURGE_DELAY": "10"}


def deployment_spec(infrastructure: Infrastructure, settings: ProvisionSettings) -> dict[str, Any]:
    """A new pod is ready before an old one goes. The number of pods is said only where it is ours to say."""
    parameters = infrastructure.parameters.deployment
    spec: dict[str, Any] = {
        "selector": {"matchLabels": dict(infrastructure.selector)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {
            "metadata": {
                "labels": {**(parameters.pod_labels or {}), **infrastructure.labels},
                "annotations": {
                    **_scraping(),
                    **infrastructure.annotations,
                    **(parameters.pod_annotations or {}),
                },
            },
            "spec": _pod(infrastructure, settings),
        },
    }
    if parameters.replicas is not None and not scales_by_itself(infrastructure):
        spec["replicas"] = parameters.replicas
    return spec


def _scraping() -> dict[str, str]:
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(HEALTH_PORT),
        "prometheus.io/path": "/metrics",
    }


def _pod(infrastructure: Infrastructure, settings: ProvisionSettings) -> dict[str, Any]:
    parameters = infrastructure.parameters.deployment
    pod: dict[str, Any] = {
        "serviceAccountName": infrastructure.name,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": parameters.termination_grace_period_seconds or _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            # Lets it bind port 80: a capability would not reach a process that is not root.
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [_container(infrastructure.parameters, settings)],
        "volumes": _volumes(infrastructure.name, settings) + egress_volumes(infrastructure.parameters.egress),
    }
    spread = _spread(infrastructure)
    if spread:
        pod["topologySpreadConstraints"] = spread
    secrets = (
        parameters.image_pull_secrets if parameters.image_pull_secrets is not None else settings.image_pull_secrets
    )
    if secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in secrets]
    if parameters.node_selector:
        pod["nodeSelector"] = dict(parameters.node_selector)
    if parameters.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in parameters.tolerations]
    if parameters.affinity:
        pod["affinity"] = dict(parameters.affinity)
    if parameters.priority_class_name:
        pod["priorityClassName"] = parameters.priority_class_name
    return pod


def _container(spec: GatewayParametersSpec, settings: ProvisionSettings) -> dict[str, Any]:
    parameters = spec.deployment
    return {
        "name": "gateway",
        "image": parameters.image or settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": _arguments(spec, settings),
        "env": _environment(parameters),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/healthz/live", 1, failures=60),
        "livenessProbe": _probe("/healthz/live", 10, failures=3),
        "readinessProbe": _probe("/healthz/ready", 2, failures=2),
        "resources": _resources(parameters),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "ca", "mountPath": _CA, "readOnly": True},
            {"name": "token", "mountPath": _CREDENTIALS, "readOnly": True},
            {"name": "state", "mountPath": _STATE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # a volume of the pod, not this machine's folder
            *egress_mounts(spec.egress),
        ],
    }


def _arguments(spec: GatewayParametersSpec, settings: ProvisionSettings) -> list[str]:
    arguments = ["gateway", "--role", "edge", "--controller", settings.controller_url]
    arguments += ["--trust-bundle", f"{_CA}/ca.crt", "--token", f"{_CREDENTIALS}/token"]
    arguments += ["--state-dir", _STATE, "--health", f"0.0.0.0:{HEALTH_PORT}"]
    arguments += egress_arguments(spec.egress)
    grace = spec.deployment.termination_grace_period_seconds
    if grace is not None:
        arguments += ["--drain-timeout", str(grace - _BEFORE_KILL)]
    return arguments


def _environment(parameters: DeploymentParameters) -> list[dict[str, Any]]:
    """Those of the pod are ours; the allocator's may be set otherwise."""
    own = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _POD_FIELDS.items()]
    asked = [dict(variable) for variable in parameters.env or () if variable["name"] not in _POD_FIELDS]
    names = {variable["name"] for variable in asked}
    return own + [{"name": name, "value": value} for name, value in _MEMORY.items() if name not in names] + asked


def _resources(parameters: DeploymentParameters) -> dict[str, Any]:
    asked = parameters.resources
    if asked is None:
        return {"requests": dict(_REQUESTS)}
    parts = {"requests": asked.requests, "limits": asked.limits}
    return {name: {key: str(value) for key, value in part.items()} for name, part in parts.items() if part}


def _probe(path: str, every: int, *, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HEALTH_PORT, "scheme": "HTTP"},
        "periodSeconds": every,
        "timeoutSeconds": 1 if every == 1 else 2,
        "failureThreshold": failures,
    }


def _volumes(name: str, settings: ProvisionSettings) -> list[dict[str, Any]]:
    token = {"audience": settings.audience, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        {"name": "ca", "configMap": {"name": name}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "state", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]


def _spread(infrastructure: Infrastructure) -> list[dict[str, Any]]:
    asked = infrastructure.parameters.deployment.topology_spread_constraints
    if asked is not None:
        return [dict(constraint) for constraint in asked]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(infrastructure.selector)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
