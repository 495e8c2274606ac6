"""What annotations and paths of Ingresses come to, and whose addresses an Ingress has."""

from __future__ import annotations

import re

import pytest
import yaml

from controller.resources import HTTPIngressPath, IngressBackend, Resource, parse
from controller.store import Key, Snapshot
from controller.translate import IngressStatus, Options, translate
from controller.translate.ingress_annotations import PREFIX, Settings, read_settings
from controller.translate.ingress_attachment import host_predicates
from controller.translate.ingress_canary import splits
from controller.translate.ingress_paths import Path, translate_path
from gateway.routing_table import model

CLUSTER = """
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sekisho},
 spec: {controllerName: sekisho.dev/gateway-controller}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: web},
 spec: {controller: sekisho.dev/ingress-controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway,
 metadata: {name: sekisho-ingress, namespace: sekisho-system, uid: one},
 spec: {gatewayClassName: sekisho, listeners: [{name: http, protocol: HTTP, port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop, namespace: shop},
 spec: {ingressClassName: web, defaultBackend: {service: {name: shop, port: {number: 80}}}}}
---
apiVersion: v1
kind: Service
metadata:
  name: sekisho-ingress-sekisho
  namespace: sekisho-system
  labels:
    gateway.networking.k8s.io/gateway-name: sekisho-ingress
    gateway.networking.k8s.io/gateway-class-name: sekisho
    app.kubernetes.io/name: sekisho-gateway
    app.kubernetes.io/managed-by: sekisho-controller
spec: {type: LoadBalancer, clusterIP: 10.96.0.7, ports: [{name: tcp-80, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.7}, {hostname: lb.example.net}]}}
"""


def settings(**texts: str) -> Settings:
    return read_settings({PREFIX + name.replace("_", "-"): text for name, text in texts.items()})


def translated(path: str, kind: str = "Prefix", **texts: str) -> Path:
    source = HTTPIngressPath(path=path, path_type=kind, backend=IngressBackend())
    return translate_path(source, settings(**texts))


def test_an_ingress_has_the_addresses_that_the_load_balancer_of_its_gateway_gives() -> None:
    results = [parse(document) for document in yaml.safe_load_all(CLUSTER)]
    resources: list[Resource] = [result.resource for result in results if result.resource is not None]
    options = Options(
        regex_problem=lambda _: None, merge=False, provision=True, address="0.0.0.0", implicit_class=False
    )
    status = translate(Snapshot(resources), options).statuses[Key("Ingress", "shop", "shop")]
    assert isinstance(status, IngressStatus)
    assert [one.ip or one.hostname for one in status.load_balancer.ingress] == ["203.0.113.7", "lb.example.net"]


@pytest.mark.parametrize(
    ("path", "target", "prefix", "replacement"),
    [
        ("/app(/|$)(.*)", "/$2", "/app", "/"),
        ("/app(/|$)(.*)", "/in/$2", "/app", "/in/"),
        ("/a/b.c(/|$)(.*)$", "/$2", "/a/b.c", "/"),
        ("/api/(.*)", "/$1", "/api", "/"),
        ("/api/?(.*)", "/v1/$1", "/api", "/v1/"),
        ("/(.*)", "/in/$1", "/", "/in/"),
    ],
)
def test_captures_of_what_follows_a_prefix_are_a_prefix_rewrite(
    path: str, target: str, prefix: str, replacement: str
) -> None:
    found = translated(path, "ImplementationSpecific", rewrite_target=target, use_regex="true")
    assert (found.type, found.value) == ("PathPrefix", prefix)
    assert found.rewrite == model.PathModifier(type="ReplacePrefixMatch", value=replacement)
    assert not found.refused


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/app(/|$)(.*)", "/$1"),
        ("/app(/|$)(.*)", "$2"),
        ("/(a|b)(/|$)(.*)", "/$3"),
        ("/api/(.*)", "/$1/x"),
        ("/plain", "/$1"),
        ("/plain", "new"),
        ("/plain", "/new?a=b"),
    ],
)
def test_a_rewrite_that_cannot_be_honoured_is_refused(path: str, target: str) -> None:
    assert "rewrite-target" in translated(path, rewrite_target=target).refused


def test_an_exact_path_stays_exact_with_use_regex() -> None:
    assert translated("/a", "Exact", use_regex="true").type == "Exact"
    assert translated("/a.*", "Exact", use_regex="true").type == "Exact"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("PathPrefix", "/")),
        ("/v1.0", ("PathPrefix", "/v1.0")),
        ("/(.*)", ("PathPrefix", "/")),
        ("/app(/|$)(.*)", ("PathPrefix", "/app")),
        ("/v[0-9]+", ("RegularExpression", "(?i:/v[0-9]+).*")),
        ("/a(b|c)/(.*)", ("RegularExpression", "(?i:/a(b|c)/(.*)).*")),
    ],
)
def test_a_pattern_that_says_no_more_than_a_prefix_is_one(path: str, expected: tuple[str, str]) -> None:
    found = translated(path, use_regex="true")
    assert (found.type, found.value) == expected
    assert not found.refused


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://new.example.com", ("https", "new.example.com", "/")),
        ("http://new.example.com:8080/a", ("http", "new.example.com", "/a")),
        ("/a", ("", "", "/a")),
        ("https://new.example.com$request_uri", ("https", "new.example.com", None)),
    ],
)
def test_redirects_that_can_be_honoured(url: str, expected: tuple[str, str, str | None]) -> None:
    redirect = settings(permanent_redirect=url).redirect
    assert redirect is not None
    assert (redirect.scheme, redirect.hostname, redirect.path.value if redirect.path else None) == expected


@pytest.mark.parametrize(
    "url", ["ftp://a.test/", "https://", "//a.test/x", "https://a.test/?b", "https://a.test/$host", "https://[", "a b"]
)
def test_redirects_that_cannot_are_named(url: str) -> None:
    found = settings(permanent_redirect=url)
    assert found.redirect is None
    assert any("permanent-redirect has no effect" in notice for notice in found.notices)


def test_every_annotation_is_taken_or_named_and_those_of_others_are_left_alone() -> None:
    texts = {PREFIX + "auth-url": "https://a", PREFIX + "limit-rps": "5", PREFIX + "use-regex": "true", "a/b": "c"}
    found = read_settings(texts)
    assert found.guards == (f"the annotation {PREFIX}auth-url is not supported in this release",)
    assert found.notices == (f"the annotation {PREFIX}limit-rps has no effect: it is not supported in this release",)


@pytest.mark.parametrize(
    ("cookies", "decision"),
    [
        ("canary=always", True),
        ("a=b; canary=always; c=d", True),
        ("a=b,canary=always", True),
        ("canary=never", False),
        ("xcanary=always", None),
        ("canary=alwaysnot", None),
        ("a=canary=always", None),
    ],
)
def test_a_cookie_decides_by_its_whole_name_and_value(cookies: str, decision: bool | None) -> None:
    canary = settings(canary="true", canary_by_cookie="canary").canary
    assert canary is not None
    found = [split.to_canary for split in splits(canary) if re.fullmatch(split.header.value, cookies)]
    assert found == ([] if decision is None else [decision])


@pytest.mark.parametrize(
    ("host", "takes"),
    [("a.example.com", True), ("a.b.example.com", False), (".example.com", False), ("example.com", False)],
)
def test_a_wildcard_is_one_label(host: str, takes: bool) -> None:
    (predicate,) = host_predicates("*.example.com")
    assert bool(re.fullmatch(predicate.value, host)) is takes
