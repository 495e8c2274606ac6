"""A mesh whose gateway is the way out: workloads with sidecars beside it, and an outside beyond it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority
from tests.support.egress import HTTP, PROXY, TLS, over_tls, read_answer, status_of
from tests.support.manifests import Manifest, manifest
from tests.support.mesh import CONTROLLER, MeshNetwork, Workload
from tests.support.outside import Outside
from tests.support.waiting import eventually

WAY_OUT = "10.96.0.20"
"""The cluster address of the Service before the gateway."""
GATEWAY_NAMESPACE = "sekisho-system"
"""Of the identity of the gateway of `sekisho up`."""


def way_out_service(*ports: Manifest) -> list[Manifest]:
    """The gateway as sidecars know it: one of the mesh's workloads, behind a Service."""
    labels = {"app": "way-out", "security.istio.io/tlsMode": "istio"}
    workload = {"address": CONTROLLER, "serviceAccount": "sekisho-gateway", "labels": labels}
    service = {"selector": {"app": "way-out"}, "clusterIP": WAY_OUT, "ports": list(ports)}
    return [
        manifest("networking.istio.io/v1", "WorkloadEntry", "way-out", GATEWAY_NAMESPACE, spec=workload),
        manifest("v1", "Service", "way-out", GATEWAY_NAMESPACE, spec=service),
    ]


def peer_authentication(mode: str, namespace: str = "default") -> Manifest:
    """What the gateway demands of its clients."""
    return manifest("security.istio.io/v1", "PeerAuthentication", "way-out", namespace, spec={"mtls": {"mode": mode}})


def with_way_out(namespace: str, service: str) -> Manifest:
    """A namespace whose sidecars carry to a Service what is for none."""
    made = manifest("v1", "Namespace", namespace, None)
    made["metadata"]["annotations"] = {"sekisho.dev/way-out": service}
    return made


class WayOut:
    """What workloads do, and what the gateway wrote down about it."""

    def __init__(self, mesh: MeshNetwork, outside: Outside, authority: Path) -> None:
        self.mesh = mesh
        self.outside = outside
        self.authority = authority

    def workload(self, name: str) -> Workload:
        return self.mesh.workloads[name]

    @contextlib.contextmanager
    def connected(self, name: str, port: int = PROXY, host: str = WAY_OUT) -> Iterator[socket.socket]:
        """A connection that a workload made; by the Service unless told otherwise."""
        with self.workload(name).inside.entered():
            client = socket.create_connection((host, port), timeout=10)
        with client:
            yield client

    def connect(self, name: str, target: str, *headers: str, host: str = WAY_OUT) -> int:
        """The status of a CONNECT; 0 where the connection was closed without an answer."""
        lines = "".join(f"{header}\r\n" for header in headers)
        with self.connected(name, host=host) as client:
            client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{lines}\r\n".encode())
            return status_of(read_answer(client))

    def fetch(self, name: str, host: str, *, through: str = WAY_OUT) -> bytes:
        """What a host outside answers over TLS through a tunnel; empty where there is none."""
        with self.connected(name, host=through) as client:
            client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
            if status_of(read_answer(client)) != 200:
                return b""
            return over_tls(client, host, self.authority)

    def redirected_tls(self, name: str, host: str, *, address: str = WAY_OUT, port: int = TLS) -> bytes:
        """The same straight, as TLS that somebody redirects; empty where the handshake is refused."""
        context = ssl.create_default_context(cafile=str(self.authority))
        with self.connected(name, port, address) as client:
            try:
                with context.wrap_socket(client, server_hostname=host) as stream:
                    stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                    return stream.recv(65536)
            except (ssl.SSLError, ConnectionError):
                return b""

    def redirected_http(self, name: str, host: str, *, address: str = WAY_OUT, port: int = HTTP) -> bytes:
        """The same in the clear: the answer's head and what comes with it."""
        with self.connected(name, port, address) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return read_answer(client)

    def run(self, name: str, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """A program of the workload's, with nothing in its environment but this."""
        words = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent"]
        words += [f"{variable}={value}" for variable, value in environment.items()]
        words += [str(word) for word in command]
        inside = self.workload(name).inside.command(*words)
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)

    # --- evidence -------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        """Decision records so far."""
        log = self.mesh.directory / "edge.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in map(json.loads, lines) if line.get("record", "").startswith("egress_")]

    def decision(self, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """Wait for a decision with these fields, behind so many records."""

        def found() -> list[dict[str, Any]]:
            kept = [record for record in self.records()[after:] if record["record"] == "egress_decision"]
            return [record for record in kept if all(record[field] == value for field, value in wanted.items())]

        return eventually(found, within=10, what=f"a decision with {wanted}")[-1]


@contextlib.contextmanager
def outside_of(
    mesh: MeshNetwork, authority: Authority, zone: dict[str, list[str]], names: Sequence[str]
) -> Iterator[Outside]:
    """An outside beyond the mesh's gateway, and no other way to it."""
    own = mesh.directory / "outside"
    own.mkdir()
    with Outside(zone, authority.issue(*names).server_context(own), within=mesh.edge.name).running() as outside:
        yield outside
