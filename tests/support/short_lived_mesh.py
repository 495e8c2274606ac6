"""A mesh whose certificates live shortly: an edge, two sidecars, and what their peers see of their certificates."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support.load_process import Place
from tests.support.manifests import Manifest
from tests.support.mesh import CONTROLLER, GRPC, HTTP, TCP, WEBSOCKET, MeshNetwork, application, mesh_network
from tests.support.namespaces import NetworkNamespace

EDGE_HTTP, EDGE_TCP = 8000, 9000
VIRTUAL = "10.96.0.10"
"""The cluster address of the Service."""
PORTS = {"http": (80, HTTP), "grpc": (81, GRPC), "http-ws": (82, WEBSOCKET), "tcp": (9000, TCP)}
HOSTS = {"http": "cart.example.com", "grpc": "calls.example.com", "websocket": "sockets.example.com"}
_SECONDS = 10.0


def manifests(mesh: MeshNetwork) -> list[Manifest]:
    """An edge, and a workload behind a sidecar that takes mutual TLS alone."""
    listeners = [
        {"name": "http", "port": EDGE_HTTP, "protocol": "HTTP"},
        {"name": "tcp", "port": EDGE_TCP, "protocol": "TCP"},
    ]
    ports = [{"name": name, "port": port, "targetPort": target} for name, (port, target) in PORTS.items()]
    return [
        _named("gateway.networking.k8s.io/v1", "Gateway", "edge", gatewayClassName="sekisho", listeners=listeners),
        _named("v1", "Service", "cart", selector={"app": "cart"}, clusterIP=VIRTUAL, ports=ports),
        _named("security.istio.io/v1", "PeerAuthentication", "strict", mtls={"mode": "STRICT"}),
        _route("HTTPRoute", "cart", "http", 80, HOSTS["http"]),
        _route("GRPCRoute", "calls", "http", 81, HOSTS["grpc"]),
        _route("HTTPRoute", "sockets", "http", 82, HOSTS["websocket"]),
        _route("TCPRoute", "streams", "tcp", 9000),
        *(mesh.workloads[name].manifest() for name in ("cart", "web")),
    ]


def _named(version: str, kind: str, name: str, **spec: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def _route(kind: str, name: str, section: str, port: int, *hosts: str) -> Manifest:
    version = "v1alpha2" if kind == "TCPRoute" else "v1"
    spec: dict[str, Any] = {
        "parentRefs": [{"name": "edge", "sectionName": section}],
        "rules": [{"backendRefs": [{"name": "cart", "port": port}]}],
    }
    if hosts:
        spec["hostnames"] = list(hosts)
    return _named(f"gateway.networking.k8s.io/{version}", kind, name, **spec)


PLACES: dict[str, dict[str, Place]] = {
    "outside": {
        **{name: (CONTROLLER, EDGE_HTTP, host) for name, host in HOSTS.items()},
        "tcp": (CONTROLLER, EDGE_TCP, ""),
    },
    "web": {
        "http": (VIRTUAL, 80, "cart"),
        "grpc": (VIRTUAL, 81, "cart"),
        "websocket": (VIRTUAL, 82, "cart"),
        "tcp": (VIRTUAL, 9000, ""),
    },
}
"""By the workload that calls."""


@contextmanager
def running(directory: Path, lifetime: int) -> Iterator[MeshNetwork]:
    with mesh_network(directory, ["cart", "web", "outside"]) as mesh:
        mesh.write(manifests(mesh))
        mesh.start_controller("--certificate-lifetime", f"{lifetime}s")
        for name in ("cart", "web"):
            mesh.start_sidecar(name)
            mesh.capture(name)
        with application(mesh.workloads["cart"].inside, "cart"):
            try:
                yield mesh
            finally:
                for sidecar in mesh.sidecars.values():
                    sidecar.stop()  # Before the application, which would else be cut off from its clients.


# --- what is watched ------------------------------------------------------------------------------


@dataclass
class DataPlane:
    """One data plane, and the certificates that its peers saw."""

    name: str
    inside: NetworkNamespace
    port: int
    """Of its metrics, on loopback."""
    first: int = 0
    taken: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def renewals(self) -> int:
        """Since it was first looked at."""
        return self.taken - self.first

    def look(self) -> None:
        """Counts the certificates that it took into use."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        with self.inside.entered(), closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        name = "sekisho_identity_certificates_total "
        self.taken = next(int(float(line.removeprefix(name))) for line in text.splitlines() if line.startswith(name))
        self.first = self.first or self.taken


def data_planes(mesh: MeshNetwork) -> dict[str, DataPlane]:
    """By name."""
    found = [DataPlane("edge", mesh.edge, 9901)]
    found += [DataPlane(f"sidecar of {name}", mesh.workloads[name].inside, 15021) for name in ("web", "cart")]
    return {one.name: one for one in found}


def shown_by_server(mesh: MeshNetwork, bundle: str = "") -> str:
    """The SHA-256 of the certificate that the called sidecar shows, empty if none; with a bundle it is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # Its name is a URI.
    if bundle:
        context.load_verify_locations(cadata=bundle)
    else:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    try:
        with mesh.workloads["outside"].inside.entered():
            plain = socket.create_connection((mesh.workloads["cart"].address, HTTP), timeout=_SECONDS)
        with plain, context.wrap_socket(plain) as secured:
            return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""
