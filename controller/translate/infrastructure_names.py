"""Names and labels of what is provisioned for a Gateway.

Owns the naming alone: whoever reads a provisioned object and whoever makes it find it by the same name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
GATEWAY_CLASS_LABEL = "gateway.networking.k8s.io/gateway-class-name"
NAME_LABEL = "app.kubernetes.io/name"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "sekisho-controller"

_MAX = 63
_DIGEST = 10
_DNS_LABEL = re.compile(r"^[a-z](?:[-a-z0-9]*[a-z0-9])?\Z")


def infrastructure_name(gateway: str, class_name: str) -> str:
    """Of every object made for a Gateway; valid as the name of a Service, which is the strictest."""
    name = f"{gateway}-{class_name}"
    if len(name) <= _MAX and _DNS_LABEL.match(name):
        return name
    plain = name.replace(".", "-")
    return _cut(plain if plain[0].isalpha() else f"gateway-{plain}", f"{gateway}/{class_name}")


def selector(gateway: str, class_name: str) -> dict[str, str]:
    """Labels that only this Gateway's pods have; they stay while the name stays, as a Deployment's selector must."""
    return {GATEWAY_NAME_LABEL: label_value(gateway), GATEWAY_CLASS_LABEL: label_value(class_name)}


def own_labels(selected: Mapping[str, str]) -> dict[str, str]:
    """The labels that are Sekisho's to set, on an object of the Gateway with this selector."""
    return {**selected, NAME_LABEL: "sekisho-gateway", MANAGED_BY_LABEL: MANAGED_BY}


def reserved(labels: Iterable[str]) -> tuple[str, ...]:
    """Those of ``labels`` that a Gateway cannot set."""
    ours = (GATEWAY_NAME_LABEL, GATEWAY_CLASS_LABEL, NAME_LABEL, MANAGED_BY_LABEL)
    return tuple(label for label in labels if label in ours)


def label_value(name: str) -> str:
    """A name as the value of a label, which is shorter than a name may be."""
    return name if len(name) <= _MAX else _cut(name, name)


def _cut(name: str, whole: str) -> str:
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _MAX - _DIGEST - 1].rstrip('-.')}-{digest}"
