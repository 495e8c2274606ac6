"""A way out for injected workloads on a real API server: the provisioned gateway knows them by their sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster_mesh import FOLLOW_SECONDS, START_SECONDS, Called, Mesh, called_by, open_mesh, workload
from tests.support.manifests import Manifest, gateway, manifest, namespace
from tests.support.real_cluster import RealCluster
from tests.support.waiting import eventually

SPACE = "ways-out"
ALLOWED, OTHER = f"shop.{SPACE}.svc.cluster.local", f"web.{SPACE}.svc.cluster.local"
ELSEWHERE = "http://198.51.100.7/"
"""An address that is no Service's, and nobody's."""


def policy() -> Manifest:
    """For Services of the cluster, whose addresses are private."""
    rule = {
        "name": "shop",
        "from": [{"serviceAccounts": [f"{SPACE}/web"]}],
        "to": [{"names": [ALLOWED], "ports": [80], "protocols": ["HTTP"]}],
        "addressBlocks": ["10.0.0.0/8"],
    }
    spec = {"targetRefs": [{"name": "out"}], "contact": "#platform", "rules": [rule]}
    return manifest("sekisho.dev/v1alpha1", "EgressPolicy", "out", SPACE, spec=spec)


def strict() -> Manifest:
    selector = {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "out"}}
    spec = {"selector": selector, "mtls": {"mode": "STRICT"}}
    return manifest("security.istio.io/v1", "PeerAuthentication", "out", SPACE, spec=spec)


@pytest.fixture(scope="module")
def mesh(cluster: RealCluster) -> Iterator[Mesh]:
    listeners = (
        {"name": "proxy", "port": 3128, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "web", "port": 80, "protocol": "sekisho.dev/EgressHTTP"},
    )
    with open_mesh(cluster, SPACE) as opened:
        cluster.apply(gateway(*listeners, name="out", namespace=SPACE), policy())
        cluster.programmed("out", SPACE, within=START_SECONDS)
        yield opened


@pytest.fixture(scope="module")
def outsider(cluster: RealCluster) -> Iterator[str]:
    """The address of a workload without a sidecar."""
    with cluster.space("ways-out-outside") as space:
        cluster.apply(*workload("outsider", space))
        cluster.kubectl("rollout", "status", "deployment/outsider-v1", "-n", space, f"--timeout={START_SECONDS:.0f}s")
        (pod,) = cluster.items("pods", space, "app=outsider")
        yield pod["status"]["podIP"]


def decisions(mesh: Mesh, **wanted: Any) -> list[dict[str, Any]]:
    """Records of the provisioned gateway with these fields."""
    lines = mesh.cluster.logs("deployment/out-sekisho", SPACE).splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and '"record":"egress_decision"' in line]
    return [record for record in found if all(record[name] == value for name, value in wanted.items())]


def asked(mesh: Mesh, host: str, url: str = f"http://out-sekisho.{SPACE}/") -> Called:
    """What the workload ``web`` is answered that asks for a host where the way out is, or by any address."""
    return mesh.from_web(url, headers={"host": host})


def test_the_provisioned_gateway_knows_a_workload_by_its_sidecar(mesh: Mesh) -> None:
    eventually(lambda: asked(mesh, ALLOWED).status == 200, within=FOLLOW_SECONDS, every=0.5, what="the way out")
    assert str(asked(mesh, ALLOWED).told["workload"]).startswith("shop-")
    denied = asked(mesh, OTHER)
    assert denied.status == 403
    assert "#platform" in denied.body
    for host, decision in ((ALLOWED, "allow"), (OTHER, "deny")):
        wanted = {"identity": mesh.principal("web"), "proved_by": "mesh", "host": host, "decision": decision}
        eventually(lambda wanted=wanted: decisions(mesh, **wanted), within=FOLLOW_SECONDS, every=0.5)  # type: ignore[misc]


def test_ports_of_its_service_say_what_they_are(mesh: Mesh) -> None:
    ports = mesh.cluster.get("service", "out-sekisho", SPACE)["spec"]["ports"]
    assert {(port["port"], port["appProtocol"]) for port in ports} == {
        (3128, "sekisho.dev/EgressProxy"),
        (80, "sekisho.dev/EgressHTTP"),
    }


def test_a_workload_without_a_sidecar_is_nobody_and_under_strict_not_heard(mesh: Mesh, outsider: str) -> None:
    url = f"http://out-sekisho.{SPACE}/"
    assert called_by(outsider, url).status == 403
    mesh.cluster.apply(strict())
    eventually(lambda: called_by(outsider, url).status == 0, within=FOLLOW_SECONDS, every=0.5, what="it is closed")
    assert asked(mesh, ALLOWED).status == 200
    eventually(lambda: decisions(mesh, reason="mutual_tls_required"), within=FOLLOW_SECONDS, every=0.5)
    mesh.cluster.delete("peerauthentication", "out", SPACE)


def test_a_namespace_s_way_out_takes_what_is_for_no_service(mesh: Mesh) -> None:
    annotated = namespace(SPACE, **{"sekisho.dev/injection": "enabled"})
    annotated["metadata"]["annotations"] = {"sekisho.dev/way-out": f"{SPACE}/out-sekisho"}
    mesh.cluster.apply(annotated)
    eventually(lambda: asked(mesh, ALLOWED, ELSEWHERE).status == 200, within=FOLLOW_SECONDS, every=0.5, what="by name")
    assert asked(mesh, OTHER, ELSEWHERE).status == 403
