"""Engines with identities of one mesh, and tables for them: no controller, and no namespaces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from controller.ca.authority import Authority, Issued
from controller.ca.service_account import ServiceAccount
from gateway import _engine
from gateway.routing_table import model, wire
from tests.support.ports import free_port
from tests.support.waiting import eventually

TRUST_DOMAIN = "cluster.local"
GATEWAY = "shop/node"


def account(name: str, namespace: str = "shop") -> ServiceAccount:
    return ServiceAccount(namespace, name)


def principal(who: ServiceAccount) -> str:
    return who.uri(TRUST_DOMAIN).removeprefix("spiffe://")


def backend_key(name: str) -> str:
    return f"Service/shop/{name}/80"


def peer(name: str, tunnel: str = "") -> model.Peer:
    """A workload of the mesh; ``tunnel``: the address of what takes tunnels for it."""
    form: Literal["", "HBONE"] = "HBONE" if tunnel else ""
    return model.Peer(identity=principal(account(name)), tunnel=form, tunnel_address=tunnel, workload=f"shop/{name}-v1")


def endpoint(port: int, who: model.Peer | None = None) -> model.Endpoint:
    return model.Endpoint(address="127.0.0.1", port=port, peer=who)


def listener(
    name: str,
    bind_port: int,
    protocol: Literal["HTTP", "TCP", "HBONE"] = "HTTP",
    *,
    port: int = 0,
    captured: model.Captured | None = None,
    mesh: model.MeshServer | None = None,
    inner: str = "",
) -> model.Listener:
    """``port``: the one that clients dial, unless it is the one that is bound."""
    return model.Listener(
        key=f"{GATEWAY}/{name}",
        gateway=GATEWAY,
        address="127.0.0.1",
        port=port or bind_port,
        bind_port=bind_port,
        protocol=protocol,
        captured=captured,
        mesh=mesh,
        inner=inner,
    )


def before_workload(mode: Literal["STRICT", "PERMISSIVE", "DISABLE"] = "STRICT") -> model.MeshServer:
    return model.MeshServer(mode=mode)


@dataclass
class Table:
    """Each listener leads to the backend of its name."""

    listeners: list[model.Listener] = field(default_factory=list)
    backends: dict[str, tuple[model.Endpoint, ...]] = field(default_factory=dict)
    backend: dict[str, Any] = field(default_factory=dict)
    """More fields of every backend."""
    gateway: dict[str, Any] = field(default_factory=dict)
    policies: tuple[model.AuthorizationPolicy, ...] = ()
    egress: tuple[model.EgressPolicy, ...] = ()

    def serve(
        self, at: model.Listener, *endpoints: model.Endpoint, policies: Iterable[model.AuthorizationPolicy] = ()
    ) -> None:
        """One more listener, with its backend."""
        policies = tuple(policies)
        self.policies += policies
        self.listeners.append(msgspec.structs.replace(at, authorization=tuple(policy.key for policy in policies)))
        self.backends[at.key.rsplit("/", 1)[1]] = endpoints

    def snapshot(self, version: str) -> model.Snapshot:
        return model.Snapshot(
            version=version,
            resources=model.Resources(
                endpoints=tuple(
                    model.Endpoints(key=backend_key(name), endpoints=endpoints)
                    for name, endpoints in self.backends.items()
                ),
                backends=tuple(
                    model.Backend(
                        key=backend_key(name),
                        mesh_server_name=f"outbound_.80_._.{name}.shop.svc.cluster.local",
                        destination=model.Destination(
                            service=f"{name}.shop.svc.cluster.local", service_name=name, service_namespace="shop"
                        ),
                        **self.backend,
                    )
                    for name in self.backends
                ),
                gateways=(model.Gateway(key=GATEWAY, **self.gateway),),
                authorization_policies=self.policies,
                egress_policies=self.egress,
                listeners=tuple(self.listeners),
                routes=tuple(_route(at) for at in self.listeners if at.protocol != "HBONE" and at.egress is None),
            ),
        )


def _route(at: model.Listener) -> model.Route:
    name = at.key.rsplit("/", 1)[1]
    requests = at.protocol == "HTTP"
    return model.Route(
        key=f"{'HTTPRoute' if requests else 'TCPRoute'}/shop/{name}/0",
        kind="HTTPRoute" if requests else "TCPRoute",
        object=f"shop/{name}",
        rule=0,
        attachments=(model.Attachment(listener=at.key, hostnames=("*",)),),
        matches=(model.Match(),) if requests else (),
        backends=(model.WeightedBackend(backend=backend_key(name)),),
    )


@dataclass
class Mesh:
    """An authority, and what it issues."""

    authority: Authority = field(default_factory=Authority.create)

    def issue(self, who: ServiceAccount) -> Issued:
        return self.authority.issue(who)

    @property
    def bundle(self) -> str:
        return self.authority.bundle_pem


class Node:
    """One engine; ``name`` is its service account, none for an engine without identity."""

    def __init__(self, mesh: Mesh, name: str, directory: Path, workers: int = 1) -> None:
        self.log = directory / f"{name or 'nobody'}.log"
        self.engine = _engine.Engine(json.dumps({"workers": workers, "access_log": str(self.log)}).encode())
        self._version = 0
        if name:
            self.become(mesh, name)

    def become(self, mesh: Mesh, name: str) -> None:
        issued = mesh.issue(account(name))
        self.engine.set_identity(issued.chain, issued.private_key, mesh.bundle, TRUST_DOMAIN)

    def apply(self, table: Table) -> None:
        self._version += 1
        answer = json.loads(self.engine.apply(wire.encode(table.snapshot(str(self._version)))))
        assert not answer["rejected"], answer
        assert not answer.get("error"), answer
        assert all(state["bound"] for state in answer["listeners"]), answer

    def lead(self, *endpoints: model.Endpoint, tcp: bool = False, **backend: Any) -> int:
        """Its port, whose one listener leads to the endpoints; ``backend``: more fields of the backend."""
        port = free_port()
        table = Table(backend=backend)
        table.serve(listener("cart", port, "TCP" if tcp else "HTTP"), *endpoints)
        self.apply(table)
        return port

    def stand_before(
        self, app_port: int, at: model.Listener, *, policies: Iterable[model.AuthorizationPolicy] = ()
    ) -> None:
        """What comes to the listener goes to the app."""
        table = Table()
        table.serve(at, endpoint(app_port), policies=policies)
        self.apply(table)

    def lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""
        eventually(lambda: len(self._text()) >= count, what=f"{count} lines in {self.log.name}")
        return [json.loads(line) for line in self._text()]

    def _text(self) -> list[str]:
        return self.log.read_text().splitlines()

    def statistics(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.engine.statistics())
        return document

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()
