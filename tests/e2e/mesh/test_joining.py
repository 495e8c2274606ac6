"""Sidecars that join a mesh without Kubernetes, and what a certificate of somebody else gets: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mesh_calls as call
from tests.support.mesh import HTTP, MeshNetwork, application, mesh_network
from tests.support.namespaces import needs_namespaces
from tests.support.waiting import eventually

pytestmark = needs_namespaces


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[MeshNetwork]:
    with mesh_network(tmp_path, ["cart", "web"]) as made:
        yield made


def test_a_sidecar_with_another_s_identity_gets_no_table(mesh: MeshNetwork) -> None:
    mesh.write([workload.manifest() for workload in mesh.workloads.values()])
    mesh.start_controller()
    sidecar = mesh.start_sidecar("cart", identity=mesh.workloads["web"].identity, wait=False)
    eventually(lambda: "no workload shop/cart" in sidecar.output(), within=20, what="a refusal")
    assert not any("shop/cart/" in gateway["name"] for gateway in mesh.status()["gateways"])


def test_with_explicit_capture_the_sidecar_takes_ports_of_its_own_and_applications_call_it(mesh: MeshNetwork) -> None:
    cart, web = mesh.workloads["cart"], mesh.workloads["web"]
    explicit = {"sekisho.dev/capture": "explicit"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": 9443}]},
    }
    strict = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    mesh.write(
        [
            cart.manifest(annotations={**explicit, "sekisho.dev/inbound": f"9443={HTTP}"}),
            web.manifest(annotations=explicit),
            service,
            strict,
        ]
    )
    mesh.start_controller()
    for name in ("cart", "web"):
        mesh.start_sidecar(name)
    with application(cart.inside, "cart", address="127.0.0.1"):
        seen = call.http1(web.inside, "127.0.0.1", 15001, name="cart.shop")
        assert seen.backend == "cart"
        assert f"URI={web.identity}" in (seen.header("x-forwarded-client-cert") or "")
        assert call.is_refused(web.inside, cart.address, 9443)
        assert call.status(web.inside, "127.0.0.1", 15001, name="elsewhere.example.com") == 404
