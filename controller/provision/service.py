"""The Service of a Gateway: where clients find it.

Owns its ports, its address and how load balancers treat it. Pure.
"""

from __future__ import annotations

from typing import Any

from controller.translate import Infrastructure, Port


def service_spec(infrastructure: Infrastructure) -> dict[str, Any]:
    """A port that two protocols share is there twice; names depend on number and protocol alone."""
    parameters = infrastructure.parameters.service
    type_ = parameters.type or "LoadBalancer"
    spec: dict[str, Any] = {
        "type": type_,
        "selector": dict(infrastructure.selector),
        "ports": [_port(port) for port in infrastructure.ports],
    }
    if type_ != "ClusterIP" and parameters.external_traffic_policy:
        spec["externalTrafficPolicy"] = parameters.external_traffic_policy
    if type_ == "LoadBalancer":
        if infrastructure.address:
            spec["loadBalancerIP"] = infrastructure.address
        if parameters.load_balancer_class:
            spec["loadBalancerClass"] = parameters.load_balancer_class
        if parameters.load_balancer_source_ranges:
            spec["loadBalancerSourceRanges"] = list(parameters.load_balancer_source_ranges)
    return spec


def _port(port: Port) -> dict[str, Any]:
    described = {
        "name": f"{port.transport.lower()}-{port.number}",
        "protocol": port.transport,
        "port": port.number,
        "targetPort": port.number,
    }
    return {**described, "appProtocol": port.app_protocol} if port.app_protocol else described
