"""Backends of every kind: Services with endpoints, external names, XBackends, TLS by BackendTLSPolicy."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.backends.grpc_echo import UNARY, GrpcBackend, decode, encode
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.certificates import Authority, shared_authority
from tests.support.clients.curl import CurlResult
from tests.support.edge import Edge, open_edge
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    backend,
    backend_tls_policy,
    endpoint_slice,
    external_backend,
    external_ref,
    grpc_route,
    http_route,
    reference_grant,
    rule,
    service,
)
from tests.support.ports import free_port
from tests.support.waiting import eventually

IDENTITY = "backend.test"
SPIFFE = "spiffe://test.local/ns/default/sa/backend"


def host(name: str) -> str:
    return f"{name}.example.com"


def ask(edge: Edge, name: str, *arguments: str) -> CurlResult:
    return edge.curl(f"http://{host(name)}/", *arguments)


def routed(name: str, *backends: Manifest | str) -> Manifest:
    return http_route(name, rule(*backends), hosts=[host(name)])


# --- plain -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Http1Backend]]:
    with Http1Backend("a") as a, Http1Backend("b") as b, Http1Backend("c") as c:
        yield [a, b, c]


@pytest.fixture(scope="module")
def edge(directory: Path, servers: list[Http1Backend]) -> Iterator[Edge]:
    a, b, c = servers
    named = service("by-port", port=8080)
    manifests = [
        *backend("three", a.port, b.port, c.port),
        *backend("unready", a.port, ready=False),
        named,
        *endpoint_slice("by-port", a.port),
        service("external", port=a.port, external_name="localhost"),
        external_backend("outside", "localhost", b.port, "HTTP"),
        *backend("elsewhere", c.port, namespace="apps"),
        reference_grant("from-default", "apps", from_kind="HTTPRoute", from_namespace="default", to_kind="Service"),
        *backend("closed", a.port, namespace="private"),
        routed("three", "three"),
        routed("unready", "unready"),
        routed("by-port", {"name": "by-port", "port": 8080}),
        routed("external", {"name": "external", "port": a.port}),
        routed("outside", external_ref("outside")),
        routed("granted", {"name": "elsewhere", "namespace": "apps", "port": 80}),
        routed("not-granted", {"name": "closed", "namespace": "private", "port": 80}),
    ]
    with open_edge(directory, manifests) as running:
        yield running


def test_every_endpoint_gets_a_share(edge: Edge) -> None:
    with edge.raw() as client:
        seen = Counter(client.request("GET", "/", host=host("three")).report.backend for _ in range(300))
    assert set(seen) == {"a", "b", "c"}
    assert min(seen.values()) > 50, seen


def test_busy_endpoints_get_less(edge: Edge) -> None:
    seen: Counter[str] = Counter()

    def hold() -> None:
        ask(edge, "three", "-H", "x-do: delay=1.5")

    holders = [threading.Thread(target=hold) for _ in range(6)]
    for holder in holders:
        holder.start()
    for _ in range(30):
        seen[ask(edge, "three").report.backend] += 1
    for holder in holders:
        holder.join()
    assert sum(seen.values()) == 30


@pytest.mark.parametrize(
    ("name", "backend_name"), [("by-port", "a"), ("external", "a"), ("outside", "b"), ("granted", "c")]
)
def test_every_way_to_name_a_backend(edge: Edge, name: str, backend_name: str) -> None:
    result = ask(edge, name)
    assert (result.status, result.report.backend) == (200, backend_name)


def test_without_a_ready_endpoint_the_answer_is_503(edge: Edge) -> None:
    assert ask(edge, "unready").status == 503


def test_a_backend_in_another_namespace_needs_a_grant(edge: Edge) -> None:
    assert ask(edge, "not-granted").status == 500


def test_endpoints_come_and_go(directory: Path) -> None:
    route = routed("moving", "moving")
    with (
        Http1Backend("first") as first,
        Http1Backend("second") as second,
        open_edge(directory / "moving", [*backend("moving", first.port), route]) as edge,
    ):
        assert ask(edge, "moving").report.backend == "first"
        edge.change([*backend("moving", second.port), route])
        assert ask(edge, "moving").report.backend == "second"
        edge.change([*backend("moving"), route])
        assert ask(edge, "moving").status == 503


# --- TLS ---------------------------------------------------------------------------------------------


class TlsServers:
    """Backends whose certificates are right and wrong in one way each."""

    def __init__(self, directory: Path) -> None:
        authority = shared_authority()
        intermediate = Authority("Test intermediate", parent=authority)

        def context(issued_by: Authority, *hosts: str, **options: object) -> ssl.SSLContext:
            folder = directory / f"tls-{free_port()}"
            folder.mkdir(parents=True)
            return issued_by.issue(*hosts, **options).server_context(folder)  # type: ignore[arg-type]

        self.good = Http1Backend("good", tls=context(authority, IDENTITY))
        self.chained = Http1Backend("chained", tls=context(intermediate, IDENTITY))
        self.other_name = Http1Backend("other-name", tls=context(authority, "other.test"))
        self.stranger = Http1Backend("stranger", tls=context(Authority("A stranger"), IDENTITY))
        self.expired = Http1Backend("expired", tls=context(authority, IDENTITY, days=-1, started_days_ago=10))
        self.by_uri = Http1Backend("by-uri", tls=context(authority, "nothing.test", uris=[SPIFFE]))
        self.http2 = Http2Backend("http2", tls=context(authority, IDENTITY))
        self.all = [self.good, self.chained, self.other_name, self.stranger, self.expired, self.by_uri, self.http2]


@pytest.fixture(scope="module")
def tls_servers(directory: Path) -> Iterator[TlsServers]:
    servers = TlsServers(directory)
    for server in servers.all:
        server.start()
    yield servers
    for server in servers.all:
        server.stop()


@pytest.fixture(scope="module")
def tls_edge(directory: Path, tls_servers: TlsServers) -> Iterator[Edge]:
    manifests = [authority_config_map("authority", shared_authority().pem)]
    for server in tls_servers.all:
        name = server.name
        names: list[Manifest] = []
        if name == "by-uri":
            names = [{"type": "URI", "uri": SPIFFE}]
        manifests += [
            *backend(name, server.port, app_protocol="kubernetes.io/h2c" if name == "http2" else None),
            backend_tls_policy(name, name, IDENTITY, "authority", alternative_names=names),
            routed(name, name),
        ]
    san_wins = tls_servers.good
    manifests += [
        *backend("san-wins", san_wins.port),
        backend_tls_policy(
            "san-wins", "san-wins", IDENTITY, "authority", alternative_names=[{"type": "URI", "uri": SPIFFE}]
        ),
        routed("san-wins", "san-wins"),
        *backend("san-host", tls_servers.other_name.port),
        backend_tls_policy(
            "san-host",
            "san-host",
            IDENTITY,
            "authority",
            alternative_names=[{"type": "Hostname", "hostname": "other.test"}],
        ),
        routed("san-host", "san-host"),
        *backend("no-authority", tls_servers.good.port),
        backend_tls_policy("no-authority", "no-authority", IDENTITY, "absent"),
        routed("no-authority", "no-authority"),
    ]
    with open_edge(directory / "tls", manifests) as running:
        yield running


@pytest.mark.parametrize("name", ["good", "chained", "by-uri", "san-host"])
def test_a_backend_that_proves_who_it_is_is_served(tls_edge: Edge, name: str) -> None:
    result = ask(tls_edge, name, "-d", "hello")
    assert result.status == 200
    assert result.report.body_bytes == 5
    assert result.report.tls is not None
    assert result.report.tls["sni"] == IDENTITY


@pytest.mark.parametrize("name", ["other-name", "stranger", "expired", "san-wins"])
def test_a_backend_that_does_not_is_a_5xx(tls_edge: Edge, name: str, tls_servers: TlsServers) -> None:
    result = ask(tls_edge, name)
    assert result.status in {502, 503}
    assert not any(item.authority == host(name) for server in tls_servers.all for item in server.journal.received)
    record = tls_edge.sekisho.logged(lambda item: item.get("authority") == host(name))
    assert record["response_code_details"] == "upstream_tls_failed"


def test_a_policy_without_a_valid_authority_fails_closed(tls_edge: Edge) -> None:
    result = ask(tls_edge, "no-authority")
    assert 500 <= result.status < 600


def test_http2_over_tls_to_the_backend(tls_edge: Edge) -> None:
    result = ask(tls_edge, "http2")
    assert result.report.version == "HTTP/2"
    assert result.report.tls is not None
    assert (result.report.tls["alpn"], result.report.tls["sni"]) == ("h2", IDENTITY)


def test_grpc_over_tls_to_the_backend(directory: Path) -> None:
    issued = shared_authority().issue(IDENTITY)
    with GrpcBackend("secure", tls=(issued.private_key.encode(), issued.chain.encode())) as server:
        manifests = [
            authority_config_map("authority", shared_authority().pem),
            *backend("secure", server.port),
            backend_tls_policy("secure", "secure", IDENTITY, "authority"),
            grpc_route("secure", rule("secure"), hosts=[host("secure")]),
        ]
        with open_edge(directory / "grpc-tls", manifests) as edge:
            options = [("grpc.default_authority", host("secure"))]
            with grpc.insecure_channel(f"127.0.0.1:{edge.port}", options=options) as channel:
                answer = channel.unary_unary(UNARY, encode, decode)({"text": "a"}, timeout=10)
    assert answer["backend"] == "secure"


def test_an_authority_can_be_replaced_while_serving(directory: Path) -> None:
    old, new = Authority("Old"), Authority("New")
    folder = directory / "replaced"
    folder.mkdir()
    with Http1Backend("moved", tls=new.issue(IDENTITY).server_context(folder)) as server:

        def manifests(authority: Authority) -> list[Manifest]:
            return [
                authority_config_map("authority", authority.pem),
                *backend("moved", server.port),
                backend_tls_policy("moved", "moved", IDENTITY, "authority"),
                routed("moved", "moved"),
            ]

        with open_edge(folder, manifests(old)) as edge:
            assert ask(edge, "moved").status in {502, 503}
            edge.change(manifests(new))
            eventually(lambda: ask(edge, "moved").status == 200)
