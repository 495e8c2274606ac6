"""The API server goes away, is killed, cuts what it tells, forgets what it told, and has other writers."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.api_proxy import ApiProxy
from tests.support.cluster_site import CONTROLLER_NAME, Site
from tests.support.manifests import manifest
from tests.support.real_cluster import CONTROLLER_NAMESPACE, RealCluster
from tests.support.waiting import eventually

NODE = "10.244.0.1"
PROXY_PORT, SERVER_PORT = 16443, 6443
DOWN_SECONDS = 10.0
OTHER_CONTROLLER = "example.net/other"
WRITES = 30


@pytest.fixture(scope="module")
def proxy(site: Site) -> Iterator[ApiProxy]:
    """Between the controller and the API server. Changing that rolls the controller, twice."""
    with ApiProxy((NODE, PROXY_PORT), (NODE, SERVER_PORT)) as opened:
        with site.load("the controller is rolled"):
            way = (f"KUBERNETES_SERVICE_HOST={NODE}", f"KUBERNETES_SERVICE_PORT={PROXY_PORT}")
            _environment(site.cluster, *way)
            site.follows("through-the-proxy")
        assert opened.accepted > 0, "the controller does not use the proxy"
        yield opened
        _environment(site.cluster, "KUBERNETES_SERVICE_HOST-", "KUBERNETES_SERVICE_PORT-")
        site.follows("without-the-proxy")


def _environment(cluster: RealCluster, *words: str) -> None:
    cluster.kubectl("set", "env", "deployment/sekisho-controller", "-n", CONTROLLER_NAMESPACE, *words)
    cluster.rolled_out("sekisho-controller", CONTROLLER_NAMESPACE)


def test_watches_that_are_cut_within_an_event_go_on(site: Site, proxy: ApiProxy) -> None:
    """The event is longer than a record of TLS, so that its first part is read before the cut."""
    big = site.route("long", "long.example.com")
    big["metadata"]["annotations"] = {"example.net/long": "x" * 120_000}
    with site.load("watches are cut"):
        before = proxy.cuts
        proxy.cut_after(60_000)
        site.cluster.apply(big)
        site.answers("long.example.com")
        site.says("httproute", "long", "Accepted", "True")
        assert not proxy.armed, "no watch was cut"
        assert proxy.cuts > before
        for _ in range(3):
            proxy.cut()
            site.follows("after-a-cut")


def test_versions_that_the_api_server_has_forgotten_are_listed_anew(site: Site, proxy: ApiProxy) -> None:
    """A new API server knows no version before its start. What is deleted meanwhile is told by no watch."""
    cluster = site.cluster
    cluster.apply(site.route("forgotten", "forgotten.example.com"))
    site.answers("forgotten.example.com")
    with site.load("versions expire"):
        proxy.close()
        cluster.part("kill", "apiserver")
        cluster.part("start", "apiserver")
        cluster.delete("httproute", "forgotten", site.space)
        cluster.apply(site.route("remembered", "remembered.example.com"))
        proxy.open()
        site.answers("remembered.example.com", within=40)
        site.answers("forgotten.example.com", 404)
        site.says("httproute", "remembered", "Accepted", "True")
    assert "everything is listed again" in _controller_logs(cluster), "no version had expired"


def _controller_logs(cluster: RealCluster) -> str:
    return cluster.logs("deployment/sekisho-controller", CONTROLLER_NAMESPACE)


def test_another_controller_of_the_same_route_is_neither_undone_nor_fought(site: Site) -> None:
    cluster = site.cluster
    cluster.apply(site.route("shared", "shared.example.com"))
    ours = site.says("httproute", "shared", "Accepted", "True")
    with site.load("two controllers of one route"), _versions(site.space) as versions:
        for number in range(WRITES):
            _write_parent(cluster, site.space, str(number))
        site.follows("beside-another-controller")
        time.sleep(1)
    parents = _parents(cluster, site.space)
    assert parents[OTHER_CONTROLLER]["conditions"][0]["message"] == str(WRITES - 1)
    assert site.said("httproute", "shared")["Accepted"] == ours, "what did not change was written again"
    # What was there at the start is told too.
    assert len(versions) <= WRITES + 1, f"{len(versions) - 1} writes for {WRITES} of the other controller"


def test_a_controller_that_removes_our_word_is_set_right_and_not_fought(site: Site) -> None:
    cluster = site.cluster
    cluster.apply(site.route("shared", "shared.example.com"))
    site.says("httproute", "shared", "Accepted", "True")
    _write_parent(cluster, site.space, "alone", alone=True)
    site.says("httproute", "shared", "Accepted", "True")
    assert OTHER_CONTROLLER in _parents(cluster, site.space), "its word was taken away"
    stop = threading.Event()

    def quarrel() -> None:
        while not stop.is_set():
            _write_parent(cluster, site.space, "alone", alone=True)

    with site.load("a controller that removes our word"), _versions(site.space) as versions:
        quarrelling = threading.Thread(target=quarrel)
        quarrelling.start()
        time.sleep(4)
        stop.set()
        quarrelling.join()
        site.follows("beside-a-quarrel")
    theirs = sum(1 for owners in versions.values() if owners == {OTHER_CONTROLLER})
    assert len(versions) - theirs <= 12, f"{len(versions) - theirs} repairs in 4 seconds"
    site.says("httproute", "shared", "Accepted", "True", within=40)


@contextmanager
def _versions(space: str) -> Iterator[dict[str, set[str]]]:
    """Every version of the shared route while it lasts, with who has a word in it."""
    seen: dict[str, set[str]] = {}
    command = ["kubectl", "get", "httproute", "shared", "-n", space, "--watch", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None

        def read() -> None:
            assert watching.stdout is not None
            for document in _documents(iter(lambda: watching.stdout.readline() if watching.stdout else "", "")):
                owners = {item["controllerName"] for item in document.get("status", {}).get("parents", [])}
                seen[document["metadata"]["resourceVersion"]] = owners

        reading = threading.Thread(target=read)
        reading.start()
        eventually(lambda: seen, within=10, what="the watch has begun")
        try:
            yield seen
            time.sleep(0.5)
        finally:
            watching.terminate()
            reading.join()


def _documents(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    collected: list[str] = []
    for line in lines:
        collected.append(line)
        if line.rstrip("\n") == "}":
            yield json.loads("".join(collected))
            collected.clear()


def _parents(cluster: RealCluster, space: str) -> dict[str, Any]:
    status = cluster.get("httproute", "shared", space)["status"]
    return {item["controllerName"]: item for item in status["parents"]}


def _write_parent(cluster: RealCluster, space: str, message: str, *, alone: bool = False) -> None:
    """What a controller does that reads, changes its own entry and writes; ``alone`` forgets the others' entries."""
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    entry = {"controllerName": OTHER_CONTROLLER, "parentRef": {"name": "other"}, "conditions": [condition]}
    found = cluster.get("httproute", "shared", space)
    others = [item for item in found["status"]["parents"] if item["controllerName"] == CONTROLLER_NAME]
    patch = {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "status": {"parents": [entry] if alone else [*others, entry]},
    }
    try:
        cluster.kubectl(
            "patch", "httproute", "shared", "-n", space, "--subresource=status", "--type=merge", "-p", json.dumps(patch)
        )
    except AssertionError as error:
        if "Conflict" not in str(error):
            raise


def test_a_namespace_of_many_changes_at_once_comes_to_what_was_written_last(site: Site) -> None:
    """Fifty routes are made and removed under the load, half of them twice."""
    cluster = site.cluster
    routes = [site.route(f"many-{number}", f"many-{number}.example.com") for number in range(50)]
    with site.load("many changes at once"):
        cluster.apply(*routes)
        cluster.kubectl(
            "delete", "httproute", "--wait=false", "-n", site.space, *(f"many-{number}" for number in range(25))
        )
        cluster.apply(manifest("v1", "ConfigMap", "beside", site.space, data={"key": "value"}), *routes[:5])
        site.answers("many-0.example.com")
        site.answers("many-10.example.com", 404)
        site.answers("many-40.example.com")
        cluster.kubectl(
            "delete",
            "httproute",
            "--wait=false",
            "-n",
            site.space,
            *(item["metadata"]["name"] for item in routes[:5] + routes[25:]),
        )
        site.answers("many-40.example.com", 404)


def test_the_api_server_is_killed(site: Site) -> None:
    with site.load("the API server is killed"):
        site.cluster.part("kill", "apiserver")
        site.cluster.part("start", "apiserver")
        site.follows("after-a-kill")


def test_the_api_server_is_stopped_for_ten_seconds(site: Site) -> None:
    with site.load("the API server is stopped"):
        with site.cluster.without("apiserver"):
            time.sleep(DOWN_SECONDS)
        site.follows("after-a-stop")
