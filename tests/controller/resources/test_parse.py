"""Documents become typed objects; what is wrong is said with its place, its path and a remedy."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.resources import (
    KINDS,
    NO_TIME,
    ConfigMap,
    Gateway,
    GatewayClass,
    HTTPRoute,
    Namespace,
    Resource,
    Secret,
    Service,
    parse,
)
from controller.resources.registry import REGISTRY, api_versions
from tests.controller.resources.samples import (
    GATEWAY_API,
    Document,
    accepted,
    as_data,
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

SERVICE = object_of("Service", {"ports": [{"port": 80, "targetPort": "http"}]}, api_version="v1")


def test_defaults_of_the_api_are_applied() -> None:
    route = accepted(http_route(backendRefs=[{"name": "api", "port": 80}]))
    assert isinstance(route, HTTPRoute)
    assert route.spec.parent_refs[0].group == "gateway.networking.k8s.io"
    assert route.spec.parent_refs[0].kind == "Gateway"
    rule = route.spec.rules[0]
    assert [(match.path.type, match.path.value) for match in rule.matches] == [("PathPrefix", "/")]
    assert (rule.backend_refs[0].group, rule.backend_refs[0].kind, rule.backend_refs[0].weight) == ("", "Service", 1)
    door = accepted(gateway(listener()))
    assert isinstance(door, Gateway)
    assert door.spec.listeners[0].allowed_routes.namespaces.from_ == "Same"


def test_an_empty_list_of_matches_means_the_default_match() -> None:
    assert accepted(http_route(matches=[])) == accepted(http_route())


def test_a_route_without_rules_has_the_default_rule() -> None:
    route = accepted(object_of("HTTPRoute", {"parentRefs": [{"name": "edge"}]}))
    assert isinstance(route, HTTPRoute)
    assert len(route.spec.rules) == 1


def test_the_namespace_defaults_and_cluster_wide_kinds_have_none() -> None:
    document = http_route()
    del document["metadata"]["namespace"]
    assert accepted(document).metadata.namespace == "default"
    result = parse(object_of("GatewayClass", {"controllerName": "sekisho.dev/gateway-controller"}))
    assert isinstance(result.resource, GatewayClass)
    assert result.resource.metadata.namespace == ""
    assert [(problem.severity, problem.field) for problem in result.problems] == [("warning", "metadata.namespace")]


def test_null_is_absent() -> None:
    document = http_route(matches=None, name=None, timeouts=None)
    document["metadata"]["creationTimestamp"] = None
    document["status"] = None
    assert accepted(document) == accepted(http_route())


def test_what_an_api_server_adds_is_accepted_without_a_word() -> None:
    document = copy.deepcopy(SERVICE)
    document["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-31T12:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [],
    }
    document["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "None"}
    document["status"] = {"loadBalancer": {}}
    service = accepted(document)
    assert isinstance(service, Service)
    assert service.spec.cluster_ip == "10.0.0.1"
    assert service.metadata.generation == 3
    assert service.metadata.creation_timestamp == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    assert accepted(SERVICE).metadata.creation_timestamp == NO_TIME


@pytest.mark.parametrize("type_", KINDS, ids=lambda type_: type_.kind)
def test_every_served_version_is_read(type_: type[Resource]) -> None:
    samples: dict[str, Document] = {
        "GatewayClass": object_of("GatewayClass", {"controllerName": "sekisho.dev/gateway-controller"}),
        "Gateway": gateway(listener()),
        "ListenerSet": object_of("ListenerSet", {"parentRef": {"name": "edge"}, "listeners": [listener()]}),
        "AuthorizationPolicy": object_of("AuthorizationPolicy", {"action": "DENY", "rules": [{}]}),
        "RequestAuthentication": object_of("RequestAuthentication", {"jwtRules": [{"issuer": "https://a.example"}]}),
        "EgressPolicy": object_of("EgressPolicy", {"targetRefs": [{"name": "out"}]}),
        "TLSRoute": object_of("TLSRoute", {"hostnames": ["db.example.com"], "rules": [{}]}),
        "TCPRoute": object_of("TCPRoute", {"rules": [{}]}),
        "UDPRoute": object_of("UDPRoute", {"rules": [{}]}),
        "HTTPRoute": http_route(),
        "GRPCRoute": grpc_route(),
        "ReferenceGrant": object_of(
            "ReferenceGrant",
            {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "web"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        ),
        "BackendTLSPolicy": tls_policy(),
        "XBackend": external_backend(),
        "Service": SERVICE,
        "EndpointSlice": {**object_of("EndpointSlice"), "addressType": "IPv4"},
        "Secret": object_of("Secret"),
        "ConfigMap": object_of("ConfigMap"),
        "Namespace": object_of("Namespace"),
        "GatewayParameters": object_of("GatewayParameters", {"trustedHops": 1, "limits": {"drainTimeout": "5s"}}),
        "ExternalAuthorizationProvider": object_of(
            "ExternalAuthorizationProvider", {"service": {"name": "guard", "port": 80}}
        ),
        "CredentialInjection": object_of(
            "CredentialInjection",
            {"headers": [{"name": "authorization", "secretKeyRef": {"name": "api", "key": "token"}}]},
        ),
        "IngressClass": object_of("IngressClass", {"controller": "sekisho.dev/ingress-controller"}),
        "Ingress": object_of("Ingress", {"defaultBackend": {"service": {"name": "api", "port": {"name": "http"}}}}),
    }
    read = set()
    for version in api_versions(type_):
        document = {**samples[type_.kind], "apiVersion": version}
        if not type_.namespaced:
            document["metadata"] = {"name": "sample"}
        read.add(type(accepted(document)))
    assert read == {type_}


def test_every_error_of_an_object_is_reported_at_once() -> None:
    document = http_route(
        backendRefs=[{"name": "api", "port": "80", "weight": -3}],
        matches=[{"path": {"value": 8}}, "x"],
        timeouts={"request": "soon"},
    )
    document["metadata"] = {"name": "sample", "creationTimestamp": "yesterday"}
    assert sorted(error_fields(document)) == [
        "metadata.creationTimestamp",
        "spec.rules[0].backendRefs[0].port",
        "spec.rules[0].backendRefs[0].weight",
        "spec.rules[0].matches[0].path.value",
        "spec.rules[0].matches[1]",
        "spec.rules[0].timeouts.request",
    ]


def test_an_error_names_the_place_the_object_the_field_and_a_remedy() -> None:
    (problem,) = errors(http_route(backendRefs=[{"name": "api", "port": "80"}]))
    assert str(problem) == (
        "error: routes.yaml:7: HTTPRoute shop/sample: spec.rules[0].backendRefs[0].port: "
        "expected a whole number, got '80' (remove the quotes)"
    )


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("hostnames", "a.example.com", "write a list"),
        ("hostnames", {"a": 1}, 'write a list: start each item with "- "'),
        ("hostnames", [True], "put the value in quotes"),
        ("hostnames", ["UPPER.example.com"], "correct the value"),
        ("rules", [[]], 'write a mapping of fields: no "- " before them'),
        ("rules", [], "set it, or remove the field if it is optional"),
        ("hostnames", [f"h{index}.example.com" for index in range(17)], "make it shorter"),
    ],
)
def test_remedies_fit_the_mistake(field: str, value: object, remedy: str) -> None:
    (problem,) = errors(object_of("HTTPRoute", {field: value}))
    assert problem.remedy == remedy


def test_an_unknown_field_is_a_warning_and_the_object_is_used() -> None:
    document = http_route()
    document["spec"]["hostname"] = ["a.example.com"]
    result = parse(document)
    assert result.resource == accepted(http_route())
    (problem,) = result.problems
    assert (problem.severity, problem.field) == ("warning", "spec.hostname")
    assert problem.remedy == "did you mean hostnames?"


def test_required_fields_are_asked_for() -> None:
    assert error_fields(object_of("Gateway", {})) == ["spec.gatewayClassName", "spec.listeners"]
    assert error_fields({"apiVersion": GATEWAY_API, "kind": "HTTPRoute"}) == ["metadata", "spec"]
    assert error_fields({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {}, "spec": {}}) == [
        "metadata.name"
    ]


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a-", "a..b", "a\n", "x" * 254])
def test_names_are_dns_names(name: str) -> None:
    document = http_route()
    document["metadata"]["name"] = name
    assert error_fields(document) == ["metadata.name"]
    document["metadata"] = {"name": "sample", "namespace": name or "a.b"}
    assert error_fields(document) == ["metadata.namespace"]


def test_a_service_name_is_one_label() -> None:
    document = copy.deepcopy(SERVICE)
    document["metadata"]["name"] = "a.b"
    assert error_fields(document) == ["metadata.name"]


def test_unknown_values_of_enumerations_reach_translation() -> None:
    document = http_route(
        matches=[{"path": {"type": "Glob", "value": "*"}, "headers": [{"type": "Glob", "name": "a", "value": "b"}]}],
        filters=[{"type": "Telepathy"}],
    )
    route = accepted(document)
    assert isinstance(route, HTTPRoute)
    assert route.spec.rules[0].filters[0].type == "Telepathy"
    accepted(gateway(listener(protocol="QUIC", allowedRoutes={"namespaces": {"from": "Somewhere"}})))
    accepted(external_backend(protocol="GOPHER"))


def test_a_known_kind_of_another_version_is_an_error_that_names_the_versions() -> None:
    (problem,) = errors({**http_route(), "apiVersion": "gateway.networking.k8s.io/v1alpha2"})
    assert problem.remedy == "use gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1"


@pytest.mark.parametrize(
    ("kind", "message", "remedy"),
    [
        ("example.com/v1/HttpRoutes", "is unknown", "did you mean HTTPRoute? known kinds: AuthorizationPolicy, "),
        (f"{GATEWAY_API}/Teapot", "is unknown", "known kinds: AuthorizationPolicy, "),
        ("networking.istio.io/v1/VirtualService", "is not served yet", "write an HTTPRoute instead"),
    ],
)
def test_kinds_that_one_expects_to_be_served_and_are_not_are_a_warning(kind: str, message: str, remedy: str) -> None:
    api_version, _, kind = kind.rpartition("/")
    result = parse({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
    assert result.resource is None
    (problem,) = result.problems
    assert problem.severity == "warning"
    assert message in problem.message
    assert problem.remedy.startswith(remedy)
    assert problem.object == f"{kind} a"


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("example.com/v1", "Teapot")],
)
def test_kinds_that_are_none_of_a_gateway_s_business_are_a_notice(api_version: str, kind: str) -> None:
    result = parse({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}})
    assert result.resource is None
    assert [problem.severity for problem in result.problems] == ["notice"]


def test_a_problem_names_its_object_with_the_namespace_that_it_gets() -> None:
    metadata = {"name": "a"}
    (problem,) = parse({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": metadata, "spec": 1}).problems
    assert problem.object == "HTTPRoute default/a"
    (problem,) = parse({"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": metadata, "spec": 1}).problems
    assert problem.object == "GatewayClass a"


@pytest.mark.parametrize(
    "document", [[], "text", 3, None, True, {}, {"kind": "Secret"}, {"apiVersion": 1, "kind": "x"}]
)
def test_what_is_no_object_is_an_error(document: object) -> None:
    result = parse(document)
    assert result.resource is None
    assert [problem.severity for problem in result.problems] == ["error"]


def test_secrets_hold_decoded_values_and_merge_plain_text() -> None:
    document = object_of("Secret", api_version="v1") | {
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": "Y2Vy\ndA==\n", "tls.key": "b2xk"},
        "stringData": {"tls.key": "new"},
    }
    secret = accepted(document)
    assert isinstance(secret, Secret)
    assert secret.data == {"tls.crt": b"cert", "tls.key": b"new"}
    assert secret.string_data == {}


def test_secret_values_appear_in_no_text() -> None:
    document = object_of("Secret", api_version="v1") | {"data": {"password": "aHVudGVyMg=="}}
    secret = accepted(document)
    assert "hunter2" not in repr(secret)
    assert "hunter2" not in f"{secret}"
    assert "password" in repr(secret)
    for wrong in ("hunter2!", 31337):
        document["data"]["password"] = wrong
        for problem in errors(document):
            assert str(wrong) not in str(problem)
    document["data"] = {"password": "aHVudGVyMg=="}
    document["type"] = ["hunter2"]
    assert all("hunter2" not in str(problem) for problem in errors(document))


def test_config_maps_and_namespaces() -> None:
    settings = accepted(object_of("ConfigMap", api_version="v1") | {"data": {"a": "b"}, "binaryData": {"c": "ZA=="}})
    assert isinstance(settings, ConfigMap)
    assert (settings.data, settings.binary_data) == ({"a": "b"}, {"c": b"d"})
    namespace = accepted(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}, "spec": {}}
    )
    assert isinstance(namespace, Namespace)
    assert namespace.metadata.labels == {"team": "a"}


def test_findings_are_bounded() -> None:
    assert len(errors(http_route(matches=[{"path": {"value": index}} for index in range(64)]))) == 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("metadata", "name", "namespace", "labels", "spec", "rules", "matches", "path", "type", "value", "filters")
LIKELY = st.recursive(
    JSON, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5) | st.lists(inner, max_size=3)
)


@given(kind=st.sampled_from(sorted(REGISTRY)), fields=st.dictionaries(st.sampled_from(FIELDS), LIKELY))
def test_no_document_makes_parsing_fail(kind: tuple[str, str], fields: dict[str, Any]) -> None:
    document = {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "a"}, **fields}
    result = parse(document)
    assert (result.resource is None) == any(problem.severity == "error" for problem in result.problems)


@given(document=JSON)
def test_no_value_makes_parsing_fail(document: object) -> None:
    assert parse(document).resource is None


@given(text=st.text(alphabet="aB1+/=- \n", max_size=9))
def test_no_base64_makes_parsing_fail(text: str) -> None:
    document = object_of("Secret", api_version="v1") | {"data": {"key": text}, "unknown": True}
    result = parse(document)
    assert (result.resource is None) == any(problem.severity == "error" for problem in result.problems)


@given(fields=st.dictionaries(st.sampled_from(FIELDS), LIKELY))
def test_an_accepted_object_is_accepted_again_with_its_defaults_written_out(fields: dict[str, Any]) -> None:
    result = parse({**http_route(), "spec": fields})
    if result.resource is not None:
        assert parse({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", **as_data(result.resource)}).resource == (
            result.resource
        )
