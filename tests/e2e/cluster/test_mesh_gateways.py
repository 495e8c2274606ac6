"""East-west gateways and waypoints on a real API server, asked by a client with a certificate of the mesh."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clients.mesh_peer import Peer, exchange, identity_of, mutual_tls, refuses, through_tunnel
from tests.support.cluster_mesh import (
    FOLLOW_SECONDS,
    START_SECONDS,
    certified,
    open_mesh,
    service_of,
    workload,
)
from tests.support.manifests import Manifest, manifest
from tests.support.real_cluster import RealCluster
from tests.support.waiting import eventually

EAST_WEST_PORT = 15443
TUNNEL_PORT = 15008
ISTIO = ("istio-http/1.1", "istio", "http/1.1")


def gateway(name: str, space: str, class_name: str, listener: Manifest) -> Manifest:
    spec = {"gatewayClassName": class_name, "listeners": [listener]}
    return manifest("gateway.networking.k8s.io/v1", "Gateway", name, space, spec=spec)


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n".encode()


def answered(raw: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), f"no answer: {raw[:100]!r}"
    try:
        told: dict[str, Any] = json.loads(body)
    except ValueError:
        told = {}
    return int(head.split()[1]), told


# --- east-west ------------------------------------------------------------------------------------


def test_mesh_traffic_of_another_network_is_passed_through_by_its_server_name(cluster: RealCluster) -> None:
    with open_mesh(cluster, "east") as mesh:
        options = {"gateway.istio.io/listener-protocol": "auto-passthrough"}
        tls = {"mode": "Passthrough", "options": options}
        listener = {"name": "cross", "protocol": "TLS", "port": EAST_WEST_PORT, "tls": tls}
        cluster.apply(gateway("east-west", mesh.space, "sekisho", listener))
        address = cluster.programmed("east-west", mesh.space, within=START_SECONDS)
        peer = certified(cluster, mesh.space, "web")
        host = f"shop.{mesh.space}.svc.cluster.local"

        def passed() -> tuple[str, int, dict[str, Any]]:
            name = f"outbound_.80_._.{host}"
            try:
                with mutual_tls(peer, address, EAST_WEST_PORT, *ISTIO, name=name) as connection:
                    return (identity_of(connection), *answered(exchange(connection, get("/cart"))))
            except OSError as error:
                raise AssertionError(str(error)) from error

        identity, status, told = eventually(passed, within=FOLLOW_SECONDS, what="the sidecar is reached")
        assert (identity, status) == (mesh.principal("shop"), 200)
        assert f"URI={mesh.principal('web')}" in told["headers"]["x-forwarded-client-cert"]
        for name in (host, f"outbound_.81_._.{host}", f"outbound_.80_._.other.{mesh.space}.svc.cluster.local"):
            assert refuses(peer.context(*ISTIO), address, EAST_WEST_PORT, name), name


# --- waypoints ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ambient(cluster: RealCluster) -> Iterator[str]:
    """A namespace with a waypoint before the Service ``shop``, whose pods have no sidecar."""
    with cluster.space("ambient") as space:
        cluster.apply(*workload("shop", space), *workload("web", space)[:1])
        service = service_of("shop", space, app="shop")
        service["metadata"]["labels"] = {"istio.io/use-waypoint": "waypoint"}
        listener = {"name": "mesh", "protocol": "HBONE", "port": TUNNEL_PORT}
        cluster.apply(service, gateway("waypoint", space, "sekisho-waypoint", listener))
        timeout = f"--timeout={START_SECONDS:.0f}s"
        cluster.kubectl("rollout", "status", "deployment/shop-v1", "-n", space, timeout)
        yield space


def test_a_waypoint_takes_tunnels_to_services_and_enforces_policies(cluster: RealCluster, ambient: str) -> None:
    rule = {
        "from": [{"source": {"principals": [f"cluster.local/ns/{ambient}/sa/web"]}}],
        "to": [{"operation": {"paths": ["/cart*"]}}],
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"}
    spec = {"targetRefs": [target], "action": "ALLOW", "rules": [rule]}
    cluster.apply(manifest("security.istio.io/v1", "AuthorizationPolicy", "web", ambient, spec=spec))
    address = cluster.programmed("waypoint", ambient, within=START_SECONDS)
    service = cluster.get("service", "shop", ambient)["spec"]["clusterIP"]
    web, shop = certified(cluster, ambient, "web"), certified(cluster, ambient, "shop")

    def asked(peer: Peer, path: str, authority: str = f"{service}:80") -> tuple[int, bytes]:
        try:
            with mutual_tls(peer, address, TUNNEL_PORT, "h2") as connection:
                return through_tunnel(connection, authority, get(path))
        except OSError as error:
            raise AssertionError(str(error)) from error

    def allowed() -> bool:
        status, raw = asked(web, "/cart")
        assert status == 200, f"the tunnel is answered with {status}"
        status, told = answered(raw)
        assert status == 200, f"status {status}"
        return bool(told["workload"] == "shop-v1")

    eventually(allowed, within=FOLLOW_SECONDS, what="web calls shop through the waypoint")
    assert answered(asked(web, "/admin")[1])[0] == 403
    assert answered(asked(shop, "/cart")[1])[0] == 403
    assert asked(web, "/cart", "10.96.0.1:443")[0] != 200, "a tunnel leads to Services of the waypoint alone"


def test_a_waypoint_wants_a_certificate_of_the_mesh(cluster: RealCluster, ambient: str) -> None:
    address = cluster.programmed("waypoint", ambient, within=START_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    assert refuses(context, address, TUNNEL_PORT)
