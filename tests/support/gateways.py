"""What Gateways need in a cluster, as translation says it, for tests of provisioning."""

from __future__ import annotations

import datetime
from typing import Any

from controller.resources import parse
from controller.resources.gateway_parameters import GatewayParameters, GatewayParametersSpec
from controller.store import Key
from controller.translate import Infrastructure, Port
from controller.translate.infrastructure_names import infrastructure_name, own_labels, selector

CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def gateway_key(name: str = "web", namespace: str = "default") -> Key:
    return Key("Gateway", namespace, name)


def infrastructure(name: str = "web", class_name: str = "sekisho", **fields: Any) -> Infrastructure:
    """Of a Gateway with one HTTP listener."""
    selected = selector(name, class_name)
    defaults: dict[str, Any] = {
        "gateway": gateway_key(name),
        "uid": f"uid-of-{name}",
        "age": (CREATED, f"default/{name}"),
        "name": infrastructure_name(name, class_name),
        "selector": selected,
        "labels": own_labels(selected),
        "ports": (Port(80, "TCP"),),
    }
    return Infrastructure(**(defaults | fields))


def parameters(**spec: Any) -> GatewayParametersSpec:
    """Of a GatewayParameters with this spec, read as any other."""
    document = {
        "apiVersion": "sekisho.dev/v1alpha1",
        "kind": "GatewayParameters",
        "metadata": {"name": "own"},
        "spec": spec,
    }
    found = parse(document)
    assert isinstance(found.resource, GatewayParameters), found.problems
    return found.resource.spec
