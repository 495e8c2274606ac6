"""Replicas are killed, rolled and gone: of the controller, of a gateway."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster_load import Target, steady_load
from tests.support.cluster_processes import kill_pod_process, process_of
from tests.support.cluster_site import HOST, Site, gateway_parameters, ready_pods
from tests.support.manifests import gateway, http_listener, parent
from tests.support.real_cluster import CONTROLLER_NAMESPACE, RealCluster, fetch
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 15.0
PAIR = "gateway.networking.k8s.io/gateway-name=pair"


@pytest.fixture(scope="module")
def pair(site: Site) -> Iterator[Target]:
    """A Gateway of two pods."""
    edge = gateway(http_listener(80), name="pair", namespace=site.space, parameters="pair")
    route = site.route("pair", HOST)
    route["spec"]["parentRefs"] = [parent("pair")]
    cluster = site.cluster
    cluster.apply(gateway_parameters("pair", site.space, deployment={"replicas": 2}), edge, route)
    address = cluster.programmed("pair", site.space)
    eventually(lambda: len(ready_pods(cluster, site.space, PAIR)) == 2, within=30, every=0.2, what="two pods are ready")
    eventually(lambda: fetch(address, HOST).status == 200, within=10, what="the pair serves")
    yield Target(address, HOST)
    cluster.delete("gateway", "pair", site.space, wait=False)
    cluster.delete("httproute", "pair", site.space, wait=False)


@contextmanager
def replicas(site: Site, number: int) -> Iterator[None]:
    """The chart with another number of controllers, and with one again afterwards."""
    _install(f"controller.replicas={number}")
    try:
        eventually(lambda: len(site.controllers()) == number, within=60, every=0.2, what=f"{number} controllers")
        yield
    finally:
        _install("controller.replicas=1")
        eventually(lambda: len(site.controllers()) == 1, within=60, every=0.2, what="one controller again")


def _install(value: str) -> None:
    command = [str(ROOT / "tests" / "e2e" / "cluster" / "install"), "--set", value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_leader_is_killed_and_the_other_writes_within_the_lease(site: Site) -> None:
    cluster = site.cluster
    with site.load("the leader is killed"), replicas(site, 2):
        leader = eventually(lambda: _leader(cluster), within=30, every=0.2, what="somebody leads")
        assert leader in site.controllers()
        kill_pod_process(leader)
        cluster.kubectl("delete", "pod", leader, "-n", CONTROLLER_NAMESPACE, "--grace-period=0", "--force")
        seconds = site.follows("after-the-leader", within=LEASE_SECONDS + 10)
        assert _leader(cluster) != leader
        assert seconds < LEASE_SECONDS + 5, f"the status took {seconds:.1f} s"
        # It provisions too, and hears what gateways answer, its own and others'.
        cluster.apply(gateway(http_listener(80), name="successor", namespace=site.space))
        cluster.programmed("successor", site.space)
        again = _leader(cluster)
        cluster.kubectl("delete", "pod", again, "-n", CONTROLLER_NAMESPACE, "--wait=false")
        seconds = site.follows("after-a-leader-that-was-asked-to-go")
        assert seconds < 5, f"the lease was given back, and the status took {seconds:.1f} s"
    cluster.delete("gateway", "successor", site.space, wait=False)


def test_gateways_serve_and_start_without_any_controller(site: Site, pair: Target) -> None:
    cluster = site.cluster
    with site.load("no controller at all"):
        cluster.kubectl("scale", "deployment/sekisho-controller", "-n", CONTROLLER_NAMESPACE, "--replicas=0")
        eventually(lambda: not site.controllers(), within=40, every=0.2, what="no controller is left")
        for pod in ready_pods(cluster, site.space, PAIR):
            _kill_and_see_it_again(pod)
        eventually(lambda: len(ready_pods(cluster, site.space, PAIR)) == 2, within=40, every=0.2, what="both are ready")
        with steady_load("restarted without a controller", pair):
            pods = {fetch(pair.address, HOST).json()["pod"] for _ in range(20)}
        assert len(pods) == 2, "the restarted gateways do not serve their stored table"
        cluster.kubectl("scale", "deployment/sekisho-controller", "-n", CONTROLLER_NAMESPACE, "--replicas=1")
        cluster.rolled_out("sekisho-controller", CONTROLLER_NAMESPACE)
        site.follows("after-no-controller", within=40)
    assert cluster.programmed("pair", site.space) == pair.address


def test_one_of_two_gateways_is_killed(site: Site, pair: Target) -> None:
    """What it had in hand is lost with it. Whoever connects from then on is served."""
    cluster = site.cluster
    victim = ready_pods(cluster, site.space, PAIR)[0]
    before = kill_pod_process(victim)
    with steady_load("one of two gateways is killed", pair):
        _started_again(victim, before)
        eventually(lambda: len(ready_pods(cluster, site.space, PAIR)) == 2, within=30, every=0.2, what="it is ready")


def test_a_roll_of_the_gateways_loses_no_request(site: Site, pair: Target) -> None:
    """Connections are asked to end, and clients that come back find the new pods. A long stream lasts for its grace."""
    cluster = site.cluster
    names = set(ready_pods(cluster, site.space, PAIR))
    with steady_load("the gateways are rolled", pair, streams=False):
        cluster.kubectl("rollout", "restart", "deployment/pair-sekisho", "-n", site.space)
        cluster.rolled_out("pair-sekisho", site.space)
        eventually(
            lambda: not names & set(ready_pods(cluster, site.space, PAIR)), within=30, every=0.2, what="all are new"
        )
        time.sleep(2)


def _kill_and_see_it_again(pod: str) -> None:
    _started_again(pod, kill_pod_process(pod))


def _started_again(pod: str, before: int) -> None:
    eventually(lambda: process_of(pod) != before, within=20, every=0.1, what=f"{pod} starts again")


def _leader(cluster: RealCluster) -> str:
    holder = cluster.get("lease", "sekisho-controller", CONTROLLER_NAMESPACE)["spec"].get("holderIdentity", "")
    return str(holder).partition("_")[0]
