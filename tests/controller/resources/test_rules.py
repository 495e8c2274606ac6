"""Rules between fields, as the definitions of the Gateway API enforce them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources import GRPCRoute
from tests.controller.resources.samples import (
    Document,
    accepted,
    error_fields,
    errors,
    external_backend,
    gateway,
    grpc_route,
    http_route,
    listener,
    object_of,
    tls_policy,
)

BACKEND = {"name": "api", "port": 80}
PREFIX = {"path": {"type": "PathPrefix", "value": "/a"}}
EXACT = {"path": {"type": "Exact", "value": "/a"}}
MODIFY = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example.com"}}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "b.example.com"}}
CORS = {"type": "CORS", "cors": {"allowOrigins": ["*"]}}
STRIP = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}


def route_with(**spec: object) -> Document:
    return object_of("HTTPRoute", spec)


def mirror(**fields: object) -> Document:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND, **fields}}


@pytest.mark.parametrize(
    "rule",
    [
        {"backendRefs": [BACKEND], "filters": [MODIFY, REWRITE, CORS]},
        {"filters": [REDIRECT]},
        {"matches": [PREFIX], "filters": [STRIP]},
        {"matches": [EXACT, PREFIX]},
        {"filters": [mirror(percent=10), mirror(fraction={"numerator": 1, "denominator": 1000}), mirror()]},
        {"timeouts": {"request": "0s", "backendRequest": "10s"}},
        {"timeouts": {"request": "10s", "backendRequest": "10s"}},
        {"retry": {"codes": [500, 503], "attempts": 2, "backoff": "10ms"}},
        {"matches": [{"path": {"type": "RegularExpression", "value": "a//b"}}]},
        {"backendRefs": [{"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "api"}]},
        {"sessionPersistence": {"cookieConfig": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"}},
        {
            "filters": [
                {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC", "backendRef": BACKEND, "grpc": {}}},
                {"type": "ExtensionRef", "extensionRef": {"group": "a.example.com", "kind": "Filter", "name": "x"}},
            ]
        },
    ],
)
def test_rules_of_an_http_route_that_hold(rule: dict[str, Any]) -> None:
    accepted(http_route(**rule))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"backendRefs": [{"name": "api"}]}, "backendRefs[0].port"),
        ({"backendRefs": [BACKEND], "filters": [REDIRECT]}, "backendRefs"),
        ({"filters": [REDIRECT, REWRITE]}, "filters"),
        ({"filters": [MODIFY, MODIFY]}, "filters"),
        ({"filters": [CORS, CORS]}, "filters"),
        ({"backendRefs": [{**BACKEND, "filters": [MODIFY, MODIFY]}]}, "backendRefs[0].filters"),
        ({"filters": [{**MODIFY, "cors": {}}]}, "filters[0].cors"),
        ({"filters": [{"type": "CORS"}]}, "filters[0].cors"),
        ({"filters": [{"type": "Telepathy", "cors": {}}]}, "filters[0].cors"),
        ({"matches": [EXACT], "filters": [STRIP]}, "filters"),
        ({"matches": [PREFIX, PREFIX], "filters": [STRIP]}, "filters"),
        ({"matches": [EXACT], "backendRefs": [{**BACKEND, "filters": [STRIP]}]}, "backendRefs[0].filters"),
        ({"filters": [mirror(percent=1, fraction={"numerator": 1})]}, "filters[0].requestMirror"),
        ({"filters": [mirror(percent=101)]}, "filters[0].requestMirror.percent"),
        ({"filters": [mirror(fraction={"numerator": 101})]}, "filters[0].requestMirror.fraction.numerator"),
        ({"timeouts": {"request": "1s", "backendRequest": "2s"}}, "timeouts.backendRequest"),
        ({"retry": {"codes": [200]}}, "retry.codes[0]"),
        ({"retry": {"codes": [500, 500]}}, "retry.codes[1]"),
        ({"retry": {"attempts": 0}}, "retry.attempts"),
        ({"sessionPersistence": {"cookieConfig": {"lifetimeType": "Permanent"}}}, "sessionPersistence.absoluteTimeout"),
        ({"sessionPersistence": {"type": "Header", "cookieConfig": {}}}, "sessionPersistence.cookieConfig"),
        (
            {"filters": [{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.example.com"]}}]},
            "filters[0].cors.allowOrigins",
        ),
        (
            {"filters": [{"type": "CORS", "cors": {"allowOrigins": ["a.example.com"]}}]},
            "filters[0].cors.allowOrigins[0]",
        ),
        (
            {"filters": [{"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": BACKEND}}]},
            "filters[0].externalAuth.http",
        ),
        (
            {"filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath"}}}]},
            "filters[0].urlRewrite.path.replaceFullPath",
        ),
        (
            {"matches": [{"headers": [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]}]},
            "matches[0].headers[1]",
        ),
        ({"matches": [{"headers": [{"name": "a b", "value": "c"}]}]}, "matches[0].headers[0].name"),
        ({"matches": [{"headers": [{"name": "a", "value": "é"}]}]}, "matches[0].headers[0].value"),
        (
            {"filters": [{**MODIFY, "requestHeaderModifier": {"remove": ["a", "a"]}}]},
            "filters[0].requestHeaderModifier.remove[1]",
        ),
    ],
)
def test_rules_of_an_http_route_that_are_broken(rule: dict[str, Any], field: str) -> None:
    assert error_fields(http_route(**rule)) == [f"spec.rules[0].{field}"]


@pytest.mark.parametrize(
    "path", ["", "a", "/a//b", "/a/./b", "/a/../b", "/a%2fb", "/a%2Fb", "/a#b", "/a/..", "/a/.", "/a b", "/é", "/a?b"]
)
@pytest.mark.parametrize("type_", ["Exact", "PathPrefix"])
def test_a_literal_path_is_absolute_and_normal(type_: str, path: str) -> None:
    document = http_route(matches=[{"path": {"type": type_, "value": path}}])
    assert error_fields(document) == ["spec.rules[0].matches[0].path.value"]


@pytest.mark.parametrize(
    ("parents", "fields"),
    [
        ([{"name": "a"}, {"name": "b"}], []),
        ([{"name": "a", "sectionName": "x"}, {"name": "a", "sectionName": "y"}], []),
        ([{"name": "a", "port": 80}, {"name": "a", "port": 81}], []),
        ([{"name": "a", "namespace": "x"}, {"name": "a"}], []),
        ([{"name": "a"}, {"name": "a"}], ["spec.parentRefs[1]"]),
        ([{"name": "a"}, {"name": "a", "sectionName": "x"}], ["spec.parentRefs[1]"]),
        ([{"name": "a", "port": 80}, {"name": "a", "sectionName": "x"}], ["spec.parentRefs[1]"]),
    ],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_parents_are_distinct(kind: str, parents: list[Document], fields: list[str]) -> None:
    assert error_fields(object_of(kind, {"parentRefs": parents})) == fields


def test_rules_have_distinct_names_and_a_bounded_number_of_matches() -> None:
    assert error_fields(route_with(rules=[{"name": "a"}, {"name": "b"}, {}])) == []
    assert error_fields(route_with(rules=[{"name": "a"}, {"name": "a"}])) == ["spec.rules[1].name"]
    assert error_fields(route_with(rules=[{"matches": [PREFIX] * 64}] * 2)) == []
    assert error_fields(route_with(rules=[{"matches": [PREFIX] * 64}] * 2 + [{}])) == ["spec.rules"]


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ({"service": "shop.v1.Orders", "method": "Get"}, None),
        ({"service": ".shop.Orders"}, None),
        ({"type": "RegularExpression", "service": "shop.*"}, None),
        ({}, "method"),
        ({"service": "shop/Orders"}, "method.service"),
        ({"method": "Get-It"}, "method.method"),
    ],
)
def test_grpc_methods(method: Document, field: str | None) -> None:
    document = grpc_route(matches=[{"method": method}])
    assert error_fields(document) == ([] if field is None else [f"spec.rules[0].matches[0].{field}"])


def test_a_grpc_rule_without_matches_stays_without() -> None:
    route = accepted(grpc_route(backendRefs=[BACKEND]))
    assert isinstance(route, GRPCRoute)
    assert route.spec.rules[0].matches == ()


CERTIFICATE = {"certificateRefs": [{"name": "web"}]}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"protocol": "HTTPS", "port": 443, "tls": CERTIFICATE}, None),
        ({"protocol": "HTTPS", "port": 443}, None),
        ({"tls": CERTIFICATE}, "tls"),
        ({"protocol": "HTTPS", "tls": {}}, "tls.certificateRefs"),
        ({"protocol": "HTTPS", "tls": {"options": {"example.com/x": "y"}}}, None),
        ({"protocol": "HTTPS", "tls": {"mode": "Passthrough"}}, "tls.mode"),
        ({"protocol": "TLS"}, "tls"),
        ({"protocol": "TLS", "tls": {"mode": "Passthrough"}}, None),
        ({"protocol": "TCP", "hostname": "a.example.com"}, "hostname"),
        ({"hostname": "*.example.com"}, None),
        ({"hostname": "a.*.example.com"}, "hostname"),
        ({"hostname": ""}, "hostname"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"name": "Web"}, "name"),
    ],
)
def test_listeners(fields: Document, field: str | None) -> None:
    assert error_fields(gateway(listener(**fields))) == ([] if field is None else [f"spec.listeners[0].{field}"])


def test_listeners_and_addresses_are_distinct() -> None:
    assert error_fields(gateway(listener(), listener())) == ["spec.listeners[1]"]
    assert error_fields(gateway(listener(), listener(name="b"))) == ["spec.listeners[1]"]
    assert error_fields(gateway(listener(), listener(name="b", hostname="a.example.com"))) == []
    assert error_fields(gateway(listener(), listener(name="b", port=81))) == []
    address = {"value": "127.0.0.1"}
    assert error_fields(gateway(listener(), addresses=[address, address])) == ["spec.addresses[1]"]
    assert error_fields(gateway(listener(), addresses=[{}, {}])) == []
    assert error_fields(gateway())[:1] == ["spec.listeners"]


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ({"value": "10.0.0.1"}, True),
        ({"value": "::1"}, True),
        ({"value": "[::1]"}, False),
        ({"value": "a.example.com"}, False),
        ({"type": "Hostname", "value": "a.example.com"}, True),
        ({"type": "Hostname", "value": "A"}, False),
        ({"type": "NamedAddress", "value": "Anything At All"}, True),
    ],
)
def test_addresses(address: Document, *, fits: bool) -> None:
    assert error_fields(gateway(listener(), addresses=[address])) == ([] if fits else ["spec.addresses[0].value"])


def test_metadata_for_infrastructure() -> None:
    good = {"labels": {"example.com/team": "a"}, "annotations": {"note": "b c"}}
    assert error_fields(gateway(listener(), infrastructure=good)) == []
    assert error_fields(gateway(listener(), infrastructure={"labels": {"/team": "a"}})) == [
        "spec.infrastructure.labels"
    ]
    bad_value = gateway(listener(), infrastructure={"labels": {"team": "a b"}})
    assert error_fields(bad_value) == ["spec.infrastructure.labels['team']"]


AUTHORITY = {"group": "", "kind": "ConfigMap", "name": "ca"}


@pytest.mark.parametrize(
    ("validation", "field"),
    [
        ({}, None),
        ({"wellKnownCACertificates": None, "caCertificateRefs": [AUTHORITY]}, None),
        ({"caCertificateRefs": [AUTHORITY]}, ""),
        ({"wellKnownCACertificates": None}, ""),
        ({"wellKnownCACertificates": "example.com/corporate"}, None),
        ({"wellKnownCACertificates": "Corporate"}, ".wellKnownCACertificates"),
        ({"hostname": "*.example.com"}, ".hostname"),
        ({"subjectAltNames": [{"type": "URI", "uri": "spiffe://a/ns/b/sa/c"}]}, None),
        ({"subjectAltNames": [{"type": "URI", "uri": "spiffe"}]}, ".subjectAltNames[0].uri"),
        (
            {"subjectAltNames": [{"type": "URI", "hostname": "a.example.com", "uri": "a://b"}]},
            ".subjectAltNames[0].hostname",
        ),
        ({"subjectAltNames": [{"type": "Hostname"}]}, ".subjectAltNames[0].hostname"),
    ],
)
@pytest.mark.parametrize("kind", ["BackendTLSPolicy", "XBackend"])
def test_validation_of_a_backend(kind: str, validation: Document, field: str | None) -> None:
    policy = tls_policy(**validation)
    where = "spec.validation"
    if kind == "XBackend":
        policy = external_backend(tls={"mode": "ServerOnly", "validation": policy["spec"]["validation"]})
        where = "spec.tls.validation"
    assert error_fields(policy) == ([] if field is None else [where + field])


def test_policy_targets_are_distinct() -> None:
    document = tls_policy()
    target = document["spec"]["targetRefs"][0]
    for targets, fields in (
        ([target, {**target, "name": "b"}], []),
        ([{**target, "sectionName": "a"}, {**target, "sectionName": "b"}], []),
        ([target, target], ["spec.targetRefs[1]"]),
        ([target, {**target, "sectionName": "b"}], ["spec.targetRefs[1]"]),
    ):
        document["spec"]["targetRefs"] = targets
        assert error_fields(document) == fields


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"protocol": "H2C", "port": {"name": "web", "port": 443}}, None),
        ({"externalHostname": None}, "spec.externalHostname"),
        ({"externalHostname": {"hostname": "api.shop.svc.cluster.local"}}, "spec.externalHostname.hostname"),
        ({"externalHostname": {"hostname": "*.example.com"}}, "spec.externalHostname.hostname"),
        ({"port": {"port": 443, "name": "Web"}}, "spec.port.name"),
        ({"type": "Other"}, "spec.externalHostname"),
        ({"tls": {"mode": "ClientAndServer"}}, "spec.tls.clientCertificateRef"),
        ({"tls": {"mode": "ServerOnly", "clientCertificateRef": {"name": "a"}}}, "spec.tls.clientCertificateRef"),
        ({"tls": {"mode": "None"}}, None),
    ],
)
def test_external_backends(spec: Document, field: str | None) -> None:
    assert error_fields(external_backend(**spec)) == ([] if field is None else [field])


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"type": "ExternalName", "externalName": "localhost"}, None),
        ({"type": "ExternalName"}, "spec.externalName"),
        ({"ports": [{"port": 80}]}, None),
        ({"ports": [{"port": 80}, {"port": 81, "name": "b"}]}, "spec.ports[0].name"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, "spec.ports[1].name"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}, "spec.ports[1]"),
        ({"ports": [{"port": 80, "targetPort": [80]}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": "http"}]}, None),
    ],
)
def test_services(spec: Document, field: str | None) -> None:
    assert error_fields(object_of("Service", spec, api_version="v1")) == ([] if field is None else [field])


@pytest.mark.parametrize(
    ("address_type", "address", "fits"),
    [
        ("IPv4", "10.0.0.1", True),
        ("IPv4", "::1", False),
        ("IPv6", "::1", True),
        ("FQDN", "localhost", True),
        ("IPv4", "localhost", False),
    ],
)
def test_endpoint_addresses_are_of_the_type_of_their_slice(address_type: str, address: str, *, fits: bool) -> None:
    document = object_of("EndpointSlice", api_version="discovery.k8s.io/v1") | {
        "addressType": address_type,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "hints": {"forZones": []}}],
        "ports": [{"port": 80}],
    }
    assert error_fields(document) == ([] if fits else ["endpoints[0].addresses[0]"])


def test_selectors() -> None:
    def with_expression(**expression: object) -> Document:
        namespaces = {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", **expression}]}}
        return gateway(listener(allowedRoutes={"namespaces": namespaces}))

    where = "spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].values"
    assert error_fields(with_expression(operator="In", values=["a"])) == []
    assert error_fields(with_expression(operator="Exists")) == []
    assert error_fields(with_expression(operator="In")) == [where]
    assert error_fields(with_expression(operator="Exists", values=["a"])) == [where]


def test_gateway_parameters_are_bounded() -> None:
    def parameters(**limits: object) -> Document:
        return object_of("GatewayParameters", {"limits": limits}, api_version="sekisho.dev/v1alpha1")

    assert error_fields(parameters(maxConnections=10, requestHeadTimeout="0s")) == []
    assert error_fields(parameters(maxConnections=0)) == ["spec.limits.maxConnections"]
    (problem,) = errors(parameters(requestHeadTimeout=5))
    assert problem.remedy == "put the value in quotes"
