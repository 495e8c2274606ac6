"""Interoperation with a real Envoy that is configured the way Istio configures a sidecar, on either side of ours."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import grpc
import msgspec
import pytest

from gateway.routing_table import model
from tests.support.backends.grpc_echo import UNARY, GrpcBackend
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.http2 import Http2Backend
from tests.support.clients.raw import RawClient
from tests.support.envoy import Envoy
from tests.support.layer4 import StreamBackend, converse, dial
from tests.support.mesh_engine import (
    Mesh,
    Node,
    Table,
    account,
    before_workload,
    endpoint,
    listener,
    peer,
    principal,
)
from tests.support.mesh_requests import get, told_of
from tests.support.ports import free_port

EDGE = "spiffe://cluster.local/ns/shop/sa/edge"
CALLER = "spiffe://cluster.local/ns/shop/sa/caller"
SERVER_NAME = "outbound_.80_._.cart.shop.svc.cluster.local"


def test_our_edge_reaches_an_app_through_an_istio_sidecar(
    edge: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    inbound = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.inbound(inbound, app.port, "edge")
    stack.enter_context(envoy.running(tmp_path))
    with RawClient(edge.lead(endpoint(inbound, peer("cart")))) as client:
        for _ in range(3):
            assert f"URI={EDGE}" in told_of(client.request("GET", "/").report)
    assert edge.statistics()["backends"][0]["connections_opened"] == 1


def test_grpc_reaches_an_app_through_an_istio_sidecar(edge: Node, mesh: Mesh, stack: ExitStack, tmp_path: Path) -> None:
    backend = stack.enter_context(GrpcBackend("grpc"))
    inbound = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.inbound(inbound, backend.port, "edge", http2=True)
    stack.enter_context(envoy.running(tmp_path))
    with grpc.insecure_channel(f"127.0.0.1:{edge.lead(endpoint(inbound, peer('cart')))}") as channel:
        assert channel.unary_unary(UNARY)(b'{"text": "hello"}', timeout=10)


def test_a_permissive_istio_sidecar_takes_our_mutual_tls_for_the_meshs(
    edge: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    """It decides by what is offered by ALPN: anything else it would have taken for plaintext's chain, and failed."""
    inbound = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.inbound(inbound, app.port, "edge", strict=False)
    stack.enter_context(envoy.running(tmp_path))
    with RawClient(edge.lead(endpoint(inbound, peer("cart")))) as client:
        assert f"URI={EDGE}" in told_of(client.request("GET", "/").report)
    with RawClient(edge.lead(endpoint(inbound))) as client:
        assert told_of(client.request("GET", "/").report) == ""


def test_an_istio_sidecar_that_is_somebody_else_is_not_spoken_to(
    edge: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    inbound = free_port()
    envoy = Envoy(mesh, "other")
    envoy.inbound(inbound, app.port, "edge")
    stack.enter_context(envoy.running(tmp_path))
    status, body = get(edge.lead(endpoint(inbound, peer("cart"))))
    assert (status, body.split(b":")[0]) == (503, b"upstream_identity_mismatch")
    assert not app.journal.received


def test_an_istio_sidecar_refuses_us_where_it_expects_somebody_else(
    edge: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    inbound = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.inbound(inbound, app.port, "frontend")
    stack.enter_context(envoy.running(tmp_path))
    assert get(edge.lead(endpoint(inbound, peer("cart"))))[0] in {502, 503}
    assert not app.journal.received


@pytest.mark.parametrize("http2", [False, True])
def test_an_istio_sidecar_reaches_an_app_behind_ours(
    sidecar: Node, mesh: Mesh, stack: ExitStack, tmp_path: Path, *, http2: bool
) -> None:
    app = stack.enter_context(Http1Backend("app"))
    inbound, outbound = free_port(), free_port()
    sidecar.stand_before(app.port, listener("in", inbound, mesh=before_workload()))
    envoy = Envoy(mesh, "caller")
    envoy.outbound(outbound, inbound, "cart", http2=http2, server_name=SERVER_NAME)
    stack.enter_context(envoy.running(tmp_path))
    with RawClient(outbound) as client:
        for _ in range(3):
            assert f"URI={CALLER}" in told_of(client.request("GET", "/").report)
    line = sidecar.lines()[0]
    assert line["protocol"] == ("HTTP/2" if http2 else "HTTP/1.1")
    assert (line["downstream_peer"], line["requested_server_name"]) == (principal(account("caller")), SERVER_NAME)


def test_an_istio_sidecar_that_expects_somebody_else_does_not_speak_to_ours(
    sidecar: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    inbound, outbound = free_port(), free_port()
    sidecar.stand_before(app.port, listener("in", inbound, mesh=before_workload()))
    envoy = Envoy(mesh, "caller")
    envoy.outbound(outbound, inbound, "payments", http2=False, server_name=SERVER_NAME)
    stack.enter_context(envoy.running(tmp_path))
    assert get(outbound)[0] == 503
    assert not app.journal.received


def test_envoy_ends_our_hbone_tunnels(
    edge: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    tunnels = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.tunnels(tunnels, app.port, "edge")
    stack.enter_context(envoy.running(tmp_path))
    port = edge.lead(endpoint(app.port, peer("cart", f"127.0.0.1:{tunnels}")))
    for _ in range(3):
        assert get(port)[0] == 200
    assert len(app.journal.received) == 3


def test_envoy_ends_our_hbone_tunnels_of_connections(edge: Node, mesh: Mesh, stack: ExitStack, tmp_path: Path) -> None:
    database = StreamBackend("db")
    stack.callback(database.close)
    tunnels = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.tunnels(tunnels, database.port, "edge")
    stack.enter_context(envoy.running(tmp_path))
    port = edge.lead(endpoint(database.port, peer("cart", f"127.0.0.1:{tunnels}")), tcp=True)
    # More than the windows of a stream, so that both sides have to make room.
    message = b"x" * 300_000
    assert converse(dial(port), message) == b"db:" + message


def test_envoy_begins_hbone_tunnels_that_we_end(
    sidecar: Node, mesh: Mesh, app: Http1Backend, stack: ExitStack, tmp_path: Path
) -> None:
    database = StreamBackend("db")
    stack.callback(database.close)
    inner, tunnels, to_app, to_database = free_port(), free_port(), free_port(), free_port()
    captured, mesh_server = model.Captured(), before_workload()
    table = Table()
    table.serve(listener("http", inner, port=app.port, captured=captured, mesh=mesh_server), endpoint(app.port))
    table.serve(
        listener("tcp", inner, "TCP", port=database.port, captured=captured, mesh=mesh_server),
        endpoint(database.port),
    )
    table.listeners.append(listener("hbone", tunnels, "HBONE", inner=f"127.0.0.1:{inner}"))
    sidecar.apply(table)
    for name, outbound, target in (("one", to_app, app.port), ("two", to_database, database.port)):
        envoy = Envoy(mesh, "caller")
        envoy.outbound_tunnel(outbound, tunnels, "cart", f"127.0.0.1:{target}")
        directory = tmp_path / name
        directory.mkdir()
        stack.enter_context(envoy.running(directory))
    with RawClient(to_app) as client:
        assert f"URI={CALLER}" in told_of(client.request("GET", "/").report)
    message = b"x" * 300_000
    assert converse(dial(to_database), message) == b"db:" + message
    assert all(line["downstream_peer"] == principal(account("caller")) for line in sidecar.lines(2))


def test_an_h2c_app_is_reached_through_both(edge: Node, mesh: Mesh, stack: ExitStack, tmp_path: Path) -> None:
    app = stack.enter_context(Http2Backend("app"))
    inbound = free_port()
    envoy = Envoy(mesh, "cart")
    envoy.inbound(inbound, app.port, "edge", http2=True)
    stack.enter_context(envoy.running(tmp_path))
    with RawClient(edge.lead(endpoint(inbound, peer("cart")), protocol="H2C")) as client:
        assert f"URI={EDGE}" in told_of(client.request("GET", "/").report)


def test_an_istio_sidecar_carries_its_workload_to_a_way_out_as_who_it_is(
    edge: Node, mesh: Mesh, stack: ExitStack, tmp_path: Path
) -> None:
    database = StreamBackend("db")
    stack.callback(database.close)
    here, proxy = "127.0.0.1/32", free_port()
    destination = model.EgressDestination(ip_blocks=(here,), ports=(database.port,), protocols=("TCP",))
    source = model.EgressSource(service_accounts=("shop/caller",))
    rule = model.EgressRule(name="caller", sources=(source,), destinations=(destination,), address_blocks=(here,))
    way_out = model.Egress(way="Proxy", policies=("infra/who",))
    at = msgspec.structs.replace(listener("out", proxy, mesh=model.MeshServer(mode="STRICT")), egress=way_out)
    edge.apply(Table(listeners=[at], egress=(model.EgressPolicy(key="infra/who", rules=(rule,)),)))
    target = f"127.0.0.1:{database.port}"
    for name, status in (("caller", "200"), ("other", "403")):
        outbound = free_port()
        envoy = Envoy(mesh, name)
        envoy.outbound_connections(outbound, proxy, "edge")
        (tmp_path / name).mkdir()
        stack.enter_context(envoy.running(tmp_path / name))
        with dial(outbound) as client:
            client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            head, _, begun = client.recv(1000).partition(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            if status == "200":
                # The database speaks first, maybe right behind the answer to CONNECT.
                assert begun + converse(client, b"hello") == b"db:hello"
    told = {(line["identity"], line["proved_by"], line["decision"]) for line in edge.lines(3) if "decision" in line}
    assert told == {(CALLER, "mesh", "allow"), (CALLER.replace("caller", "other"), "mesh", "deny")}
