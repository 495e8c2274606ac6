"""An egress Gateway and EgressPolicies by kubectl, with the NetworkPolicy that leaves no other way out.

The cluster enforces no NetworkPolicy. What is checked of the example is that the API server takes it strictly, and that
what it selects is what it means: the gateway's pods, at the port where they listen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clients.forward_proxy import through
from tests.support.examples import example
from tests.support.manifests import Manifest, manifest
from tests.support.real_cluster import CommandError, RealCluster
from tests.support.waiting import eventually

OUT, SHOP = "infra", "shop"
PORT = 3128
PODS = "gateway.networking.k8s.io/gateway-name=out"
START_SECONDS, FOLLOW_SECONDS = 120.0, 20.0


def inward(*names: str, **spec: Any) -> Manifest:
    """A policy for Services of the cluster, whose addresses are private."""
    rule = {
        "name": "services",
        "to": [{"names": list(names), "ports": [80], "protocols": ["HTTP"]}],
        "addressBlocks": ["10.0.0.0/8"],
    }
    spec = {"targetRefs": [{"name": "out"}], "contact": "#platform", "rules": [rule], **spec}
    return manifest("sekisho.dev/v1alpha1", "EgressPolicy", "services", OUT, spec=spec)


@pytest.fixture(scope="module")
def address(cluster: RealCluster) -> Iterator[str]:
    """Where the way out listens: everything of the examples is applied."""
    with cluster.space(OUT), cluster.space(SHOP):
        for file in ("way-out", "one-destination", "network-policy"):
            cluster.apply(*example(f"egress/{file}.yaml"))
        cluster.echo("api", SHOP)
        cluster.echo("other", SHOP)
        yield cluster.programmed("out", OUT, within=START_SECONDS)


def conditions(cluster: RealCluster, name: str) -> dict[str, dict[str, Any]]:
    """Of a policy's one Gateway, of this moment's generation."""
    found = cluster.get("egresspolicy", name, OUT)
    (ancestor,) = found.get("status", {}).get("ancestors", [None])
    assert ancestor is not None, "it has no status yet"
    generation = found["metadata"]["generation"]
    return {it["type"]: it for it in ancestor["conditions"] if it["observedGeneration"] == generation}


def records(cluster: RealCluster) -> list[dict[str, Any]]:
    lines = cluster.logs("deployment/out-sekisho", OUT).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and '"record":"egress_' in line]


def test_the_policy_decides_and_says_so(cluster: RealCluster, address: str) -> None:
    allowed, denied = (f"http://{name}.{SHOP}.svc.cluster.local/" for name in ("api", "other"))

    def answered(url: str, status: int) -> str:
        def probe() -> str:
            got, text = through(address, url)
            assert got == status, f"{url} is answered with {got}: {text[:200]}"
            return text

        return eventually(probe, within=FOLLOW_SECONDS, every=0.2)

    text = answered(allowed, 403)
    assert "egress_denied" in text, "nothing but edition.cnn.com is allowed so far"
    assert "#platform" in text
    cluster.apply(inward(f"api.{SHOP}.svc.cluster.local"))
    assert '"pod": "api-' in answered(allowed, 200)
    answered(denied, 403)

    def enforced() -> bool:
        said = conditions(cluster, "services")
        assert said["Accepted"]["status"] == "True", said
        return bool(said["sekisho.dev/Enforced"]["status"] == "True")

    eventually(enforced, within=FOLLOW_SECONDS, every=0.2)

    def recorded() -> bool:
        found = [record for record in records(cluster) if record["record"] == "egress_decision"]
        told = {(record["host"].split(".")[0], record["decision"], record["policy"]) for record in found}
        assert ("api", "allow", f"{OUT}/services") in told, told
        return any(decision == "deny" and host == "other" for host, decision, _ in told)

    eventually(recorded, within=FOLLOW_SECONDS, every=0.5)
    cluster.apply(inward(f"api.{SHOP}.svc.cluster.local", mode="Report"))
    answered(f"http://api.{SHOP}.svc.cluster.local/", 200)

    def reporting() -> bool:
        return bool(conditions(cluster, "services")["sekisho.dev/ReportOnly"]["status"] == "True")

    eventually(reporting, within=FOLLOW_SECONDS, every=0.2)
    cluster.delete("egresspolicy", "services", OUT)
    answered(allowed, 403)


def test_what_allows_everything_unawares_is_not_accepted(cluster: RealCluster, address: str) -> None:
    try:
        cluster.apply(inward("*"))
    except CommandError:
        return  # the server's own schema refuses it

    def refused() -> bool:
        return bool(conditions(cluster, "services")["Accepted"]["status"] == "False")

    eventually(refused, within=FOLLOW_SECONDS, every=0.2)
    assert through(address, f"http://api.{SHOP}.svc.cluster.local/")[0] == 403
    cluster.delete("egresspolicy", "services", OUT)


@pytest.mark.usefixtures("address")
def test_the_network_policy_selects_the_gateway_where_it_listens(cluster: RealCluster) -> None:
    pods = cluster.items("pods", OUT, PODS)
    assert pods, "the selector of the example selects the gateway's pods"
    for pod in pods:
        status, _ = through(pod["status"]["podIP"], f"http://other.{SHOP}.svc.cluster.local/")
        assert status == 403, "the pod itself listens at the port of the example"
    names = cluster.get("namespace", OUT)["metadata"]["labels"]
    assert names["kubernetes.io/metadata.name"] == OUT
    found = cluster.get("networkpolicy", "out-by-the-gateway-alone", SHOP)["spec"]
    assert found["policyTypes"] == ["Egress"]
    assert [port["port"] for port in found["egress"][-1]["ports"]] == [PORT]
