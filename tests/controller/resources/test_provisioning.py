"""What GatewayParameters say of pods and Services, and the addresses that Services report."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources import Service, parse
from controller.resources.gateway_parameters import GatewayParameters
from controller.resources.parse import ParseResult
from controller.resources.service import LoadBalancerIngress


def read(spec: dict[str, Any]) -> ParseResult:
    metadata = {"name": "own"}
    return parse(
        {"apiVersion": "sekisho.dev/v1alpha1", "kind": "GatewayParameters", "metadata": metadata, "spec": spec}
    )


def service(status: object) -> ParseResult:
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "status": status}
    return parse({**document, "spec": {"ports": [{"port": 80}]}})


def test_parts_of_pods_are_handed_on_as_written() -> None:
    affinity = {"nodeAffinity": {"preferred": [{"weight": 1}]}}
    env = {"name": "TZ", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    found = read({"deployment": {"affinity": affinity, "env": [env]}}).resource
    assert isinstance(found, GatewayParameters)
    assert found.spec.deployment.affinity == affinity
    assert found.spec.deployment.env == (env,)


def test_quantities_are_numbers_or_text() -> None:
    resources = {"requests": {"cpu": 0.5, "memory": "1Gi"}, "limits": {"cpu": 2}}
    found = read({"deployment": {"resources": resources, "unheard": 1}})
    assert isinstance(found.resource, GatewayParameters)
    assert found.resource.spec.deployment.resources is not None
    assert found.resource.spec.deployment.resources.requests == {"cpu": 0.5, "memory": "1Gi"}
    assert [problem.severity for problem in found.problems] == ["warning"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"deployment": {"replicas": -1}}, "spec.deployment.replicas"),
        ({"deployment": {"terminationGracePeriodSeconds": 5}}, "spec.deployment.terminationGracePeriodSeconds"),
        ({"deployment": {"env": [{"value": "x"}]}}, "spec.deployment.env[0]"),
        ({"deployment": {"env": [{"name": "A"}, {"name": "A"}]}}, "spec.deployment.env[1]"),
        ({"deployment": {"tolerations": ["all"]}}, "spec.deployment.tolerations[0]"),
        ({"service": {"type": "ExternalName"}}, "spec.service.type"),
        ({"service": {"externalTrafficPolicy": "Both"}}, "spec.service.externalTrafficPolicy"),
        ({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "spec.podDisruptionBudget"),
        ({"podDisruptionBudget": {"minAvailable": "half"}}, "spec.podDisruptionBudget.minAvailable"),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, "spec.podDisruptionBudget.maxUnavailable"),
        ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.autoscaling.minReplicas"),
        ({"autoscaling": {"minReplicas": 3}}, "spec.autoscaling.maxReplicas"),
    ],
)
def test_what_cannot_be_is_named(spec: dict[str, Any], field: str) -> None:
    found = read(spec)
    assert found.resource is None
    assert [problem.field for problem in found.problems] == [field]


def test_a_service_keeps_the_addresses_of_its_load_balancer() -> None:
    ingress = [{"ip": "10.0.0.1", "ipMode": "VIP"}, {"hostname": "lb.example.com", "ports": []}]
    found = service({"loadBalancer": {"ingress": ingress}, "conditions": []})
    assert isinstance(found.resource, Service)
    expected = (LoadBalancerIngress(ip="10.0.0.1"), LoadBalancerIngress(hostname="lb.example.com"))
    assert found.resource.status.load_balancer.ingress == expected
    assert found.problems == ()


@pytest.mark.parametrize(
    "status", [None, "up", {}, {"loadBalancer": None}, {"loadBalancer": {"ingress": [1, {"ip": 7}, {}]}}]
)
def test_an_odd_status_is_no_mistake_of_a_person(status: object) -> None:
    found = service(status)
    assert isinstance(found.resource, Service)
    assert found.problems == ()
    assert not any(one.ip or one.hostname for one in found.resource.status.load_balancer.ingress)
