"""Bad manifests: one clear line each, naming file, object and remedy, and nothing else is harmed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import Authority, shared_authority
from tests.support.edge import Edge, edge_manifests, open_edge
from tests.support.manifests import (
    GATEWAY_API,
    Manifest,
    as_yaml,
    authority_config_map,
    backend,
    backend_ref,
    backend_tls_policy,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    https_listener,
    manifest,
    path_match,
    rule,
    tls_secret,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho, run_sekisho
from tests.support.waiting import eventually

HOST = "good.example.com"


@dataclass(frozen=True)
class Bad:
    """A file's content, and words that what is said about it must hold."""

    content: str | list[Manifest]
    words: tuple[str, ...]
    harmless: bool = False
    """A warning: what it stands on still serves."""
    absent: tuple[str, ...] = field(default=("Traceback",))


def route(name: str = "bad", *rules: Manifest, **fields: object) -> Manifest:
    built = http_route(name, *(rules or (rule("origin"),)), hosts=["bad.example.com"])
    built["spec"] |= fields
    return built


def secret_with(name: str, **data: str) -> Manifest:
    item = tls_secret(name, shared_authority().issue("*.example.com"))
    item["data"] |= {key.replace("_", "."): value for key, value in data.items()}
    return item


def mismatched_secret() -> Manifest:
    item = tls_secret("mismatched", shared_authority().issue("a.example.com"))
    item["data"]["tls.key"] = tls_secret("x", shared_authority().issue("b.example.com"))["data"]["tls.key"]
    return item


def second_gateway(*listeners: Manifest) -> Manifest:
    return gateway(*listeners, name="second")


CASES: dict[str, Bad] = {
    "unparseable YAML": Bad("a: [1, 2\nb: }\n", ("bad.yaml", "line")),
    "tabs in YAML": Bad("kind: HTTPRoute\n\tspec: {}\n", ("bad.yaml",)),
    "not an object": Bad("- just\n- a list\n", ("bad.yaml",)),
    "no kind": Bad("apiVersion: v1\nmetadata: {name: x}\n", ("bad.yaml", "kind")),
    "no name": Bad(f"apiVersion: {GATEWAY_API}\nkind: HTTPRoute\nspec: {{}}\n", ("bad.yaml", "name")),
    "unknown kind": Bad([manifest(GATEWAY_API, "Gadget", "x")], ("bad.yaml", "Gadget"), harmless=True),
    "unknown version": Bad([manifest("gateway.networking.k8s.io/v9", "HTTPRoute", "x")], ("bad.yaml", "v9")),
    "unknown field": Bad([route(hostnamez=["x"])], ("bad.yaml", "hostnamez", "hostnames"), harmless=True),
    "wrong type": Bad([route(hostnames="bad.example.com")], ("bad.yaml", "HTTPRoute", "default/bad", "hostnames")),
    "wrong type deep down": Bad(
        [route("bad", rule(backend_ref("origin", port=80, weight=1) | {"weight": "heavy"}))],
        ("bad.yaml", "default/bad", "weight"),
    ),
    "bad host name": Bad([route(hostnames=["under_score.example.com"])], ("bad.yaml", "under_score")),
    "missing Service": Bad([route("bad", rule("nobody"))], ("default/bad", "nobody", "BackendNotFound")),
    "missing port of a Service": Bad([route("bad", rule(backend_ref("origin", port=4242)))], ("default/bad", "4242")),
    "missing Gateway": Bad([route(parentRefs=[{"name": "nowhere"}])], ("default/bad", "nowhere")),
    "missing section": Bad(
        [route(parentRefs=[{"name": "edge", "sectionName": "nowhere"}])],
        ("default/bad", "nowhere", "NoMatchingParent"),
    ),
    "other namespace without a grant": Bad(
        [*backend("far", 1, namespace="far"), route("bad", rule(backend_ref("far", namespace="far")))],
        ("default/bad", "far", "RefNotPermitted", "ReferenceGrant"),
    ),
    "other kind of backend": Bad(
        [route("bad", rule(backend_ref("x", group="example.com", kind="Bucket")))],
        ("default/bad", "Bucket", "InvalidKind"),
    ),
    "regex that does not compile": Bad(
        [route("bad", rule("origin", matches=[path_match("/([a-z", "RegularExpression")]))],
        ("default/bad", "/([a-z"),
    ),
    "regex that is too large": Bad(
        [route("bad", rule("origin", matches=[path_match("/(a{1000}){1000}", "RegularExpression")]))],
        ("default/bad", "(a{1000}){1000}"),
    ),
    "regex with a look-behind": Bad(
        [route("bad", rule("origin", matches=[path_match("/(?<!a)b", "RegularExpression")]))],
        ("default/bad", "(?<!a)b"),
    ),
    "unknown filter": Bad([route("bad", rule("origin", filters=[{"type": "Sparkle"}]))], ("default/bad", "Sparkle")),
    "unresolvable extension filter": Bad(
        [
            route(
                "bad",
                rule(
                    "origin",
                    filters=[{"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Thing", "name": "t"}}],
                ),
            )
        ],
        ("default/bad", "Thing"),
    ),
    "filter without its field": Bad(
        [route("bad", rule("origin", filters=[{"type": "URLRewrite"}]))], ("default/bad", "urlRewrite")
    ),
    "secret that does not exist": Bad(
        [second_gateway(https_listener(free_port(), "nobody"))], ("default/second", "nobody", "InvalidCertificateRef")
    ),
    "secret that is not a certificate": Bad(
        [secret_with("garbage", tls_crt="Z2FyYmFnZQ=="), second_gateway(https_listener(free_port(), "garbage"))],
        ("default/second", "garbage", "InvalidCertificateRef"),
    ),
    "secret that is not base64": Bad(
        [secret_with("garbled", tls_crt="%%%"), second_gateway(https_listener(free_port(), "garbled"))], ("garbled",)
    ),
    "certificate and key that do not belong together": Bad(
        [mismatched_secret(), second_gateway(https_listener(free_port(), "mismatched"))],
        ("default/second", "mismatched", "InvalidCertificateRef"),
    ),
    "conflicting listeners": Bad(
        [second_gateway(http_listener(4001, "one"), http_listener(4001, "two"))],
        ("default/second", "one", "two", "port"),
    ),
    "protocols in conflict on a port": Bad(
        [second_gateway(http_listener(4002, "one"), https_listener(4002, "edge", name="two"))],
        ("default/second", "Conflicted=True", "ProtocolConflict"),
    ),
    "unknown protocol": Bad(
        [second_gateway(http_listener(free_port()) | {"protocol": "SMTP"})],
        ("default/second", "SMTP", "UnsupportedProtocol"),
    ),
    "port out of range": Bad([second_gateway(http_listener(70000))], ("bad.yaml", "second", "70000")),
    "duplicate object": Bad(
        [route("twice"), route("twice", rule("origin", matches=[path_match("/other")]))],
        ("bad.yaml", "default/twice"),
    ),
    "bad authority of a backend": Bad(
        [
            authority_config_map("no-authority", "-----BEGIN CERTIFICATE-----\ngarbage\n"),
            *backend("secure", 1),
            backend_tls_policy("secure", "secure", "secure.test", "no-authority"),
            route("bad", rule("secure")),
        ],
        ("default/secure", "no-authority", "InvalidCACertificateRef"),
    ),
    "timeout that is not a duration": Bad(
        [route("bad", rule("origin", timeouts={"request": "soon"}))], ("default/bad", "soon")
    ),
}


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def good(origin: Http1Backend) -> list[Manifest]:
    return [*backend("origin", origin.port), http_route("good", rule("origin"), hosts=[HOST])]


@pytest.fixture(scope="module")
def edge(directory: Path, good: list[Manifest]) -> Iterator[Edge]:
    with open_edge(directory, good) as running:
        yield running


def text_of(bad: Bad) -> str:
    return bad.content if isinstance(bad.content, str) else as_yaml(bad.content)


@pytest.mark.parametrize("name", CASES)
def test_check_names_the_file_the_object_and_the_matter(tmp_path: Path, good: list[Manifest], name: str) -> None:
    bad = CASES[name]
    (tmp_path / "good.yaml").write_text(as_yaml([*edge_manifests(4080, 4443), *good]))
    (tmp_path / "bad.yaml").write_text(text_of(bad))
    done = run_sekisho("check", "-f", tmp_path)
    said = done.stdout + done.stderr
    for word in bad.words:
        assert word in said, f"{word!r} is not in:\n{said}"
    for word in bad.absent:
        assert word not in said
    assert done.returncode == 1, said


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_costs_only_itself(edge: Edge, name: str) -> None:
    bad = CASES[name]
    before = len(edge.sekisho.output())
    edge.sekisho.write(text_of(bad), "bad")
    try:
        eventually(lambda: len(edge.sekisho.output()) > before, what="a word about the change")
        assert edge.curl(f"http://{HOST}/").status == 200
        assert edge.curl(f"https://{HOST}/").status == 200
        answer = edge.curl("http://bad.example.com/")
        assert answer.status in ({200} if bad.harmless and "field" in name else {200, 404, 500, 502, 503})
        assert "Traceback" not in edge.sekisho.output()
    finally:
        before = len(edge.sekisho.output())
        edge.sekisho.remove("bad")
        eventually(lambda: len(edge.sekisho.output()) > before, what="a word about the removal")


def test_good_manifests_pass_the_check(tmp_path: Path, good: list[Manifest]) -> None:
    (tmp_path / "good.yaml").write_text(as_yaml([*edge_manifests(4080, 4443), *good]))
    done = run_sekisho("check", "-f", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_bad_document_does_not_cost_the_file(tmp_path: Path, good: list[Manifest]) -> None:
    port = free_port()
    text = as_yaml([gateway_class(), gateway(http_listener(port)), *good])
    with Sekisho(tmp_path, f"{text}\n---\nkind: HTTPRoute\nspec: [\n") as sekisho:
        assert Edge(sekisho, port, 0).curl(f"http://{HOST}/").status == 200


def test_a_route_that_breaks_keeps_serving_as_it_was(directory: Path, good: list[Manifest]) -> None:
    with open_edge(directory / "broken-edit", good) as edge:
        text = as_yaml(good)
        edge.sekisho.write(text.replace("hostnames:", "hostnames: ["), "routes")
        eventually(lambda: "routes.yaml" in edge.sekisho.output().rpartition("watching")[2])
        assert edge.curl(f"http://{HOST}/").status == 200
        edge.change([*good, http_route("more", rule("origin"), hosts=["more.example.com"])])
        assert edge.curl("http://more.example.com/").status == 200, "never recovered from the bad edit"


def test_a_rule_with_a_filter_that_does_not_resolve_fails_and_its_siblings_serve(
    directory: Path, origin: Http1Backend
) -> None:
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Thing", "name": "t"}}
    manifests = [
        *backend("origin", origin.port),
        http_route(
            "mixed",
            rule("origin", matches=[path_match("/broken")], filters=[extension]),
            rule("origin", matches=[path_match("/fine")]),
            hosts=[HOST],
        ),
    ]
    with open_edge(directory / "extension", manifests) as edge:
        assert edge.curl(f"http://{HOST}/broken").status == 500
        assert edge.curl(f"http://{HOST}/fine").status == 200


def test_a_thousand_bad_routes_do_not_hold_up_a_good_change(directory: Path, good: list[Manifest]) -> None:
    bad = [http_route(f"bad-{number}", rule("nobody"), hosts=[f"b{number}.example.com"]) for number in range(1000)]
    with open_edge(directory / "many-bad", [*good, *bad]) as edge:
        started = time.monotonic()
        edge.change([*good, http_route("new", rule("origin"), hosts=["new.example.com"]), *bad])
        assert edge.curl("http://new.example.com/").status == 200
        assert time.monotonic() - started < 8


def test_a_certificate_of_another_name_still_serves_and_is_told(directory: Path, good: list[Manifest]) -> None:
    port = free_port()
    other = tls_secret("other", Authority("Other").issue("other.test"))
    manifests = [gateway_class(), gateway(https_listener(port, "other", hostname=HOST)), other, *good]
    with Sekisho(directory / "other-name", manifests) as sekisho:
        assert Edge(sekisho, 0, port).curl(f"https://{HOST}/", "--insecure").status == 200
