"""A mesh with transparent capture, in network namespaces: edge to sidecar, sidecar to sidecar, and what is on the wire.

Needs root; without it these tests are counted as skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.app_probes import VARIABLE
from tests.support import mesh_calls as call
from tests.support.clients.raw import RawClient
from tests.support.manifests import Manifest
from tests.support.mesh import (
    CONTROLLER,
    GRPC,
    HTTP,
    TCP,
    WEBSOCKET,
    MeshNetwork,
    Wiretap,
    application,
    is_tls,
    mesh_network,
)
from tests.support.mesh_calls import MARK
from tests.support.namespaces import needs_namespaces
from tests.support.waiting import eventually

pytestmark = needs_namespaces

VIRTUAL = "10.96.0.10"
"""The cluster address of the Service cart."""
EDGE_HTTP, EDGE_TCP = 8000, 9000
EDGE_IDENTITY = "spiffe://cluster.local/ns/sekisho-system/sa/sekisho-gateway"
PORTS = {"http": (80, HTTP), "grpc": (81, GRPC), "http-ws": (82, WEBSOCKET), "tcp": (9000, TCP)}


PROBES = {
    "/app-health/cart/live": {"httpGet": {"path": "/", "port": HTTP}},
    "/app-health/cart/ready": {"tcpSocket": {"port": TCP}},
}


def service(name: str, address: str) -> Manifest:
    ports = [{"name": port, "port": number, "targetPort": target} for port, (number, target) in PORTS.items()]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "clusterIP": address, "ports": ports},
    }


def route(kind: str, name: str, section: str, *rules: dict[str, Any]) -> Manifest:
    version = "v1alpha2" if kind == "TCPRoute" else "v1"
    return {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "edge", "sectionName": section}], "rules": list(rules)},
    }


def to(port: int, **more: Any) -> dict[str, Any]:
    return {"backendRefs": [{"name": "cart", "port": port}], **more}


def edge() -> list[Manifest]:
    listeners = [
        {"name": "http", "port": EDGE_HTTP, "protocol": "HTTP"},
        {"name": "tcp", "port": EDGE_TCP, "protocol": "TCP"},
    ]
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "shop"},
            "spec": {"gatewayClassName": "sekisho", "listeners": listeners},
        },
        route("HTTPRoute", "cart", "http", to(80), to(82, matches=[{"path": {"value": "/ws"}}])),
        route("GRPCRoute", "cart", "http", to(81)),
        route("TCPRoute", "cart", "tcp", to(9000)),
    ]


def policy(kind: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, **spec},
    }


def mutual_tls(mode: str) -> Manifest:
    return policy("PeerAuthentication", {"mtls": {"mode": mode}})


@pytest.fixture(scope="module")
def mesh(directory: Path) -> Iterator[MeshNetwork]:
    """Two workloads with sidecars, and one without."""
    with mesh_network(directory, ["cart", "web", "outside"]) as made:
        cart, web, outside = made.workloads.values()
        made.write(
            [*edge(), service("cart", VIRTUAL), service("outside", "10.96.0.11"), cart.manifest(), web.manifest(),
             outside.manifest(in_mesh=False)]
        )  # fmt: skip
        made.write([mutual_tls("PERMISSIVE")], "policies")
        made.start_controller()
        made.start_sidecar("cart", environment={"POD_IP": cart.address, VARIABLE: json.dumps(PROBES)})
        made.start_sidecar("web")
        for name in ("cart", "web"):
            made.capture(name)
        with application(cart.inside, "cart"), application(outside.inside, "outside"):
            yield made


@pytest.fixture(autouse=True)
def permissive(mesh: MeshNetwork) -> Iterator[None]:
    """Every test begins with the same policies."""
    yield
    before = (mesh.manifests / "policies.yaml").read_text()
    if "PERMISSIVE" not in before or "AuthorizationPolicy" in before:
        mesh.change([mutual_tls("PERMISSIVE")], "policies", "cart")


def call_all_from_the_edge(mesh: MeshNetwork) -> None:
    from_outside = mesh.workloads["outside"].inside
    assert call.http1(from_outside, CONTROLLER, EDGE_HTTP).backend == "cart"
    assert call.http2(from_outside, CONTROLLER, EDGE_HTTP).backend == "cart"
    assert call.grpc(from_outside, CONTROLLER, EDGE_HTTP)["backend"] == "cart"
    assert call.websocket(from_outside, CONTROLLER, EDGE_HTTP, path="/ws") == MARK
    assert call.tcp(from_outside, CONTROLLER, EDGE_TCP) == MARK.encode()


def call_all_from_the_sidecar(mesh: MeshNetwork) -> None:
    web = mesh.workloads["web"].inside
    assert call.http1(web, VIRTUAL, 80).backend == "cart"
    assert call.http2(web, VIRTUAL, 80).backend == "cart"
    assert call.grpc(web, VIRTUAL, 81)["backend"] == "cart"
    assert call.websocket(web, VIRTUAL, 82) == MARK
    assert call.tcp(web, VIRTUAL, 9000) == MARK.encode()


def test_the_edge_reaches_the_workload_over_every_protocol_as_itself(mesh: MeshNetwork) -> None:
    call_all_from_the_edge(mesh)
    seen = call.http1(mesh.workloads["outside"].inside, CONTROLLER, EDGE_HTTP)
    assert f"URI={EDGE_IDENTITY}" in (seen.header("x-forwarded-client-cert") or "")


def test_a_workload_reaches_another_over_every_protocol_as_itself(mesh: MeshNetwork) -> None:
    call_all_from_the_sidecar(mesh)
    seen = call.http1(mesh.workloads["web"].inside, VIRTUAL, 80)
    assert f"URI={mesh.workloads['web'].identity}" in (seen.header("x-forwarded-client-cert") or "")


def test_a_workload_that_calls_itself_by_its_service_is_answered_and_judged_like_any_other_caller(
    mesh: MeshNetwork,
) -> None:
    mesh.change([mutual_tls("STRICT")], "policies", "cart")
    cart = mesh.workloads["cart"]
    assert call.http1(cart.inside, VIRTUAL, 80).backend == "cart"
    assert call.http2(cart.inside, VIRTUAL, 80).backend == "cart"
    assert call.grpc(cart.inside, VIRTUAL, 81)["backend"] == "cart"
    assert call.websocket(cart.inside, VIRTUAL, 82) == MARK
    assert call.tcp(cart.inside, VIRTUAL, 9000) == MARK.encode()
    seen = call.http1(cart.inside, VIRTUAL, 80)
    assert f"URI={cart.identity}" in (seen.header("x-forwarded-client-cert") or "")

    only_web = policy(
        "AuthorizationPolicy", {"rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]}]}
    )
    mesh.change([mutual_tls("STRICT"), only_web], "policies", "cart")
    assert call.status(cart.inside, VIRTUAL, 80) == 403


def test_a_sidecar_asks_its_workload_for_the_kubelet_where_plaintext_is_refused(mesh: MeshNetwork) -> None:
    mesh.change([mutual_tls("STRICT")], "policies", "cart")
    cart = mesh.workloads["cart"]
    for path in PROBES:
        with mesh.workloads["outside"].inside.entered(), RawClient(15021, host=cart.address) as client:
            answer = client.request("GET", path, host="kubelet")
            assert answer.status == 200, answer


def test_an_identity_that_a_client_claims_in_a_header_is_not_believed(mesh: MeshNetwork) -> None:
    claimed = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/admin"
    for inside, host, port in (
        (mesh.workloads["outside"].inside, CONTROLLER, EDGE_HTTP),
        (mesh.workloads["web"].inside, VIRTUAL, 80),
        (mesh.workloads["outside"].inside, mesh.workloads["cart"].address, HTTP),
    ):
        seen = call.http1(inside, host, port, claimed)
        assert "sa/admin" not in (seen.header("x-forwarded-client-cert") or "")


def test_only_tls_is_on_the_wire_between_gateways_and_sidecars(mesh: MeshNetwork) -> None:
    address = mesh.workloads["cart"].address
    with Wiretap(mesh.switch, "p1") as tap:
        call_all_from_the_edge(mesh)
        call_all_from_the_sidecar(mesh)
        callers = {CONTROLLER, mesh.workloads["web"].address}
        eventually(lambda: callers <= {key[0] for key in tap.payloads() if key[2] == address}, what="the traffic")
        payloads = tap.payloads()
    mesh_ports = {HTTP, GRPC, WEBSOCKET, TCP}
    to_cart = {key: data for key, data in payloads.items() if key[2] == address and key[3] in mesh_ports and data}
    assert {key[3] for key in to_cart} == mesh_ports
    assert {key[0] for key in to_cart} == callers
    assert all(is_tls(data) for data in to_cart.values())
    assert not [key for key, data in payloads.items() if MARK.encode() in data]


def test_permissive_takes_plaintext_as_well_and_strict_does_not(mesh: MeshNetwork) -> None:
    address, plain = mesh.workloads["cart"].address, mesh.workloads["outside"].inside
    with Wiretap(mesh.switch, "p1") as tap:
        assert call.http1(plain, address, HTTP).backend == "cart"
        assert call.tcp(plain, address, TCP) == MARK.encode()
        eventually(lambda: any(MARK.encode() in data for data in tap.payloads().values()), what="plaintext on the wire")

    mesh.change([mutual_tls("STRICT")], "policies", "cart")

    assert call.is_refused(plain, address, HTTP)
    assert call.tcp(plain, address, TCP) == b""
    call_all_from_the_edge(mesh)
    call_all_from_the_sidecar(mesh)


def test_a_port_can_have_a_mode_of_its_own(mesh: MeshNetwork) -> None:
    own = policy(
        "PeerAuthentication",
        {"mtls": {"mode": "STRICT"}, "portLevelMtls": {str(TCP): {"mode": "PERMISSIVE"}}},
    )
    mesh.change([own], "policies", "cart")
    address, plain = mesh.workloads["cart"].address, mesh.workloads["outside"].inside
    assert call.tcp(plain, address, TCP) == MARK.encode()
    assert call.is_refused(plain, address, HTTP)


def test_policies_decide_by_the_caller_s_identity_for_requests_and_connections(
    mesh: MeshNetwork,
) -> None:
    only_web = policy(
        "AuthorizationPolicy", {"rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]}]}
    )
    mesh.change([mutual_tls("PERMISSIVE"), only_web], "policies", "cart")
    outside, web = mesh.workloads["outside"].inside, mesh.workloads["web"].inside

    assert call.status(web, VIRTUAL, 80) == 200
    assert call.tcp(web, VIRTUAL, 9000) == MARK.encode()
    assert call.status(outside, CONTROLLER, EDGE_HTTP) == 403
    assert call.tcp(outside, CONTROLLER, EDGE_TCP) == b""
    assert call.status(outside, mesh.workloads["cart"].address, HTTP) == 403


def test_an_identity_that_the_authority_denies_is_denied_at_once_whatever_its_certificate(mesh: MeshNetwork) -> None:
    outside, web = mesh.workloads["outside"].inside, mesh.workloads["web"]
    assert call.status(web.inside, VIRTUAL, 80) == 200
    mesh.authorize("deny", web.identity, "cart")
    try:
        assert call.status(web.inside, VIRTUAL, 80) == 403
        assert call.tcp(web.inside, VIRTUAL, 9000) == b""
        assert call.status(outside, CONTROLLER, EDGE_HTTP) == 200
        told = "authorization_denied[sekisho.dev/denied-identities/0]"
        eventually(
            lambda: told in [line["response_code_details"] for line in mesh.access_log("cart")],
            what="the record of the denial",
        )
    finally:
        mesh.authorize("allow", web.identity, "cart")
    assert call.status(web.inside, VIRTUAL, 80) == 200


def test_what_is_not_in_the_mesh_is_reached_in_plaintext_by_its_service_and_by_its_address(
    mesh: MeshNetwork,
) -> None:
    web = mesh.workloads["web"].inside
    assert call.http1(web, "10.96.0.11", 80).backend == "outside"
    assert call.http1(web, mesh.workloads["outside"].address, HTTP).backend == "outside"
    assert call.tcp(web, "10.96.0.11", 9000) == MARK.encode()


def test_the_controller_tells_which_sidecars_hold_which_table(mesh: MeshNetwork) -> None:
    gateways = mesh.status()["gateways"]
    tables = {gateway["name"].partition(":")[0]: gateway for gateway in gateways}
    for name in ("cart", "web"):
        (found,) = (gateway for table, gateway in tables.items() if table.startswith(f"shop/{name}/"))
        assert found["version"] == found["wanted"]
