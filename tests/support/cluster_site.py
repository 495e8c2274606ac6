"""A Gateway on the one-machine cluster with a backend behind it, and what tests of faults ask of it again and again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.certificates import shared_authority
from tests.support.cluster_load import LEDGER, Target, steady_load
from tests.support.load import LoadClient
from tests.support.manifests import (
    Manifest,
    gateway,
    http_listener,
    http_route,
    https_listener,
    manifest,
    parent,
    rule,
    tls_secret,
)
from tests.support.real_cluster import CONTROLLER_NAMESPACE, RealCluster, fetch
from tests.support.waiting import eventually

CONTROLLER_NAME = "sekisho.dev/gateway-controller"
HOST = "shop.example.com"
SECRET = "certificate"
FOLLOW_SECONDS = 20.0
_CONTROLLERS = "app.kubernetes.io/component=controller"
_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"


@dataclass(frozen=True)
class Site:
    """Gateway ``edge`` with a listener for HTTP and one for HTTPS, and the route ``shop`` to a Service of that name."""

    cluster: RealCluster
    space: str
    address: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def load(self, what: str, *, tls: bool = False) -> Iterator[Sequence[LoadClient]]:
        """Constant load on ``shop``; see :func:`steady_load`. Nothing that is there all the time may start anew."""
        before = self._restarts()
        with steady_load(what, Target(self.address, HOST, 443 if tls else 80, tls)) as clients:
            yield clients
        after = self._restarts()
        again = [pod for pod, number in before.items() if after.get(pod, number) != number]
        assert not again, f"{again} started anew"

    def _restarts(self) -> dict[str, int]:
        """How often the containers of the controllers and of ``edge`` started again, by pod."""
        pods = self.cluster.items("pods", CONTROLLER_NAMESPACE, _CONTROLLERS)
        pods += self.cluster.items("pods", self.space, f"{_GATEWAY_NAME}=edge")
        return {
            pod["metadata"]["name"]: sum(
                container["restartCount"] for container in pod.get("status", {}).get("containerStatuses", [])
            )
            for pod in pods
        }

    def route(self, name: str, host: str, *rules: Manifest, space: str = "") -> Manifest:
        """A route of a namespace, to the Service ``shop`` unless rules are given."""
        parents = [parent("edge", namespace=self.space)]
        return http_route(
            name, *(rules or (rule("shop"),)), hosts=[host], parents=parents, namespace=space or self.space
        )

    def answers(self, host: str, status: int = 200, *, within: float = FOLLOW_SECONDS) -> None:
        """Wait until requests for a host are answered so."""

        def probe() -> bool:
            got = fetch(self.address, host).status
            assert got == status, f"{host} is answered with {got}"
            return True

        eventually(probe, within=within, what=f"{host} is answered with {status}")

    def follows(self, what: str, *, within: float = FOLLOW_SECONDS) -> float:
        """A new route is served, and its status says so; how many seconds that took."""
        name = f"{what}-{next(self._numbers)}"
        began = time.monotonic()
        self.cluster.apply(self.route(name, f"{name}.example.com"))
        self.answers(f"{name}.example.com", within=within)
        self.says("httproute", name, "Accepted", "True", within=within)
        seconds = time.monotonic() - began
        LEDGER.say(f"{name}: served and said in its status {seconds:.1f} s after it was applied")
        return seconds

    def says(
        self, kind: str, name: str, type_: str, status: str, *, within: float = FOLLOW_SECONDS, space: str = ""
    ) -> dict[str, Any]:
        """Wait until our word on an object is so."""

        def probe() -> dict[str, Any]:
            found = self.said(kind, name, space)
            assert type_ in found, f"nothing is said of {type_}: {sorted(found)}"
            assert found[type_]["status"] == status, f"{type_} is {found[type_]}"
            return dict(found[type_])

        return eventually(probe, within=within, every=0.1, what=f"{type_} of {kind} {name} is {status}")

    def said(self, kind: str, name: str, space: str = "") -> dict[str, dict[str, Any]]:
        """Our conditions of an object of this moment's generation, by type."""
        found = self.cluster.get(kind, name, space or self.space)
        status = found.get("status", {})
        conditions = list(status.get("conditions", []))
        for of_parent in status.get("parents", []):
            if of_parent["controllerName"] == CONTROLLER_NAME:
                conditions += of_parent["conditions"]
        generation = found["metadata"]["generation"]
        return {item["type"]: item for item in conditions if item.get("observedGeneration") == generation}

    def listener(self, name: str, gateway_name: str = "edge") -> dict[str, dict[str, Any]]:
        """The conditions of a listener, by type."""
        found = self.cluster.get("gateway", gateway_name, self.space)
        for listener in found.get("status", {}).get("listeners", []):
            if listener["name"] == name:
                return {item["type"]: item for item in listener["conditions"]}
        raise AssertionError(f"Gateway {gateway_name} says nothing of listener {name}")

    def certificate(self, key_type: str = "ecdsa", name: str = SECRET) -> Manifest:
        """A Secret with a new certificate for every host of the tests."""
        return tls_secret(name, shared_authority().issue("*.example.com", key_type=key_type), self.space)

    def pods(self, gateway_name: str = "edge") -> list[str]:
        """Pods of a Gateway that are ready."""
        return ready_pods(self.cluster, self.space, f"{_GATEWAY_NAME}={gateway_name}")

    def controllers(self) -> list[str]:
        """Pods of the controller that are ready."""
        return ready_pods(self.cluster, CONTROLLER_NAMESPACE, _CONTROLLERS)


@contextmanager
def open_site(cluster: RealCluster, space: str) -> Iterator[Site]:
    """The Gateway, served and programmed."""
    with cluster.space(space):
        cluster.echo("shop", space, replicas=2)
        cluster.apply(tls_secret(SECRET, shared_authority().issue("*.example.com"), space))
        cluster.apply(gateway(http_listener(80), https_listener(443, SECRET), namespace=space))
        site = Site(cluster, space, cluster.programmed("edge", space))
        cluster.apply(site.route("shop", HOST))
        site.answers(HOST)
        yield site


def ready_pods(cluster: RealCluster, space: str, selector: str) -> list[str]:
    """Names of the pods that are ready and are not being removed."""
    return [
        pod["metadata"]["name"]
        for pod in cluster.items("pods", space, selector)
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in pod.get("status", {}).get("conditions", [])
        )
    ]


def gateway_parameters(name: str, space: str, **spec: Any) -> Manifest:
    return manifest("sekisho.dev/v1alpha1", "GatewayParameters", name, space, spec=spec)
