"""Documents that tests start from, one valid object of each kind."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from controller.resources import Problem, Resource, parse

GATEWAY_API = "gateway.networking.k8s.io/v1"
Document = dict[str, Any]


def object_of(kind: str, spec: Document | None = None, *, api_version: str = GATEWAY_API) -> Document:
    document: Document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "sample", "namespace": "shop"}}
    return document if spec is None else {**document, "spec": spec}


def http_route(**rule: object) -> Document:
    return object_of("HTTPRoute", {"parentRefs": [{"name": "edge"}], "rules": [rule]})


def grpc_route(**rule: object) -> Document:
    return object_of("GRPCRoute", {"parentRefs": [{"name": "edge"}], "rules": [rule]})


def gateway(*listeners: Document, **spec: object) -> Document:
    return object_of("Gateway", {"gatewayClassName": "sekisho", "listeners": list(listeners), **spec})


def listener(**fields: object) -> Document:
    return {"name": "web", "port": 80, "protocol": "HTTP", **fields}


def tls_policy(**validation: object) -> Document:
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": "api"}],
        "validation": {"hostname": "api.example.com", "wellKnownCACertificates": "System", **validation},
    }
    return object_of("BackendTLSPolicy", spec)


def external_backend(**spec: object) -> Document:
    document = object_of(
        "XBackend",
        {
            "type": "ExternalHostname",
            "port": {"port": 443},
            "externalHostname": {"hostname": "api.example.com"},
            **spec,
        },
        api_version="gateway.networking.x-k8s.io/v1alpha1",
    )
    return copy.deepcopy(document)


def accepted(document: Document) -> Resource:
    """The object, which must be without a single finding."""
    result = parse(document)
    assert result.problems == ()
    assert result.resource is not None
    return result.resource


def errors(document: Document) -> list[Problem]:
    """The errors, which must have kept the object from being made."""
    result = parse(document, place="routes.yaml:7")
    found = [problem for problem in result.problems if problem.severity == "error"]
    assert (result.resource is None) == bool(found)
    return found


def error_fields(document: Document) -> list[str]:
    return [problem.field for problem in errors(document)]


def as_data(resource: Resource) -> Document:
    """The object as plain data, defaults included."""
    data: Document = msgspec.to_builtins(resource)
    return data
