"""What the chart installs serves traffic, and tells the truth about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.manifests import gateway, http_listener, http_route, rule
from tests.support.real_cluster import RealCluster, fetch, under_load
from tests.support.waiting import eventually

HOST = "shop.example.com"


@dataclass(frozen=True)
class Served:
    space: str
    address: str


@pytest.fixture(scope="module")
def served(cluster: RealCluster) -> Iterator[Served]:
    """A Gateway with a route to a backend of two pods."""
    with cluster.space("installed") as space:
        cluster.echo("shop", space, replicas=2)
        route = http_route("shop", rule("shop"), hosts=[HOST], namespace=space)
        edge = gateway(http_listener(80), namespace=space)
        cluster.apply(edge, route)
        address = cluster.programmed("edge", space)
        # After an outage the cluster's own controller of EndpointSlices is behind, and tries again ever more seldom.
        eventually(lambda: fetch(address, HOST).status == 200, within=60, every=0.1, what="the route serves")
        yield Served(space, address)


def test_a_gateway_serves_its_route_and_nothing_else(served: Served) -> None:
    answer = fetch(served.address, HOST, "/cart")
    assert answer.status == 200
    assert answer.json()["path"] == "/cart"
    assert answer.json()["namespace"] == served.space
    assert fetch(served.address, "other.example.com").status == 404


def test_kubectl_shows_class_address_and_programmed(cluster: RealCluster, served: Served) -> None:
    row = cluster.kubectl("get", "gateway", "edge", "-n", served.space, "--no-headers").split()
    assert row[:4] == ["edge", "sekisho", served.address, "True"]
    row = cluster.kubectl("get", "httproute", "shop", "-n", served.space, "--no-headers").split()
    assert row[:2] == ["shop", f'["{HOST}"]']


def test_requests_go_on_while_the_api_server_is_gone(cluster: RealCluster, served: Served) -> None:
    with under_load(served.address, HOST), cluster.without("apiserver"):
        pods = {fetch(served.address, HOST).json()["pod"] for _ in range(20)}
    assert len(pods) == 2, f"only {pods} answered"
