"""Whether a pod gets a sidecar.

Owns the labels and annotations that ask for one or refuse it: ours and Istio's (``sidecar.istio.io/inject``,
``istio-injection``), and the pods that can have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.inject.settings import PROXY
from controller.translate.infrastructure_names import MANAGED_BY, MANAGED_BY_LABEL

INJECT: Final = "sidecar.istio.io/inject"
"""Label or annotation of a pod: ``true`` or ``false``. The label counts first."""
NAMESPACE_LABELS: Final = {"sekisho.dev/injection": "enabled", "istio-injection": "enabled"}
"""Labels of a namespace whose pods get a sidecar."""
NAMESPACE_REFUSALS: Final = {"sekisho.dev/injection": "disabled", "istio-injection": "disabled"}
_AMBIENT: Final = ("istio.io/dataplane-mode", "ambient")
_OTHERS: Final = frozenset({"istio-proxy", "linkerd-proxy"})


def wanted(namespace_labels: Mapping[str, str]) -> bool:
    """Whether pods of a namespace get a sidecar that say nothing of it themselves."""
    if any(namespace_labels.get(name) == value for name, value in NAMESPACE_REFUSALS.items()):
        return False
    return any(namespace_labels.get(name) == value for name, value in NAMESPACE_LABELS.items())


def asked(metadata: Mapping[str, Any]) -> bool | None:
    """What a pod says itself; None if it says nothing."""
    for where in ("labels", "annotations"):
        value = str((metadata.get(where) or {}).get(INJECT, "")).lower()
        if value in ("true", "false"):
            return value == "true"
    return None


def refusal(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Why a pod gets no sidecar although its namespace, or whoever injects, wants it to; or empty."""
    labels = metadata.get("labels") or {}
    if asked(metadata) is False:
        return f"it asks for none ({INJECT}: false)"
    if spec.get("hostNetwork"):
        return "it is in the node's own network"
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
        return "it is one of Sekisho itself"
    if labels.get(_AMBIENT[0]) == _AMBIENT[1]:
        return "it takes part in the mesh without a sidecar (istio.io/dataplane-mode: ambient)"
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    other = next((one["name"] for one in containers if one.get("name") in _OTHERS), "")
    return f"it has another sidecar, {other}" if other and other != PROXY else ""
