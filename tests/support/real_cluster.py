"""The one-machine cluster, for tests that run inside it with the chart installed.

The tests are started there by ``conformance/run installed -- pytest tests/e2e/cluster`` (``make test-cluster``): a
process cannot enter the cluster's namespaces later. Everything goes through kubectl, as a person's work does, but for
single parts that a test stops and starts. What a test needs of its own it puts into a namespace of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Literal

from tests.support.load import LoadClient
from tests.support.manifests import Manifest, as_yaml, manifest, namespace
from tests.support.waiting import eventually

STATE_VARIABLE = "CLUSTER_STATE"
CONTROLLER_NAMESPACE = "sekisho-system"
ECHO_IMAGE = "registry.k8s.io/gateway-api/echo-basic:v1.5.1"
ECHO_PORT = 3000
_COMMAND_SECONDS = 180.0
_READY_SECONDS = 60.0

Part = Literal["etcd", "apiserver", "controllers", "node", "dns"]
Order = Literal["stop", "kill", "start"]


class CommandError(AssertionError):
    """A command ended with a failure. An assertion, so that a bounded wait may try again."""


@dataclass(frozen=True)
class RealCluster:
    """The running cluster: ``KUBECONFIG`` and the state folder come from the environment."""

    state: str

    def kubectl(self, *words: str, given: str | None = None) -> str:
        return _run("kubectl", *words, given=given)

    def apply(self, *manifests: Manifest) -> None:
        """Server-side, with strict validation: a field that the API does not know is an error."""
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", given=as_yaml(manifests)
        )

    def delete(self, kind: str, name: str, space: str = "default", *, wait: bool = True) -> None:
        self.kubectl("delete", kind, name, "-n", space, "--ignore-not-found", f"--wait={str(wait).lower()}")

    def get(self, kind: str, name: str, space: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", space, "-o", "json"))
        return found

    def items(self, kind: str, space: str = "default", selector: str = "") -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("get", kind, "-n", space, "-l", selector, "-o", "json"))
        return list(found["items"])

    def condition(self, kind: str, name: str, space: str, wanted: str) -> dict[str, Any]:
        """One condition of an object's own status; an assertion fails while it is not there or out of date."""
        found = self.get(kind, name, space)
        for condition in found.get("status", {}).get("conditions", []):
            if condition["type"] == wanted:
                generation = condition.get("observedGeneration", found["metadata"]["generation"])
                assert generation == found["metadata"]["generation"], f"{wanted} is of generation {generation}"
                return dict(condition)
        raise AssertionError(f"{kind} {space}/{name} has no condition {wanted}")

    def programmed(self, name: str, space: str = "default", *, within: float = _READY_SECONDS) -> str:
        """Wait until a Gateway is programmed, and return its address."""

        def probe() -> str:
            condition = self.condition("gateway", name, space, "Programmed")
            assert condition["status"] == "True", f"Programmed is {condition['status']}: {condition['message']}"
            addresses = self.get("gateway", name, space)["status"].get("addresses", [])
            assert addresses, "it has no address"
            return str(addresses[0]["value"])

        return eventually(probe, within=within, every=0.2, what=f"Gateway {space}/{name} is programmed")

    def rolled_out(self, deployment: str, space: str = "default") -> None:
        self.kubectl("rollout", "status", f"deployment/{deployment}", "-n", space, f"--timeout={_READY_SECONDS:.0f}s")

    def logs(self, target: str, space: str = CONTROLLER_NAMESPACE, *words: str) -> str:
        return self.kubectl("logs", "-n", space, target, *words)

    def part(self, order: Order, part: Part) -> None:
        """Stop, kill or start one process of the cluster itself, and return when that has happened."""
        _run("cluster", "part", "--state", self.state, order, part)

    @contextmanager
    def without(self, part: Part) -> Iterator[None]:
        """A time in which one part is gone. It is there again afterwards, whatever the test does."""
        self.part("stop", part)
        try:
            yield
        finally:
            self.part("start", part)

    @contextmanager
    def space(self, name: str) -> Iterator[str]:
        """A namespace for one test, gone afterwards with everything in it."""
        self.apply(namespace(name))
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def echo(self, name: str, space: str = "default", replicas: int = 1) -> None:
        """A backend that tells in JSON what it was asked and which pod it is, behind a Service with port 80."""
        self.apply(*echo_backend(name, space, replicas))
        self.rolled_out(name, space)


def inside() -> RealCluster | None:
    """The cluster that this process runs in, if it does."""
    state = os.environ.get(STATE_VARIABLE, "")
    return RealCluster(state) if state and os.environ.get("KUBECONFIG") else None


def echo_backend(name: str, space: str, replicas: int = 1) -> list[Manifest]:
    labels = {"app": name}
    fields = {"POD_NAME": "metadata.name", "NAMESPACE": "metadata.namespace"}
    container = {
        "name": "echo",
        "image": ECHO_IMAGE,
        "env": [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()],
        "readinessProbe": {"tcpSocket": {"port": ECHO_PORT}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 2}}
    deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": ECHO_PORT}]}
    return [
        manifest("apps/v1", "Deployment", name, space, spec=deployment),
        manifest("v1", "Service", name, space, spec=service),
    ]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def fetch(address: str, host: str, path: str = "/", *, port: int = 80, timeout: float = 5.0) -> Reply:
    """One request on a connection of its own. A connection that fails is an assertion, so that a wait may try again."""
    connection = HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return Reply(answer.status, answer.read())
    except OSError as error:
        raise AssertionError(f"http://{address}:{port}{path}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


class ClusterLoad(LoadClient):
    """Requests to a Gateway's address: on a connection that is kept, or each on one of its own."""

    kind = "cluster, HTTP/1.1"

    def __init__(self, address: str, host: str, *, port: int = 80, pause: float = 0.02, kept: bool = True) -> None:
        super().__init__(pause)
        self._connection = HTTPConnection(address, port, timeout=10)
        self._headers = {"Host": host}
        self._kept = kept

    def open(self) -> None:
        self._connection.connect()

    def once(self, number: int) -> None:
        self._connection.request("GET", f"/{number}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {body[:100]!r}")
        if not self._kept:
            self._connection.close()  # the next request connects by itself

    def close(self) -> None:
        self._connection.close()


@contextmanager
def under_load(address: str, host: str, *, port: int = 80, settle: float = 0.5) -> Iterator[Sequence[ClusterLoad]]:
    """Load on a kept connection and on new ones around a fault. Not one request may fail."""
    clients = [ClusterLoad(address, host, port=port, kept=kept) for kept in (True, False)]
    for client in clients:
        client.start()
    time.sleep(settle)
    try:
        yield clients
        time.sleep(settle)
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join(timeout=30)
    for client in clients:
        assert client.tally.requests > 0, "no request was made"
        assert client.tally.failed == 0, (
            f"{client.tally.failed} of {client.tally.requests} failed: {client.tally.errors}"
        )


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
