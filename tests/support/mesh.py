"""A mesh without Kubernetes: a gateway, its controller, and workloads with sidecars, each in a network namespace.

Addresses are of the test's own link. Clients and applications are of the test process, on threads that have entered a
workload's namespace: the kernel takes them for that workload's.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from controller.ca.directory import AuthorityDirectory
from tests.support.authorities import utc_now
from tests.support.backends.grpc_echo import GrpcBackend
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.threaded import ThreadedServer
from tests.support.backends.websocket import WebSocketBackend
from tests.support.manifests import Manifest, write
from tests.support.namespaces import NetworkNamespace, network
from tests.support.processes import ManagedProcess
from tests.support.sekisho import run_sekisho, sekisho_command
from tests.support.waiting import eventually

SUBNET = "10.77.0"
CONTROLLER = f"{SUBNET}.1"
DISCOVERY_PORT = 15012
SIDECAR_GROUP = 1337
START_SECONDS = 30.0

HTTP, GRPC, WEBSOCKET, TCP = 8080, 8081, 8082, 9000
"""Ports of every application."""


class TcpEcho(ThreadedServer):
    """Sends back what it gets, until the other side ends."""

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._echo, self.address, self.port)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.track(writer.transport)
        self.journal.connected()
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the client's end of the connection
        finally:
            self.forget(writer.transport)
            writer.close()


@dataclass(frozen=True)
class Application:
    """What listens in a workload, on every address unless it is to be on loopback alone."""

    http: Http1Backend
    grpc: GrpcBackend
    websocket: WebSocketBackend
    tcp: TcpEcho


@contextmanager
def application(inside: NetworkNamespace, name: str, address: str = "0.0.0.0") -> Iterator[Application]:
    """The four servers of a workload."""
    with ExitStack() as stack:
        http, websocket, tcp = (
            Http1Backend(name, port=HTTP),
            WebSocketBackend(name, port=WEBSOCKET),
            TcpEcho(name, port=TCP),
        )
        for server in (http, websocket, tcp):
            server.address = address
            server.enter = inside.enter
            stack.enter_context(server)
        with inside.entered():
            grpc = GrpcBackend(name, port=GRPC, address=address)
        stack.enter_context(grpc)
        yield Application(http, grpc, websocket, tcp)


@dataclass(frozen=True)
class Workload:
    """A workload of the mesh: where it is, and who."""

    name: str
    address: str
    inside: NetworkNamespace
    service_account: str
    namespace: str = "shop"

    @property
    def identity(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{self.service_account}"

    def manifest(self, *, in_mesh: bool = True, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
        labels = {"app": self.name, **({"security.istio.io/tlsMode": "istio"} if in_mesh else {})}
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": {"name": self.name, "namespace": self.namespace, "annotations": annotations or {}},
            "spec": {
                "address": self.address,
                "serviceAccount": self.service_account,
                "labels": labels,
                **spec,
            },
        }


@dataclass
class MeshNetwork:
    """The controller with its gateway at :data:`CONTROLLER`, and workloads beside it."""

    directory: Path
    switch: NetworkNamespace
    edge: NetworkNamespace
    workloads: dict[str, Workload]
    stack: ExitStack
    sidecars: dict[str, ManagedProcess] = field(default_factory=dict)

    # --- the controller -------------------------------------------------------------------------

    @property
    def manifests(self) -> Path:
        return self.directory / "manifests"

    @property
    def authority(self) -> Path:
        return self.directory / "ca"

    def write(self, manifests: Iterable[Manifest], name: str = "main") -> None:
        self.manifests.mkdir(exist_ok=True)
        write(self.manifests / f"{name}.yaml", manifests)

    def start_controller(self, *arguments: str) -> ManagedProcess:
        """`sekisho up`, ready."""
        command = sekisho_command(
            "up", "-f", self.manifests, "--address", CONTROLLER, "--ca-dir", self.authority,
            "--ca", f"{CONTROLLER}:{DISCOVERY_PORT}", "--ca-name", CONTROLLER,
            "--workers", "1", "--access-log", self.directory / "edge.log", *arguments,
        )  # fmt: skip
        process = ManagedProcess(self.edge.command(*command), self.directory / "up.log")
        self.stack.enter_context(process)
        self._await(process, self.edge, "http://127.0.0.1:9901/healthz/ready")
        return process

    def status(self) -> dict[str, Any]:
        with self.edge.entered():
            document: dict[str, Any] = httpx.get("http://127.0.0.1:9901/status", trust_env=False).json()
        return document

    def authorize(self, command: Literal["deny", "allow"], identity: str, *names: str) -> None:
        """A command of `sekisho ca` on an identity; returns when these sidecars hold another table."""
        before = {name: self.version(name) for name in names}
        done = run_sekisho("ca", command, "--identity", identity, "--ca-dir", self.authority)
        assert done.returncode == 0, done.stderr
        for name, version in before.items():
            eventually(lambda name=name, version=version: self.version(name) != version, within=15, what="the change")  # type: ignore[misc]

    # --- sidecars -------------------------------------------------------------------------------

    def join_token(self, identity: str) -> str:
        done = run_sekisho("ca", "token", "create", "--identity", identity, "--ca-dir", self.authority)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    def start_sidecar(
        self,
        name: str,
        *arguments: str,
        identity: str = "",
        wait: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> ManagedProcess:
        """A sidecar that joins by a token, as the group that is not captured."""
        workload = self.workloads[name]
        own = self.directory / name
        own.mkdir(exist_ok=True)
        (own / "token").write_text(self.join_token(identity or workload.identity))
        bundle = own / "ca.crt"
        bundle.write_text(AuthorityDirectory(self.authority, utc_now).read().bundle_pem)
        command = sekisho_command(
            "gateway", "--role", "sidecar", "--controller", f"https://{CONTROLLER}:{DISCOVERY_PORT}",
            "--trust-bundle", bundle, "--join-token", own / "token",
            "--workload", f"{workload.namespace}/{workload.name}", "--workers", "1", "--drain-delay", "0",
            "--access-log", own / "access.log", *arguments,
        )  # fmt: skip
        as_group = [shutil.which("setpriv") or "setpriv", "--regid", str(SIDECAR_GROUP), "--clear-groups", "--"]
        inside = workload.inside.command(*as_group, *command)
        process = ManagedProcess(inside, own / "sidecar.log", environment=environment)
        self.stack.enter_context(process)
        self.sidecars[name] = process
        if wait:
            self._await(process, workload.inside, "http://127.0.0.1:15021/healthz/ready")
        return process

    def capture(self, name: str, *arguments: str) -> None:
        """Have the workload's connections redirected."""
        self.workloads[name].inside.run(*sekisho_command("sidecar-init", *arguments))

    def access_log(self, name: str) -> list[dict[str, Any]]:
        """What a sidecar has written down."""
        lines = (self.directory / name / "access.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def version(self, name: str) -> str:
        """The version of the table that a sidecar holds."""
        with self.workloads[name].inside.entered():
            return str(httpx.get("http://127.0.0.1:15021/healthz/ready", trust_env=False).json()["version"])

    def change(self, manifests: Iterable[Manifest], file: str, *names: str) -> None:
        """Write a file, and wait until these sidecars hold another table."""
        before = {name: self.version(name) for name in names}
        self.write(manifests, file)
        for name, version in before.items():
            eventually(lambda name=name, version=version: self.version(name) != version, within=15, what="the change")  # type: ignore[misc]

    def _await(self, process: ManagedProcess, inside: NetworkNamespace, url: str) -> None:
        def ready() -> bool:
            assert process.exit_code is None, process.output()
            try:
                with inside.entered():
                    return httpx.get(url, trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(ready, within=START_SECONDS, what=f"{url} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{process.output()}") from error


@contextmanager
def mesh_network(directory: Path, names: Sequence[str]) -> Iterator[MeshNetwork]:
    """Workloads by name, each with a service account of that name; nothing runs yet."""
    addresses = [f"{SUBNET}.{number}/24" for number in range(1, len(names) + 2)]
    with network(addresses) as (switch, (edge, *others)), ExitStack() as stack:
        workloads = {
            name: Workload(name, address.partition("/")[0], inside, service_account=name)
            for name, address, inside in zip(names, addresses[1:], others, strict=True)
        }
        yield MeshNetwork(directory, switch, edge, workloads, stack)


class Wiretap:
    """Everything that passes over one port of the link's switch, as it is on the wire."""

    def __init__(self, switch: NetworkNamespace, port: str) -> None:
        with switch.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
            self._socket.bind((port, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.settimeout(0.2)
        self._frames: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                self._frames.append(self._socket.recv(65_536))
            except TimeoutError:
                continue

    def __enter__(self) -> Wiretap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        self._socket.close()

    def payloads(self) -> dict[tuple[str, int, str, int], bytes]:
        """What was sent over TCP, by source and destination; segments in the order in which they passed."""
        found: dict[tuple[str, int, str, int], bytes] = {}
        for frame in list(self._frames):
            packet = frame[14:]
            if frame[12:14] != b"\x08\x00" or packet[9] != 6:
                continue
            head, size = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
            segment = packet[head:size]
            payload = segment[(segment[12] >> 4) * 4 :]
            source, destination = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
            ports = (int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big"))
            key = (source, ports[0], destination, ports[1])
            found[key] = found.get(key, b"") + payload
        return found


def is_tls(data: bytes) -> bool:
    """Whether bytes are records of TLS and nothing else; the last one may still be on its way."""
    while data:
        kind, major, length = data[0], data[1], int.from_bytes(data[3:5], "big")
        if not 0x14 <= kind <= 0x17 or major != 3:
            return False
        data = data[5 + length :]
    return True
