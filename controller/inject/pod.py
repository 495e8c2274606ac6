"""A pod with a sidecar, and without it again.

Owns where things go in a pod (or in the template of one). Injection is idempotent: what an earlier one put there is
taken out first, so that a newer one replaces it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from controller.inject.containers import VOLUMES, init_container, proxy_container, volumes
from controller.inject.probes import VARIABLE, copied, led_through, restored
from controller.inject.settings import INIT, PROXY, InjectionSettings

TLS_MODE: Final = "security.istio.io/tlsMode"
STATUS: Final = "sidecar.istio.io/status"
"""What was injected, in JSON: other tools know a pod with a sidecar by it."""
CAPTURE_ANNOTATION: Final = "sekisho.dev/capture"
"""``redirect`` (the default) or ``explicit``."""
_LOOPBACK: Final = "127.0.0.1"
_OURS: Final = (INIT, PROXY)

Pod = dict[str, Any]


def injected(pod: Mapping[str, Any], settings: InjectionSettings) -> Pod:
    """``pod`` has ``metadata`` and ``spec``, as a Pod and as a template has; it is left as it is."""
    bare = without_sidecar(pod)
    spec, metadata = bare["spec"], bare.setdefault("metadata", {})
    annotations: dict[str, str] = metadata.setdefault("annotations", {})
    init, containers = spec.get("initContainers") or [], spec["containers"]
    explicit = annotations.get(CAPTURE_ANNOTATION) == "explicit"
    asked = [*(one for one in init if one.get("restartPolicy") == "Always"), *containers]
    probes = led_through(asked, _LOOPBACK if explicit else "")
    # Without redirection the workload itself sends its connections to the sidecar.
    preparation = [] if explicit else [init_container(annotations, settings)]
    proxy = proxy_container(annotations, probes, settings)
    if settings.native:
        # Those that come after it have the mesh already.
        spec["initContainers"] = [*preparation, proxy, *init]
    else:
        # Nobody takes what is redirected until the sidecar runs, so nothing may be started in between.
        spec["initContainers"] = [*init, *preparation]
        spec["containers"] = [proxy, *containers]
    spec["volumes"] = [*(spec.get("volumes") or ()), *volumes(settings)]
    metadata["labels"] = {**(metadata.get("labels") or {}), TLS_MODE: "istio"}
    annotations[STATUS] = _status(settings, preparation)
    if not spec["initContainers"]:
        del spec["initContainers"]
    return bare


def without_sidecar(pod: Mapping[str, Any]) -> Pod:
    """The pod as it was before; one that has no sidecar of ours is copied as it is."""
    spec = {**pod["spec"]}
    metadata = {**(pod.get("metadata") or {})}
    everyone = [*copied(spec.get("initContainers")), *copied(spec.get("containers"))]
    bare: Pod = {**pod, "metadata": metadata, "spec": spec}
    spec["containers"] = copied(spec.get("containers"))
    if spec.get("initContainers"):
        spec["initContainers"] = copied(spec["initContainers"])
    metadata["annotations"] = dict(metadata.get("annotations") or {})
    proxy = next((one for one in everyone if one.get("name") == PROXY), None)
    if proxy is not None:
        _take_out(spec, metadata, proxy)
    if not metadata["annotations"]:
        del metadata["annotations"]
    return bare


def _take_out(spec: dict[str, Any], metadata: dict[str, Any], proxy: Mapping[str, Any]) -> None:
    known = next((one.get("value", "") for one in proxy.get("env") or () if one["name"] == VARIABLE), "")
    for field in ("initContainers", "containers"):
        if spec.get(field):
            spec[field] = [one for one in spec[field] if one.get("name") not in _OURS]
            restored(spec[field], known)
            if not spec[field]:
                del spec[field]
    spec["volumes"] = [one for one in spec.get("volumes") or () if one.get("name") not in VOLUMES]
    if not spec["volumes"]:
        del spec["volumes"]
    metadata["annotations"].pop(STATUS, None)
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != TLS_MODE}
    metadata["labels"] = labels
    if not labels:
        del metadata["labels"]


def _status(settings: InjectionSettings, preparation: Sequence[Any]) -> str:
    init = [*([INIT] if preparation else []), *([PROXY] if settings.native else [])]
    status = {"initContainers": init, "containers": [] if settings.native else [PROXY], "volumes": list(VOLUMES)}
    return json.dumps(status)
