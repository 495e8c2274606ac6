"""Ingresses as they come, change and go, with their classes, Gateways and Secrets: always as translated afresh.

The objects are few and want the same few hosts, paths and certificates, and annotations hold whatever
people write. Every table is one that the gateway takes.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate import Options, Translation, Translator, translate
from controller.translate.ingress_annotations import read_settings
from gateway.routing_table.model import Resources
from gateway.routing_table.validate import dangling, problem
from tests.support.ingress import CONTROLLER
from tests.translation import golden

HOSTS = ("", "a.example.com", "b.example.com", "*.example.com", "*.org")
PREFIX = "nginx.ingress.kubernetes.io/"
SECRETS = tuple(
    resource
    for name in ("tls-wildcard", "tls-secret-missing")
    for resource in golden.read(f"ingress-{name}").resources
    if type(resource).kind == "Secret"
)


def _object(api_version: str, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> Resource:
    return golden.resource_of(
        {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    )


def _class(name: str, gateway: str | None, is_default: bool, ours: bool) -> Resource:
    spec: dict[str, Any] = {"controller": CONTROLLER if ours else "example.com/other"}
    if gateway:
        spec["parameters"] = {
            "apiGroup": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "scope": "Namespace",
            "namespace": "default",
            "name": gateway,
        }
    annotations = {"ingressclass.kubernetes.io/is-default-class": str(is_default).lower()}
    return _object("networking.k8s.io/v1", "IngressClass", name, spec, annotations=annotations)


def _gateway(name: str, namespace: str, ports: tuple[tuple[str, int, str], ...]) -> Resource:
    listeners = [
        {
            "name": f"{protocol.lower()}-{index}",
            "protocol": protocol,
            "port": port,
            **({"hostname": host} if host else {}),
            **({"tls": {"options": {"sekisho.dev/certificates": "Ingress"}}} if protocol == "HTTPS" else {}),
        }
        for index, (protocol, port, host) in enumerate(ports)
    ]
    spec = {"gatewayClassName": "sekisho", "listeners": listeners}
    return _object("gateway.networking.k8s.io/v1", "Gateway", name, spec, namespace=namespace)


def _ingress(
    name: str,
    class_name: str | None,
    month: int,
    paths: list[tuple[str, str, str, str]],
    tls: dict[str, str],
    **extra: Any,
) -> Resource:
    spec: dict[str, Any] = {
        "rules": [
            {
                **({"host": host} if host else {}),
                "http": {
                    "paths": [
                        {
                            "path": path,
                            "pathType": kind,
                            "backend": {"service": {"name": service, "port": {"number": 8080}}},
                        }
                    ]
                },
            }
            for host, path, kind, service in paths
        ],
        "tls": [{"hosts": [host] if host else [], "secretName": secret} for host, secret in tls.items()],
    }
    if class_name:
        spec["ingressClassName"] = class_name
    if extra.get("default"):
        spec["defaultBackend"] = {"service": {"name": "shop", "port": {"name": "http"}}}
    annotations = {PREFIX + key: value for key, value in extra.get("annotations", {}).items()}
    created = f"2026-{month:02}-01T00:00:00Z"
    return _object("networking.k8s.io/v1", "Ingress", name, spec, annotations=annotations, creationTimestamp=created)


classes = st.builds(
    _class, st.sampled_from(("sekisho", "web")), st.sampled_from((None, "edge", "gone")), st.booleans(), st.booleans()
)
PORTS = (("HTTP", 80, ""), ("HTTP", 80, "a.example.com"), ("HTTPS", 443, ""), ("HTTPS", 443, "b.example.com"))
gateways = st.builds(
    lambda names, ports: _gateway(names[1], names[0], tuple(ports)),
    st.sampled_from((("default", "edge"), ("sekisho-system", "sekisho-ingress"))),
    st.lists(st.sampled_from(PORTS), min_size=1, max_size=3, unique=True),
)
ANNOTATIONS: dict[str, st.SearchStrategy[str]] = {
    "rewrite-target": st.sampled_from(("/", "/new", "/$1", "/in/$2", "x", "/a?b")),
    "use-regex": st.sampled_from(("true", "false", "perhaps")),
    "ssl-redirect": st.just("true"),
    "force-ssl-redirect": st.just("true"),
    "permanent-redirect": st.sampled_from(
        ("https://a.test/x", "/y", "https://a.test:8443$request_uri", "ftp://a", "http://[")
    ),
    "app-root": st.sampled_from(("/start", "start")),
    "canary": st.just("true"),
    "canary-weight": st.sampled_from(("0", "30", "100", "-1", "many")),
    "canary-by-header": st.sampled_from(("X-Canary", "two words")),
    "canary-by-cookie": st.just("canary"),
    "enable-cors": st.just("true"),
    "cors-allow-origin": st.sampled_from(("*", "https://*.a.test, b", "https://a.test:99999")),
    "backend-protocol": st.sampled_from(("GRPC", "HTTPS", "FCGI")),
    "server-alias": st.sampled_from(("b.example.com", "A.example.com, ~x")),
    "auth-url": st.just("https://auth.test"),
    "limit-rps": st.just("5"),
}
extras = st.fixed_dictionaries({}, optional=ANNOTATIONS)
ingresses = st.builds(
    lambda name, class_name, month, paths, tls, extra, default: _ingress(
        name, class_name, month, paths, tls, annotations=extra, default=default
    ),
    st.sampled_from(("ant", "bee", "cat")),
    st.sampled_from((None, "sekisho", "web")),
    st.integers(1, 2),
    st.lists(
        st.tuples(
            st.sampled_from(HOSTS),
            st.sampled_from(("/", "/a", "/a/", "/a(/|$)(.*)", "/a(b")),
            st.sampled_from(("Exact", "Prefix", "ImplementationSpecific", "Regex")),
            st.sampled_from(("shop", "gone")),
        ),
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(HOSTS), st.sampled_from(("shop", "wildcard", "broken", "gone")), max_size=2),
    extras,
    st.booleans(),
)
SHOP = tuple(r for r in golden.read("ingress-plain").resources if type(r).kind != "Ingress")
everything = st.one_of(ingresses, ingresses, ingresses, classes, gateways, st.sampled_from((*SECRETS, *SHOP)))
names = st.sampled_from(
    (
        *(Key("Ingress", "default", name) for name in ("ant", "bee", "cat")),
        *(Key("IngressClass", "", name) for name in ("sekisho", "web")),
        Key("Gateway", "default", "edge"),
        Key("Gateway", "sekisho-system", "sekisho-ingress"),
        *(Key.of(resource) for resource in (*SECRETS, *SHOP)),
    )
)
options = st.builds(
    Options, regex_problem=st.just(golden.regex_problem), merge=st.booleans(), implicit_class=st.booleans()
)


def _check(translation: Translation) -> None:
    for table in translation.tables.values():
        for field in Resources.__struct_fields__:
            for resource in getattr(table, field):
                assert problem(resource) is None, resource
        assert not dangling(table)


@given(
    options, st.lists(st.tuples(st.lists(everything, max_size=3), st.lists(names, max_size=2)), min_size=2, max_size=7)
)
@settings(max_examples=300)
def test_ingresses_change_as_in_a_fresh_translation(
    settings_: Options, story: list[tuple[list[Resource], list[Key]]]
) -> None:
    translator, snapshot = Translator(settings_), Snapshot()
    for put, gone in [([*SHOP, *SECRETS], []), *story]:
        changes: dict[Key, Resource | None] = {key: None for key in gone if key in snapshot}
        changes |= {Key.of(resource): resource for resource in put}
        snapshot = snapshot.changed(changes)
        translation = translator.update(snapshot, changes).translation
        assert translation == translate(snapshot, settings_)
        _check(translation)


@given(st.dictionaries(st.sampled_from(sorted(ANNOTATIONS)), st.text(max_size=30)))
def test_whatever_an_annotation_says_it_is_read(texts: dict[str, str]) -> None:
    read_settings({PREFIX + name: text for name, text in texts.items()})
