"""An upgrade from the previous version of the chart, with traffic on it, on a real API server.

``conformance/run cluster -- .venv/bin/python -m tests.chart.upgrade``, with the helm that ``make chart`` builds.

The previous version is this chart under a lower number, with an image of that number, with a definition that lacks a
field, and with other arguments: the controller and every gateway are replaced by it. Requests go through the address of
a Gateway of two replicas all the while, on connections that stay and on new ones. Not one may fail.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.chart.cluster import WrongError, kubectl, say, until
from tests.chart.helm import CHART, NAMESPACE, Helm, Object, RefusedError, find_helm

PREVIOUS = "0.0.9"
HOST = "shop.example.com"
_CLIENTS = 4
_PAUSE = 0.005

OBJECTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: shop
          image: registry.k8s.io/gateway-api/echo-basic:v1
          env:
            - name: POD_NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            - name: NAMESPACE
              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: 3000}]
---
apiVersion: sekisho.dev/v1alpha1
kind: GatewayParameters
metadata: {name: public, namespace: shop}
spec:
  deployment: {replicas: 2}
  podDisruptionBudget: {maxUnavailable: 1}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  gatewayClassName: sekisho
  infrastructure:
    parametersRef: {group: sekisho.dev, kind: GatewayParameters, name: public}
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: public}]
  hostnames: [shop.example.com]
  rules: [{backendRefs: [{name: shop, port: 80}]}]
"""


class Traffic:
    """Requests without end, from several clients; use it as a context."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(_CLIENTS)]
        self.answers: Counter[str] = Counter()
        self.reopened = 0
        """How often a connection that stayed was closed between two requests, which a gateway that ends may do."""

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def failed(self) -> Counter[str]:
        """Everything but 200."""
        return Counter({answer: count for answer, count in self.answers.items() if answer != "200"})

    def _client(self, number: int) -> None:
        """Even ones keep their connection, odd ones open one for each request."""
        connection = self._connection()
        while not self._stop.is_set():
            if number % 2:
                connection.close()
            fresh = connection.sock is None
            answer = self._ask(connection, fresh=fresh)
            if answer == "closed":
                connection.close()
                with self._lock:
                    self.reopened += 1
                answer = self._ask(connection, fresh=True)
            if answer != "200":
                connection.close()
            with self._lock:
                self.answers[answer] += 1
            time.sleep(_PAUSE)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, 80, timeout=10)

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, *, fresh: bool) -> str:
        try:
            connection.request("GET", "/", headers={"Host": HOST})
            response = connection.getresponse()
            response.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            # Before a word of an answer, on a connection that has been used: any client asks again (RFC 9112, 9.3.1).
            return f"{type(error).__name__} on a new connection" if fresh else "closed"
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        return str(response.status)


def previous_chart(folder: Path) -> Path:
    """The chart as it might have been before."""
    chart = folder / "sekisho"
    shutil.copytree(CHART, chart)
    description = yaml.safe_load((chart / "Chart.yaml").read_text())
    description |= {"version": PREVIOUS, "appVersion": PREVIOUS}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description))
    path = chart / "files" / "crds" / "gatewayparameters.sekisho.dev.yaml"
    definition = yaml.safe_load(path.read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del schema["properties"]["trustedHops"]
    path.write_text(yaml.safe_dump(definition))
    return chart


def install(helm: Helm, chart: Path) -> None:
    """The release from a chart, once its controller runs."""
    helm.run("upgrade", "--install", "sekisho", str(chart), "--namespace", NAMESPACE, "--create-namespace")
    rolled_out(NAMESPACE, "sekisho-controller")


def rolled_out(namespace: str, name: str) -> None:
    """Waits until every pod of a Deployment is new and ready."""
    kubectl("--namespace", namespace, "rollout", "status", f"deployment/{name}", "--timeout", "110s")


def documents(kind: str, namespace: str, *arguments: str) -> list[Object]:
    """Objects of a kind."""
    return list(json.loads(kubectl("get", kind, "--namespace", namespace, "--output", "json", *arguments))["items"])


def gateway_images() -> set[str]:
    """What the pods of the Gateway run."""
    selector = "gateway.networking.k8s.io/gateway-name=public"
    pods = documents("pods", "shop", "--selector", selector)
    return {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods}


def address_of_gateway() -> str:
    """Where it is reached, once it is programmed."""

    def programmed() -> bool:
        conditions = documents("gateways", "shop")[0].get("status", {}).get("conditions", ())
        return any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)

    until("the Gateway is programmed", programmed)
    rolled_out("shop", "public-sekisho")
    return str(documents("gateways", "shop")[0]["status"]["addresses"][0]["value"])


def check(helm: Helm, folder: Path) -> None:
    """The whole of it."""
    install(helm, previous_chart(folder))
    kubectl("create", "namespace", "shop")
    kubectl("apply", "--filename", "-", stdin=OBJECTS)
    rolled_out("shop", "shop")
    address = address_of_gateway()
    if gateway_images() != {PREVIOUS}:
        raise WrongError(f"gateways of the previous version run {gateway_images()}")
    with Traffic(address) as traffic:
        until("the route answers", lambda: traffic.answers["200"] > 0)
        traffic.answers.clear()
        say(f"version {PREVIOUS} serves at {address}; upgrading")
        install(helm, CHART)
        until("every gateway is replaced", lambda: PREVIOUS not in gateway_images() and bool(gateway_images()), 110)
        rolled_out("shop", "public-sekisho")
        time.sleep(3)
    total = traffic.answers.total()
    say(f"{total} requests, {traffic.failed.total()} failed, {traffic.reopened} connections closed between requests")
    if traffic.failed or not total:
        raise WrongError(f"requests failed during the upgrade: {dict(traffic.failed)}")
    definition = json.loads(kubectl("get", "crd", "gatewayparameters.sekisho.dev", "--output", "json"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    if "trustedHops" not in schema["properties"]:
        raise WrongError("the upgrade left the previous definition")


def main() -> int:
    """Says what came of it."""
    command = find_helm()
    if command is None:
        say("helm is missing: run `make chart` first, which builds it")
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            check(Helm(command), Path(folder))
    except (WrongError, RefusedError) as error:
        say(f"FAILED: {error}")
        sys.stdout.write(kubectl("get", "gateways,deployments,pods,events", "--all-namespaces"))
        return 1
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
