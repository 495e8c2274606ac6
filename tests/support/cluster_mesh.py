"""Workloads in a mesh on the one-machine cluster: injected by the webhook, asked through an ingress Gateway.

``caller`` (``tests/support/backends/caller.py``) is every workload: it tells what it was asked, and calls others.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.routing_table.discovery import AUDIENCE
from tests.support.backends.caller import PORT
from tests.support.clients.mesh_peer import Peer
from tests.support.manifests import Manifest, gateway, http_listener, http_route, manifest, namespace, rule
from tests.support.real_cluster import CONTROLLER_NAMESPACE, RealCluster
from tests.support.waiting import eventually

IMAGE = "localhost/caller:1"
HOST = "web.example.com"
START_SECONDS = 120.0
"""For a workload with its sidecar, on a machine with other things to do."""
FOLLOW_SECONDS = 20.0
"""For a change to reach a sidecar."""


@dataclass(frozen=True)
class Called:
    """What became of a call. ``error`` where nobody answered; ``told`` is the JSON of a workload that did."""

    status: int = 0
    body: str = ""
    seconds: float = 0.0
    error: str = ""

    @property
    def told(self) -> dict[str, Any]:
        assert self.status, f"nobody answered: {self.error}"
        try:
            found: dict[str, Any] = json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"status {self.status}: {self.body[:200]}") from error
        return found

    @property
    def principal(self) -> str:
        """Who the workload was told that the client is."""
        header = str(self.told["headers"].get("x-forwarded-client-cert", ""))
        return next((part[4:] for part in header.split(";") if part.startswith("URI=")), "")


@dataclass(frozen=True)
class Mesh:
    """Workloads ``web`` and ``shop`` (versions v1 and v2) with sidecars, and a Gateway ``edge`` before ``web``."""

    cluster: RealCluster
    space: str
    address: str

    def through_edge(self, path: str = "/", host: str = HOST, headers: Mapping[str, str] | None = None) -> Called:
        """A request of a client outside."""
        return request(self.address, 80, path, {"host": host, **(headers or {})})

    def from_web(self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Called:
        """A request that the workload ``web`` makes: it knows nothing of the mesh."""
        return relayed(self.through_edge("/call", headers=order(url, method, headers)))

    def principal(self, account: str) -> str:
        return f"spiffe://cluster.local/ns/{self.space}/sa/{account}"

    def pod(self, name: str) -> dict[str, Any]:
        """The one pod of a workload."""
        (found,) = self.cluster.items("pods", self.space, f"app={name},version=v1")
        return found


def request(address: str, port: int, path: str, headers: Mapping[str, str]) -> Called:
    """One request on a connection of its own."""
    connection = HTTPConnection(address, port, timeout=15)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return Called(answer.status, answer.read().decode())
    except (OSError, HTTPException) as error:
        return Called(error=f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def order(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers by which a caller makes a request."""
    return {"x-call-url": url, "x-call-method": method, "x-call-headers": json.dumps(dict(headers or {}))}


def relayed(answer: Called) -> Called:
    """What a caller says that became of its request."""
    assert answer.status == 200, f"the caller did not answer: {answer.status} {answer.error or answer.body[:200]}"
    return Called(**answer.told)


def called_by(address: str, url: str) -> Called:
    """A request of a workload without a sidecar, at its pod's address."""
    return relayed(request(address, PORT, "/call", {"host": urlsplit(url).netloc, **order(url)}))


def workload(name: str, space: str, version: str = "v1", account: str = "") -> list[Manifest]:
    """A Deployment and its account. Whether it gets a sidecar is its namespace's."""
    labels = {"app": name, "version": version}
    container = {
        "name": "app",
        "image": IMAGE,
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "WORKLOAD", "value": f"{name}-{version}"},
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5},
    }
    spec = {"containers": [container], "serviceAccountName": account or name, "terminationGracePeriodSeconds": 5}
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return [
        manifest("v1", "ServiceAccount", account or name, space),
        manifest("apps/v1", "Deployment", f"{name}-{version}", space, spec=deployment),
    ]


def service_of(name: str, space: str, **labels: str) -> Manifest:
    """A Service of the pods with these labels, ``app`` among them unless told otherwise."""
    spec = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]}
    return manifest("v1", "Service", name, space, spec=spec)


@contextmanager
def open_mesh(cluster: RealCluster, space: str) -> Iterator[Mesh]:
    """Everything is there and answers."""
    cluster.apply(namespace(space, **{"sekisho.dev/injection": "enabled"}))
    try:
        for name, version, account in (("web", "v1", ""), ("shop", "v1", ""), ("shop", "v2", "")):
            cluster.apply(*workload(name, space, version, account))
        cluster.apply(service_of("web", space, app="web"), service_of("shop", space, app="shop"))
        cluster.apply(*(service_of(f"shop-{one}", space, app="shop", version=one) for one in ("v1", "v2")))
        cluster.apply(gateway(http_listener(80), namespace=space))
        cluster.apply(http_route("web", rule("web"), hosts=[HOST], namespace=space))
        for deployment in ("web-v1", "shop-v1", "shop-v2"):
            cluster.kubectl(
                "rollout", "status", f"deployment/{deployment}", "-n", space, f"--timeout={START_SECONDS:.0f}s"
            )
        mesh = Mesh(cluster, space, cluster.programmed("edge", space, within=START_SECONDS))
        eventually(lambda: mesh.through_edge().status == 200, within=START_SECONDS, every=0.2, what="web answers")
        yield mesh
    finally:
        cluster.kubectl("delete", "namespace", space, "--ignore-not-found", "--wait=false")


# --- identities of tests --------------------------------------------------------------------------


def token(cluster: RealCluster, space: str, account: str, audience: str = AUDIENCE) -> str:
    """A service-account token, as a pod would have it mounted."""
    return cluster.kubectl("create", "token", account, "-n", space, "--audience", audience).strip()


def certificate_for(cluster: RealCluster, proof: str, common_name: str = "") -> tuple[httpx.Response, str, str]:
    """What the controller answers to a request for a certificate, with the key and the trust bundle in PEM.

    The request claims to be somebody else.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    claimed = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/kube-system/sa/admin")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    request = request.add_extension(x509.SubjectAlternativeName([claimed]), critical=False)
    secret = cluster.get("secret", "sekisho-ca", CONTROLLER_NAMESPACE)
    bundle = base64.b64decode(secret["data"]["ca.crt"]).decode()
    address = cluster.get("service", "sekisho-controller", CONTROLLER_NAMESPACE)["spec"]["clusterIP"]
    with httpx.Client(verify=ssl.create_default_context(cadata=bundle), trust_env=False, http2=True) as client:
        answer = client.post(
            f"https://{address}:15012/v1/certificate",
            content=request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            headers={"authorization": f"Bearer {proof}"},
            extensions={"sni_hostname": f"sekisho-controller.{CONTROLLER_NAMESPACE}.svc"},
        )
    form = serialization.PrivateFormat.PKCS8
    private_key = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return answer, private_key, bundle


def certified(cluster: RealCluster, space: str, account: str) -> Peer:
    """A client with the identity of a service account."""
    answer, private_key, bundle = certificate_for(cluster, token(cluster, space, account))
    assert answer.status_code == 200, answer.text
    return Peer(answer.text, private_key, bundle)
