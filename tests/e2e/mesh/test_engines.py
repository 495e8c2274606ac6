"""Two engines of one mesh: mutual TLS between them, whom the one lets in, and what the other is told."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.routing_table import model
from tests.support.backends.grpc_echo import UNARY, GrpcBackend
from tests.support.backends.http1 import Http1Backend
from tests.support.backends.websocket import WebSocketBackend
from tests.support.clients.raw import RawClient
from tests.support.layer4 import StreamBackend, converse, dial, is_refused
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
from tests.support.waiting import eventually

CART = "spiffe://cluster.local/ns/shop/sa/cart"
EDGE = "spiffe://cluster.local/ns/shop/sa/edge"


def strict(port: int) -> model.Listener:
    return listener("in", port, mesh=before_workload())


def test_requests_go_by_mutual_tls_and_the_app_is_told_who_calls(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    port = edge.lead(endpoint(inbound, peer("cart")))
    with RawClient(port) as client:
        report = client.request("GET", "/", "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/x/sa/root").report
    told = told_of(report)
    assert f"URI={EDGE}" in told
    assert "sa/root" not in told
    line = sidecar.lines()[0]
    assert (line["downstream_peer"], line["requested_server_name"]) == (
        principal(account("edge")),
        "outbound_.80_._.cart.shop.svc.cluster.local",
    )


def test_an_endpoint_outside_the_mesh_gets_plaintext_beside_one_that_is_in_it(
    edge: Node, sidecar: Node, app: Http1Backend, stack: ExitStack
) -> None:
    outside = stack.enter_context(Http1Backend("outside"))
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    port = edge.lead(endpoint(inbound, peer("cart")), endpoint(outside.port))
    for _ in range(40):
        assert get(port)[0] == 200
    assert app.journal.received
    assert outside.journal.received
    assert all("x-forwarded-client-cert" not in dict(received.headers) for received in outside.journal.received)


def test_an_endpoint_that_is_somebody_else_gets_nothing(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    port = edge.lead(endpoint(inbound, peer("payments")))
    status, body = get(port)
    assert status == 503
    assert body.startswith(b"upstream_identity_mismatch")
    assert not app.journal.received
    line = edge.lines()[0]
    assert CART in line["upstream_transport_failure_reason"]


def test_without_an_identity_nothing_in_the_mesh_is_reached_and_nobody_is_let_in(
    stack: ExitStack, mesh: Mesh, tmp_path: Path, edge: Node, sidecar: Node, app: Http1Backend
) -> None:
    nobody = stack.enter_context(Node(mesh, "", tmp_path))
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    port = nobody.lead(endpoint(inbound, peer("cart")))
    status, body = get(port)
    assert (status, body.split(b":")[0]) == (503, b"mesh_identity_missing")
    closed = free_port()
    nobody.stand_before(app.port, strict(closed))
    assert get(edge.lead(endpoint(closed, peer("cart"))))[0] == 503
    assert not app.journal.received
    # With an identity it is as it should be, and no table was needed for that.
    nobody.become(mesh, "cart")
    assert get(edge.lead(endpoint(closed, peer("cart"))))[0] == 200


def test_strict_takes_no_plaintext_and_says_so(sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    with dial(inbound) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nhost: cart\r\n\r\n")
        assert stream.recv(1) == b""
    line = sidecar.lines()[0]
    assert line["response_code_details"] == "mutual_tls_required"
    assert not app.journal.received


def test_a_client_without_a_good_certificate_is_closed_on(sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["istio", "http/1.1"])
    with pytest.raises((ssl.SSLError, ConnectionError)), dial(inbound) as stream:  # noqa: PT012 - TLS 1.3 tells late
        secured = context.wrap_socket(stream)
        secured.sendall(b"GET / HTTP/1.1\r\nhost: cart\r\n\r\n")
        if not secured.recv(1):
            raise ConnectionError
    line = sidecar.lines()[0]
    assert line["response_code_details"] == "mutual_tls_failed"
    assert "presented no certificate" in line["upstream_transport_failure_reason"]
    assert not app.journal.received


def test_tls_to_a_port_that_speaks_plaintext_reaches_nobody(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    """A listener that is not before a workload takes the handshake for a request, and refuses it."""
    inbound = free_port()
    sidecar.stand_before(app.port, listener("in", inbound))
    status, body = get(edge.lead(endpoint(inbound, peer("cart"))))
    assert (status, body.split(b":")[0]) == (503, b"upstream_tls_failed")
    assert not app.journal.received


def test_permissive_takes_both_and_only_the_verified_are_somebody(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, listener("in", inbound, mesh=before_workload("PERMISSIVE")))
    with RawClient(inbound) as client:
        plain = client.request("GET", "/", f"x-forwarded-client-cert: URI={EDGE}").report
    assert "x-forwarded-client-cert" not in dict(plain.headers)
    with RawClient(edge.lead(endpoint(inbound, peer("cart")))) as client:
        assert f"URI={EDGE}" in told_of(client.request("GET", "/").report)


def test_disable_takes_plaintext_alone(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, listener("in", inbound, mesh=before_workload("DISABLE")))
    assert get(inbound)[0] == 200
    assert get(edge.lead(endpoint(inbound, peer("cart"))))[0] == 503


def test_policies_decide_by_the_identity_that_was_proved(
    edge: Node, sidecar: Node, app: Http1Backend, stack: ExitStack, mesh: Mesh, tmp_path: Path
) -> None:
    inbound = free_port()
    only_edge = model.AuthorizationPolicy(
        key="shop/only-edge",
        rules=(
            model.AuthorizationRule(sources=(model.AuthorizationSource(principals=(principal(account("edge")),)),)),
        ),
    )
    sidecar.stand_before(app.port, strict(inbound), policies=(only_edge,))
    assert get(edge.lead(endpoint(inbound, peer("cart"))))[0] == 200
    other = stack.enter_context(Node(mesh, "other", tmp_path))
    status, body = get(other.lead(endpoint(inbound, peer("cart"))))
    assert (status, body.split(b":")[0]) == (403, b"authorization_denied")


def test_connections_are_carried_by_mutual_tls_too(edge: Node, sidecar: Node, stack: ExitStack) -> None:
    backend = StreamBackend("db")
    stack.callback(backend.close)
    inbound = free_port()
    sidecar.stand_before(backend.port, listener("in", inbound, "TCP", mesh=before_workload()))
    port = edge.lead(endpoint(inbound, peer("cart")), tcp=True)
    assert converse(dial(port), b"select") == b"db:select"
    assert any(line.get("downstream_peer") == principal(account("edge")) for line in sidecar.lines())


def test_a_server_that_speaks_first_is_heard_where_plaintext_is_permitted(sidecar: Node, stack: ExitStack) -> None:
    backend = StreamBackend("db")
    stack.callback(backend.close)
    inbound = free_port()
    sidecar.stand_before(backend.port, listener("in", inbound, "TCP", mesh=before_workload("PERMISSIVE")))
    with dial(inbound) as stream:
        assert stream.recv(16) == b"db:"


def test_grpc_and_websockets_go_through_both(edge: Node, sidecar: Node, stack: ExitStack) -> None:
    import grpc  # noqa: PLC0415 - it starts threads of its own

    backend = stack.enter_context(GrpcBackend("grpc"))
    inbound = free_port()
    sidecar.stand_before(backend.port, strict(inbound))
    port = edge.lead(endpoint(inbound, peer("cart")))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(UNARY)
        assert call(b'{"text": "hello"}', timeout=10)
    chat = stack.enter_context(WebSocketBackend("chat"))
    sidecar.stand_before(chat.port, strict(inbound))
    upgrade = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13")
    with RawClient(port) as client:
        client.send(
            "GET /echo HTTP/1.1\r\nhost: cart\r\n",
            "".join(f"{line}\r\n" for line in upgrade),
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        assert client.head().status == 101


def test_an_identity_is_renewed_without_a_connection_or_a_request_lost(
    edge: Node, sidecar: Node, app: Http1Backend, mesh: Mesh
) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    port = edge.lead(endpoint(inbound, peer("cart")))
    with RawClient(port) as client:
        for _ in range(5):
            assert client.request("GET", "/").status == 200
            edge.become(mesh, "edge")
            sidecar.become(mesh, "cart")
    connections = {received.connection for received in app.journal.received}
    assert len(connections) == 1
    # What is made from now on shows the new certificate, and is taken.
    assert converse_http(port).startswith(b"HTTP/1.1 200")


def converse_http(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n")
        data = b""
        while piece := stream.recv(65536):
            data += piece
        return data


def test_a_bad_identity_is_refused_and_the_one_before_stays(
    edge: Node, sidecar: Node, app: Http1Backend, mesh: Mesh
) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, strict(inbound))
    issued = mesh.issue(account("edge"))
    with pytest.raises(ValueError, match="not in the trust domain"):
        edge.engine.set_identity(issued.chain, issued.private_key, mesh.bundle, "other.test")
    with pytest.raises(ValueError, match="does not belong"):
        edge.engine.set_identity(issued.chain, mesh.issue(account("edge")).private_key, mesh.bundle, "cluster.local")
    assert get(edge.lead(endpoint(inbound, peer("cart"))))[0] == 200


def test_captured_connections_that_were_not_redirected_go_nowhere_by_themselves(sidecar: Node) -> None:
    """A connection to the gateway's own port would come back to it for ever."""
    port = free_port()
    table = Table(backend={"original_destination": True})
    table.serve(listener("all", port, "TCP", captured=model.Captured(any_port=True)))
    sidecar.apply(table)
    assert is_refused(port)
    assert sidecar.lines()[0]["response_code_details"] == "original_destination_refused"


def test_hbone_carries_requests_and_connections_through_one_tunnel_port(
    edge: Node, sidecar: Node, app: Http1Backend, stack: ExitStack
) -> None:
    database = StreamBackend("db")
    stack.callback(database.close)
    inner, tunnels = free_port(), free_port()
    table = Table()
    table.serve(
        listener("http", inner, port=app.port, captured=model.Captured(), mesh=before_workload()), endpoint(app.port)
    )
    table.serve(
        listener("tcp", inner, "TCP", port=database.port, captured=model.Captured(), mesh=before_workload()),
        endpoint(database.port),
    )
    table.listeners.append(listener("hbone", tunnels, "HBONE", inner=f"127.0.0.1:{inner}"))
    sidecar.apply(table)
    address = f"127.0.0.1:{tunnels}"
    with RawClient(edge.lead(endpoint(app.port, peer("cart", address)))) as client:
        for _ in range(3):
            assert f"URI={EDGE}" in told_of(client.request("GET", "/").report)
    port = edge.lead(endpoint(database.port, peer("cart", address)), tcp=True)
    assert converse(dial(port), b"select") == b"db:select"
    # A destination that nobody serves behind the tunnels is refused.
    assert get(edge.lead(endpoint(free_port(), peer("cart", address))))[0] == 503
    assert get(edge.lead(endpoint(app.port, peer("payments", address))))[0] == 503
    eventually(lambda: sidecar.engine.active() <= 3, what="tunnels end with their connections")


def test_hbone_takes_no_plaintext(sidecar: Node, app: Http1Backend) -> None:
    inner, tunnels = free_port(), free_port()
    table = Table()
    at = listener("http", inner, port=app.port, captured=model.Captured(), mesh=before_workload())
    table.serve(at, endpoint(app.port))
    table.listeners.append(listener("hbone", tunnels, "HBONE", inner=f"127.0.0.1:{inner}"))
    sidecar.apply(table)
    with dial(tunnels) as stream:
        stream.sendall(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert stream.recv(1) == b""
    assert sidecar.lines()[0]["response_code_details"] == "mutual_tls_required"


def labels(node: Node, kind: str) -> dict[str, Any]:
    """Those of the one series there is."""
    (series,) = node.statistics()[kind]
    found: dict[str, Any] = series["labels"]
    return found


def test_both_sides_report_who_talks_to_whom(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    workload = model.Workload(name="cart-v1", namespace="shop", canonical_service="cart", canonical_revision="v1")
    table = Table(gateway={"workload": workload})
    table.serve(strict(inbound), endpoint(app.port))
    sidecar.apply(table)
    assert get(edge.lead(endpoint(inbound, peer("cart"))))[0] == 200
    sent, received = labels(edge, "series"), labels(sidecar, "series")
    for side, reporter in ((sent, "source"), (received, "destination")):
        assert (side["reporter"], side["connection_security_policy"]) == (reporter, "mutual_tls")
        assert (side["source"]["principal"], side["destination"]["principal"]) == (EDGE, CART)
        assert (side["destination"]["workload"], side["destination"]["workload_namespace"]) == ("cart-v1", "shop")
    assert received["destination"]["canonical_revision"] == "v1"


def test_without_mutual_tls_nobody_is_named(edge: Node, sidecar: Node, app: Http1Backend) -> None:
    inbound = free_port()
    sidecar.stand_before(app.port, listener("in", inbound, mesh=before_workload("PERMISSIVE")))
    assert get(edge.lead(endpoint(inbound)))[0] == 200
    for node, reporter in ((edge, "source"), (sidecar, "destination")):
        side = labels(node, "series")
        assert (side["reporter"], side["connection_security_policy"]) == (reporter, "none")
        assert (side["source"]["principal"], side["destination"]["principal"]) == ("", "")


def test_connections_are_reported_like_requests(edge: Node, sidecar: Node, stack: ExitStack) -> None:
    backend = StreamBackend("db")
    stack.callback(backend.close)
    inbound = free_port()
    sidecar.stand_before(backend.port, listener("in", inbound, "TCP", mesh=before_workload()))
    port = edge.lead(endpoint(inbound, peer("cart")), tcp=True)
    assert converse(dial(port), b"select") == b"db:select"
    sidecar.lines()
    edge.lines()
    for node in (edge, sidecar):
        side = labels(node, "tcp")
        assert side["connection_security_policy"] == "mutual_tls"
        assert (side["source"]["principal"], side["destination"]["principal"]) == (EDGE, CART)
