"""A mesh on a real API server: injected sidecars, identities, STRICT, authorization, routes of a Service.

Everything is made by ``kubectl apply``. Tests of one mesh follow each other, and each takes away what it has added.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509

from gateway.routing_table.discovery import AUDIENCE
from tests.support.cluster_mesh import (
    FOLLOW_SECONDS,
    START_SECONDS,
    Called,
    Mesh,
    called_by,
    certificate_for,
    open_mesh,
    token,
    workload,
)
from tests.support.manifests import Manifest, manifest
from tests.support.real_cluster import RealCluster
from tests.support.waiting import eventually

SHOP = "http://shop/"


@pytest.fixture(scope="module")
def mesh(cluster: RealCluster) -> Iterator[Mesh]:
    with open_mesh(cluster, "mesh") as opened:
        yield opened


@contextmanager
def applied(mesh: Mesh, *manifests: Manifest) -> Iterator[None]:
    """For a while."""
    mesh.cluster.apply(*manifests)
    try:
        yield
    finally:
        for one in manifests:
            mesh.cluster.delete(one["kind"], one["metadata"]["name"], mesh.space)


def in_the_end(probe: object, what: str) -> None:
    eventually(probe, within=FOLLOW_SECONDS, every=0.1, what=what)  # type: ignore[arg-type]


# --- injection and identity -----------------------------------------------------------------------


def test_new_pods_have_a_sidecar_that_the_webhook_gave_them(mesh: Mesh) -> None:
    pod = mesh.pod("web")
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["sekisho-init", "sekisho-proxy"]
    assert pod["metadata"]["labels"]["security.istio.io/tlsMode"] == "istio"
    assert pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/app-health/app/ready"
    assert not mesh.cluster.items("pods", mesh.space, "gateway.networking.k8s.io/gateway-name=edge")[0]["spec"].get(
        "initContainers"
    )


def test_the_edge_is_known_to_the_workload_by_its_identity(mesh: Mesh) -> None:
    assert mesh.through_edge().principal == mesh.principal("edge-sekisho")


def test_a_workload_that_knows_nothing_of_the_mesh_calls_another_as_itself(mesh: Mesh) -> None:
    in_the_end(lambda: mesh.from_web(SHOP).status == 200, "web calls shop")
    called = mesh.from_web(f"http://shop.{mesh.space}.svc.cluster.local/cart")
    assert called.told["path"].startswith("/cart")
    assert called.principal == mesh.principal("web")


def test_an_identity_that_a_client_claims_is_not_believed(mesh: Mesh) -> None:
    forged = {"x-forwarded-client-cert": "By=spiffe://x;URI=spiffe://cluster.local/ns/other/sa/admin"}
    assert mesh.from_web(SHOP, headers=forged).principal == mesh.principal("web")
    assert mesh.through_edge(headers=forged).principal == mesh.principal("edge-sekisho")


def test_both_versions_of_the_workload_are_called_without_a_route(mesh: Mesh) -> None:
    in_the_end(lambda: len({mesh.from_web(SHOP).told["workload"] for _ in range(20)}) == 2, "both are called")


# --- PeerAuthentication and AuthorizationPolicy ---------------------------------------------------


@pytest.fixture(scope="module")
def outsider(cluster: RealCluster) -> Iterator[str]:
    """The address of a workload without a sidecar."""
    with cluster.space("outside") as space:
        cluster.apply(*workload("outsider", space))
        timeout = f"--timeout={START_SECONDS:.0f}s"
        cluster.kubectl("rollout", "status", "deployment/outsider-v1", "-n", space, timeout)
        (pod,) = cluster.items("pods", space, "app=outsider")
        assert "initContainers" not in pod["spec"]
        yield str(pod["status"]["podIP"])


def peer_authentication(mesh: Mesh, mode: str) -> Manifest:
    return manifest("security.istio.io/v1", "PeerAuthentication", "default", mesh.space, spec={"mtls": {"mode": mode}})


def test_strict_refuses_plaintext_and_permissive_takes_it(mesh: Mesh, outsider: str) -> None:
    url = f"http://shop-v1.{mesh.space}.svc.cluster.local/"
    called = called_by(outsider, url)
    assert (called.status, called.principal) == (200, "")
    with applied(mesh, peer_authentication(mesh, "STRICT")):
        in_the_end(lambda: called_by(outsider, url).error, "plaintext is refused")
        assert mesh.from_web(SHOP).status == 200
        assert mesh.through_edge().status == 200
        # The kubelet's probes still reach the workload.
        assert all(one["ready"] for one in mesh.pod("shop")["status"]["containerStatuses"])
    in_the_end(lambda: called_by(outsider, url).status == 200, "plaintext is taken again")


def test_an_authorization_policy_says_who_may_call_whom_and_how(mesh: Mesh) -> None:
    source = {"principals": [f"cluster.local/ns/{mesh.space}/sa/web"]}
    rule = {"from": [{"source": source}], "to": [{"operation": {"methods": ["GET"], "paths": ["/cart*"]}}]}
    spec = {"selector": {"matchLabels": {"app": "shop"}}, "action": "ALLOW", "rules": [rule]}
    policy = manifest("security.istio.io/v1", "AuthorizationPolicy", "shop", mesh.space, spec=spec)
    with applied(mesh, peer_authentication(mesh, "STRICT"), policy):
        in_the_end(lambda: mesh.from_web("http://shop/admin").status == 403, "another path is denied")
        assert mesh.from_web("http://shop/cart").status == 200
        assert mesh.from_web("http://shop/cart", method="POST").status == 403
        assert mesh.through_edge().status == 200, "the policy is of another workload"
        # The edge is nobody that the policy knows.
        assert through_edge_to_shop(mesh).status == 403
    in_the_end(lambda: mesh.from_web("http://shop/admin").status == 200, "everything is allowed again")


def through_edge_to_shop(mesh: Mesh) -> Called:
    spec = {
        "parentRefs": [{"name": "edge"}],
        "hostnames": ["shop.example.com"],
        "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}],
    }
    route = manifest("gateway.networking.k8s.io/v1", "HTTPRoute", "shop-at-edge", mesh.space, spec=spec)
    with applied(mesh, route):
        in_the_end(lambda: mesh.through_edge("/cart", host="shop.example.com").status != 404, "the edge has the route")
        return mesh.through_edge("/cart", host="shop.example.com")


# --- routes of a Service --------------------------------------------------------------------------


def shop_route(mesh: Mesh, *rules: Manifest, name: str = "shop") -> Manifest:
    parent = {"group": "", "kind": "Service", "name": "shop", "port": 80}
    spec = {"parentRefs": [parent], "rules": list(rules)}
    return manifest("gateway.networking.k8s.io/v1", "HTTPRoute", name, mesh.space, spec=spec)


def to(*versions: str, weights: tuple[int, ...] = ()) -> list[Manifest]:
    weights = weights or (1,) * len(versions)
    return [
        {"name": f"shop-{one}", "port": 80, "weight": weight} for one, weight in zip(versions, weights, strict=True)
    ]


def accepted(mesh: Mesh, route: Manifest) -> bool:
    found = mesh.cluster.get("httproute", route["metadata"]["name"], mesh.space)
    parents = found.get("status", {}).get("parents", [])
    assert parents, "it has no status yet"
    conditions = {one["type"]: one["status"] for one in parents[0]["conditions"]}
    return conditions == {"Accepted": "True", "ResolvedRefs": "True"}


def test_weights_and_headers_of_a_service_route_choose_the_version(mesh: Mesh) -> None:
    header = {"matches": [{"headers": [{"name": "x-version", "value": "v2"}]}], "backendRefs": to("v2")}
    route = shop_route(mesh, header, {"backendRefs": to("v1", "v2", weights=(9, 1))})
    with applied(mesh, route):
        in_the_end(lambda: accepted(mesh, route), "the route is accepted")

        def share() -> bool:
            seen = Counter(mesh.from_web(SHOP).told["workload"] for _ in range(40))
            return seen["shop-v1"] >= 28 and seen["shop-v2"] >= 1

        in_the_end(share, "nine of ten go to v1")
        chosen = {mesh.from_web(SHOP, headers={"x-version": "v2"}).told["workload"] for _ in range(10)}
        assert chosen == {"shop-v2"}
        assert mesh.from_web(SHOP).principal == mesh.principal("web")


def test_what_no_rule_of_a_service_matches_is_not_found(mesh: Mesh) -> None:
    only = {"matches": [{"path": {"type": "PathPrefix", "value": "/cart"}}], "backendRefs": to("v1")}
    with applied(mesh, shop_route(mesh, only)):
        in_the_end(lambda: mesh.from_web("http://shop/other").status == 404, "other paths are not found")
        assert mesh.from_web("http://shop/cart").status == 200


def test_timeouts_and_retries_of_a_service_route(mesh: Mesh) -> None:
    slow = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/slow"}}],
        "backendRefs": to("v1"),
        "timeouts": {"request": "500ms"},
    }
    flaky = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/flaky"}}],
        "backendRefs": to("v1"),
        "retry": {"codes": [503], "attempts": 3, "backoff": "10ms"},
    }
    with applied(mesh, shop_route(mesh, slow, flaky, {"backendRefs": to("v1")})):
        in_the_end(lambda: mesh.from_web("http://shop/slow?delay=3").status == 504, "the request times out")
        assert mesh.from_web("http://shop/slow?delay=3").seconds < 3
        assert mesh.from_web("http://shop/flaky?flaky=a&times=3").status == 200
        assert mesh.from_web("http://shop/other?flaky=b&times=3").status == 503


def test_a_route_to_a_port_that_a_service_does_not_have_is_told(mesh: Mesh) -> None:
    route = shop_route(mesh, {"backendRefs": to("v1")}, name="nowhere")
    route["spec"]["parentRefs"][0]["port"] = 8443

    def refused() -> bool:
        parents = mesh.cluster.get("httproute", "nowhere", mesh.space).get("status", {}).get("parents", [])
        assert parents
        condition = next(one for one in parents[0]["conditions"] if one["type"] == "Accepted")
        return bool((condition["status"], condition["reason"]) == ("False", "NoMatchingParent"))

    with applied(mesh, route):
        in_the_end(refused, "the route is told that nobody has that port")


# --- certificates ---------------------------------------------------------------------------------


def token_of(mesh: Mesh, audience: str = AUDIENCE) -> str:
    return token(mesh.cluster, mesh.space, "web", audience)


def test_the_api_server_says_whose_certificate_it_is_whatever_the_request_claims(mesh: Mesh) -> None:
    answer = certificate_for(mesh.cluster, token_of(mesh), common_name="admin")[0]
    assert answer.status_code == 200, answer.text
    leaf = x509.load_pem_x509_certificates(answer.content)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [mesh.principal("web")]


def test_a_token_for_another_audience_or_of_nobody_gets_no_certificate(mesh: Mesh) -> None:
    assert certificate_for(mesh.cluster, token_of(mesh, "https://kubernetes.default.svc"))[0].status_code == 401
    assert certificate_for(mesh.cluster, "nobody")[0].status_code == 401


def test_who_is_in_the_mesh_can_be_read_from_the_pods_own_status(mesh: Mesh) -> None:
    status = json.loads(mesh.pod("web")["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert status["initContainers"] == ["sekisho-init", "sekisho-proxy"]
    states = {one["name"]: one["ready"] for one in mesh.pod("web")["status"]["initContainerStatuses"]}
    assert states["sekisho-proxy"]
