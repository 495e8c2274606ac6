"""Workloads without a certificate of their own: their sidecars carry what they send to the way out, as who they are."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from controller.ca.authority import Authority as MeshAuthority
from controller.ca.authority import AuthoritySettings
from controller.ca.directory import AuthorityDirectory
from controller.ca.service_account import ServiceAccount
from tests.support.authorities import utc_now
from tests.support.certificates import Authority, Issued
from tests.support.clients.http2 import Http2Client
from tests.support.egress import PROXY, egress_policy, read_answer, status_of, ways_out
from tests.support.manifests import (
    GATEWAY_API,
    Manifest,
    external_backend,
    external_ref,
    http_route,
    manifest,
    parent,
    rule,
)
from tests.support.mesh import CONTROLLER, Wiretap, is_tls, mesh_network
from tests.support.mesh_egress import (
    GATEWAY_NAMESPACE,
    WAY_OUT,
    WayOut,
    outside_of,
    peer_authentication,
    way_out_service,
    with_way_out,
)
from tests.support.namespaces import needs_namespaces
from tests.support.outside import OTHER_PUBLIC, PUBLIC
from tests.support.waiting import eventually

pytestmark = needs_namespaces

CART, WEB = "spiffe://cluster.local/ns/shop/sa/cart", "spiffe://cluster.local/ns/shop/sa/web"
ROUTED, CARRIED = 8080, 9000
SERVICE = f"{GATEWAY_NAMESPACE}/way-out"
ZONE = {"ok.example": [PUBLIC], "other.example": [OTHER_PUBLIC], "open.example": [PUBLIC]}
OWN = {
    "name": "own",
    "from": [{"serviceAccounts": ["shop/cart"]}],
    "to": [{"names": ["ok.example"], "ports": [80, 443]}],
}
NEAR = {
    "name": "near",
    "from": [{"ipBlocks": ["10.77.0.0/24"]}],
    "to": [{"names": ["open.example"], "ports": [80, 443]}],
}
WATCHED = {"name": "web", "from": [{"serviceAccounts": ["shop/web"]}], "to": [{"names": ["other.example"]}]}
REPORTED = egress_policy("reported", WATCHED, mode="Report")


def policies(*more: Manifest) -> list[Manifest]:
    return [egress_policy("who", OWN, NEAR, contact="security@example.com"), *more]


def outlet() -> list[Manifest]:
    """The three ways out, and two routes that lead outside: of requests, and of connections."""
    listeners = (
        {"name": "routed", "port": ROUTED, "protocol": "HTTP"},
        {"name": "carried", "port": CARRIED, "protocol": "TCP"},
    )
    carried = {"parentRefs": [parent(section="carried")], "rules": [rule(external_ref("secure"))]}
    made = ways_out(
        external_backend("ok", "ok.example", 80),
        external_backend("secure", "ok.example", 443),
        http_route("out", rule(external_ref("ok")), parents=[parent(section="routed")]),
        manifest(GATEWAY_API, "TCPRoute", "out", spec=carried),
    )
    for one in made:
        if one["kind"] == "Gateway":
            one["spec"]["listeners"] += listeners
    return made


@pytest.fixture(scope="module")
def way_out(directory: Path, authority: Authority, authority_file: Path) -> Iterator[WayOut]:
    """Two workloads with sidecars, and one without."""
    with (
        mesh_network(directory, ["cart", "web", "plain"]) as mesh,
        outside_of(mesh, authority, ZONE, list(ZONE)) as outside,
    ):
        cart, web, plain = mesh.workloads.values()
        service = way_out_service(
            {"name": "tcp-proxy", "port": PROXY},
            {"name": "tls", "port": 443, "appProtocol": "sekisho.dev/EgressTLS"},
            {"name": "web", "port": 80, "appProtocol": "sekisho.dev/EgressHTTP"},
            {"name": "http", "port": ROUTED},
            {"name": "tcp", "port": CARRIED},
        )
        mesh.write([*outlet(), *service, cart.manifest(), web.manifest(), plain.manifest(in_mesh=False)])
        mesh.write(policies(), "policies")
        mesh.write([with_way_out("shop", SERVICE)], "namespaces")
        mesh.write([peer_authentication("PERMISSIVE")], "mode")
        mesh.start_controller()
        for name in ("cart", "web"):
            mesh.start_sidecar(name)
            mesh.capture(name)
        yield WayOut(mesh, outside, authority_file)


@pytest.fixture
def strict(way_out: WayOut) -> Iterator[WayOut]:
    """While mutual TLS is demanded of everybody."""
    way_out.mesh.write([peer_authentication("STRICT")], "mode")
    eventually(lambda: way_out.connect("plain", "open.example:443", host=CONTROLLER) == 0, what="plaintext is refused")
    yield way_out
    way_out.mesh.write([peer_authentication("PERMISSIVE")], "mode")
    eventually(lambda: way_out.connect("plain", "open.example:443", host=CONTROLLER) == 200, what="plaintext is taken")


@pytest.fixture
def reporting(way_out: WayOut) -> Iterator[WayOut]:
    """While one of the workloads is only watched."""
    way_out.mesh.write(policies(REPORTED), "policies")
    eventually(lambda: b"outside" in way_out.fetch("web", "ok.example"), what="the policy that reports")
    yield way_out
    way_out.mesh.write(policies(), "policies")
    eventually(lambda: way_out.fetch("web", "ok.example") == b"", what="the policy is gone")


# --- who asks -------------------------------------------------------------------------------------


def test_a_workload_reaches_by_its_sidecar_what_its_identity_is_allowed(way_out: WayOut) -> None:
    assert b"outside" in way_out.fetch("cart", "ok.example")
    record = way_out.decision(host="ok.example", decision="allow", way="Proxy")
    assert (record["identity"], record["proved_by"]) == (CART, "mesh")
    assert (record["policy"], record["rule"], record["dialled"]) == ("default/who", "own", f"{PUBLIC}:443")


def test_another_identity_of_the_namespace_is_denied_and_told_whom_to_ask(way_out: WayOut) -> None:
    before = len(way_out.outside.reached)
    with way_out.connected("web") as client:
        client.sendall(b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\n\r\n")
        answer = read_answer(client)
    assert status_of(answer) == 403
    assert b"security@example.com" in answer
    assert b"cart" not in answer
    record = way_out.decision(identity=WEB, decision="deny")
    assert (record["host"], record["proved_by"], record["reason"]) == ("ok.example", "mesh", "egress_denied")
    assert len(way_out.outside.reached) == before


def test_what_goes_by_address_is_for_sidecars_and_others_alike(way_out: WayOut) -> None:
    assert b"outside" in way_out.fetch("web", "open.example")
    assert b"outside" in way_out.fetch("plain", "open.example", through=CONTROLLER)
    record = way_out.decision(host="open.example", proved_by="address")
    assert (record["identity"], record["decision"]) == (None, "allow")
    assert way_out.decision(host="open.example", identity=WEB)["rule"] == "near"


def test_a_policy_that_reports_lets_an_identity_through_and_says_so(reporting: WayOut) -> None:
    record = reporting.decision(identity=WEB, decision="allow", host="ok.example")
    assert (record["would_deny"], record["mode"], record["proved_by"]) == (True, "Report", "mesh")
    assert reporting.fetch("plain", "ok.example", through=CONTROLLER) == b""


def test_only_tls_is_on_the_wire_between_sidecar_and_way_out(way_out: WayOut) -> None:
    with Wiretap(way_out.mesh.switch, "p0") as tap:
        assert b"outside" in way_out.redirected_http("cart", "ok.example")
        assert b"outside" in way_out.fetch("cart", "ok.example")

        def towards() -> dict[int, bytes]:
            return {
                key[3]: data for key, data in tap.payloads().items() if key[2] == CONTROLLER and key[3] in (80, PROXY)
            }

        eventually(lambda: set(towards()) == {80, PROXY}, what="the traffic")
        assert all(is_tls(data) for data in towards().values())


# --- programs and protocols -----------------------------------------------------------------------


def test_curl_goes_out_by_its_environment_alone(way_out: WayOut) -> None:
    proxy = {"https_proxy": f"http://{WAY_OUT}:{PROXY}", "http_proxy": f"http://{WAY_OUT}:{PROXY}"}
    for url in ("https://ok.example/", "http://ok.example/"):
        done = way_out.run("cart", "curl", "-sS", "--cacert", way_out.authority, url, **proxy)
        assert (done.returncode, done.stdout) == (0, f"outside {PUBLIC}"), done.stderr
        refused = way_out.run(
            "web", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://ok.example/", **proxy
        )
        assert refused.stdout == "403"
    assert way_out.decision(identity=CART, method="GET")["proved_by"] == "mesh"


def test_httpx_goes_out_by_its_environment_alone(way_out: WayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{WAY_OUT}:{PROXY}")
    context = ssl.create_default_context(cafile=str(way_out.authority))
    with way_out.workload("cart").inside.entered(), httpx.Client(verify=context) as client:
        assert client.get("https://ok.example/").text == f"outside {PUBLIC}"
        with pytest.raises(httpx.ProxyError, match="403"):
            client.get("https://other.example/")


def test_every_stream_of_http2_is_the_workload_s(way_out: WayOut) -> None:
    with way_out.connected("cart") as proxy, Http2Client(over=proxy) as client:
        assert client.head_of(client.connect("ok.example:443")).status == 200
        assert client.finished(client.connect("other.example:443")).status == 403
    assert way_out.decision(identity=CART, host="other.example")["proved_by"] == "mesh"


def test_redirected_tls_goes_out_by_server_name_as_the_workload(way_out: WayOut) -> None:
    assert b"outside" in way_out.redirected_tls("cart", "ok.example")
    assert way_out.redirected_tls("web", "ok.example") == b""
    allowed, denied = way_out.decision(way="TLS", identity=CART), way_out.decision(way="TLS", identity=WEB)
    assert (allowed["decision"], allowed["proved_by"]) == ("allow", "mesh")
    assert (denied["decision"], denied["proved_by"], denied["host"]) == ("deny", "mesh", "ok.example")
    # TLS without the mesh's around it passes as it did.
    assert b"outside" in way_out.redirected_tls("plain", "open.example", address=CONTROLLER)
    assert way_out.redirected_tls("plain", "ok.example", address=CONTROLLER) == b""


def test_redirected_http_goes_out_by_host_as_the_workload(way_out: WayOut) -> None:
    assert b"outside" in way_out.redirected_http("cart", "ok.example")
    assert status_of(way_out.redirected_http("web", "ok.example")) == 403
    assert way_out.decision(way="HTTP", identity=WEB)["decision"] == "deny"
    assert b"outside" in way_out.redirected_http("plain", "open.example", address=CONTROLLER)


def test_what_is_for_no_service_goes_out_by_its_name_as_the_workload(way_out: WayOut) -> None:
    """Programs that know of no proxy: wherever they believe to be connected, the gateway finds the name itself."""
    url = "https://ok.example/"
    pinned = ("--resolve", f"ok.example:443:{OTHER_PUBLIC}")
    done = way_out.run("cart", "curl", "-sS", "--cacert", way_out.authority, *pinned, url)
    assert (done.returncode, done.stdout) == (0, f"outside {PUBLIC}"), done.stderr
    after = len(way_out.records())
    assert way_out.run("web", "curl", "-sS", "--cacert", way_out.authority, *pinned, url).returncode != 0
    assert way_out.decision(after=after, way="TLS", identity=WEB)["decision"] == "deny"
    assert b"outside" in way_out.redirected_http("cart", "ok.example", address=OTHER_PUBLIC)
    assert status_of(way_out.redirected_http("web", "ok.example", address=PUBLIC)) == 403


def test_a_way_out_that_does_not_exist_closes_and_is_not_gone_around(way_out: WayOut) -> None:
    before = len(way_out.outside.reached)
    way_out.mesh.change([with_way_out("shop", "infra/nowhere")], "namespaces", "cart", "web")
    assert way_out.redirected_tls("cart", "ok.example", address=PUBLIC) == b""
    assert way_out.redirected_http("cart", "ok.example", address=PUBLIC) == b""
    assert len(way_out.outside.reached) == before
    assert b"outside" in way_out.fetch("cart", "ok.example"), "the Service is called as before"
    way_out.mesh.change([with_way_out("shop", SERVICE)], "namespaces", "cart", "web")
    assert b"outside" in way_out.redirected_tls("cart", "ok.example", address=PUBLIC)


def test_a_route_leads_out_for_the_workload_alone_and_tells_nobody_outside_who_it_is(way_out: WayOut) -> None:
    before = len(way_out.outside.requests)
    assert b"outside" in way_out.redirected_http("cart", "api.internal", port=ROUTED)
    assert status_of(way_out.redirected_http("web", "api.internal", port=ROUTED)) == 403
    assert status_of(way_out.redirected_http("plain", "api.internal", port=ROUTED, address=CONTROLLER)) == 403
    assert way_out.decision(way="Route", identity=CART)["proved_by"] == "mesh"
    assert way_out.decision(way="Route", identity=WEB)["decision"] == "deny"
    ((_, head),) = way_out.outside.requests[before:]
    assert "spiffe" not in head
    assert "x-forwarded-client-cert" not in head.lower()


def test_connections_of_a_route_go_out_for_the_workload_alone(way_out: WayOut) -> None:
    after = len(way_out.records())
    assert b"outside" in way_out.redirected_tls("cart", "ok.example", port=CARRIED)
    assert way_out.redirected_tls("web", "ok.example", port=CARRIED) == b""
    assert way_out.redirected_tls("plain", "ok.example", port=CARRIED, address=CONTROLLER) == b""
    for identity, decision in ((CART, "allow"), (WEB, "deny")):
        record = way_out.decision(after=after, way="Route", identity=identity)
        assert (record["decision"], record["proved_by"], record["host"]) == (decision, "mesh", "ok.example")


# --- what proves nothing --------------------------------------------------------------------------


def test_a_claim_in_a_header_is_nobody_s_identity(way_out: WayOut) -> None:
    claim = f"X-Forwarded-Client-Cert: URI={CART}"
    assert way_out.connect("web", "ok.example:443", claim) == 403
    assert way_out.connect("plain", "ok.example:443", claim, host=CONTROLLER) == 403


def of_another_authority(_: WayOut) -> Issued:
    issued = MeshAuthority.create().issue(ServiceAccount("shop", "cart"))
    return Issued(issued.chain, issued.private_key)


def of_another_trust_domain(way_out: WayOut) -> Issued:
    material = AuthorityDirectory(way_out.mesh.authority, utc_now).read()
    other = MeshAuthority.of(material, AuthoritySettings(trust_domain="other.example"))
    issued = other.issue(ServiceAccount("shop", "cart"))
    return Issued(issued.chain, issued.private_key)


def handshake(way_out: WayOut, port: int, client: Issued | None, directory: Path) -> bytes:
    """What the gateway answers to a CONNECT over TLS that looks like the mesh's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    if client is not None:
        context.load_cert_chain(*client.write(directory, "forged"))
    with way_out.connected("plain", port, CONTROLLER) as connection:
        try:
            with context.wrap_socket(connection) as stream:
                stream.sendall(b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\n\r\n")
                return stream.recv(1000)
        except (ssl.SSLError, ConnectionError):
            return b""


@pytest.mark.parametrize("forged", [of_another_authority, of_another_trust_domain, lambda _: None])
def test_a_certificate_that_the_mesh_did_not_issue_is_turned_away_and_recorded(
    way_out: WayOut, forged: object, tmp_path: Path
) -> None:
    assert callable(forged)
    after, reached = len(way_out.records()), len(way_out.outside.reached)
    for port, way in ((PROXY, "Proxy"), (443, "TLS"), (80, "HTTP")):
        assert handshake(way_out, port, forged(way_out), tmp_path) == b""
        record = way_out.decision(after=after, reason="mutual_tls_failed", way=way)
        assert (record["decision"], record["identity"], record["proved_by"]) == ("deny", None, "address")
    assert len(way_out.outside.reached) == reached


def test_the_mesh_s_own_certificate_of_a_workload_is_what_counts(way_out: WayOut, tmp_path: Path) -> None:
    """The same handshake as those that are turned away."""
    material = AuthorityDirectory(way_out.mesh.authority, utc_now).read()
    issued = MeshAuthority.of(material).issue(ServiceAccount("shop", "cart"))
    answer = handshake(way_out, PROXY, Issued(issued.chain, issued.private_key), tmp_path)
    assert status_of(answer) == 200


# --- what is demanded -----------------------------------------------------------------------------


def test_strict_refuses_plaintext_on_every_way_and_serves_sidecars(strict: WayOut) -> None:
    after = len(strict.records())
    assert strict.connect("plain", "open.example:443", host=CONTROLLER) == 0
    assert strict.redirected_tls("plain", "open.example", address=CONTROLLER) == b""
    assert strict.redirected_http("plain", "open.example", address=CONTROLLER) == b""
    assert strict.redirected_http("plain", "api.internal", port=ROUTED, address=CONTROLLER) == b""
    record = strict.decision(after=after, way="Proxy", reason="mutual_tls_required")
    assert (record["decision"], record["identity"]) == ("deny", None)
    assert b"outside" in strict.fetch("cart", "ok.example")
    assert b"outside" in strict.redirected_tls("cart", "ok.example")
    assert b"outside" in strict.redirected_http("cart", "ok.example")
    assert b"outside" in strict.redirected_http("cart", "api.internal", port=ROUTED)


def test_an_identity_that_the_authority_denies_loses_its_open_tunnel(way_out: WayOut) -> None:
    with way_out.connected("cart") as client:
        client.sendall(b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\n\r\n")
        assert status_of(read_answer(client)) == 200
        context = ssl.create_default_context(cafile=str(way_out.authority))
        stream = context.wrap_socket(client, server_hostname="ok.example")
        stream.sendall(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert b"outside" in stream.recv(1000)
        way_out.mesh.authorize("deny", CART)
        try:
            stream.settimeout(15)
            assert is_ended(stream)
            assert way_out.connect("cart", "ok.example:443") in (0, 403)
        finally:
            way_out.mesh.authorize("allow", CART)
        stream.close()
    eventually(lambda: b"outside" in way_out.fetch("cart", "ok.example"), within=15, what="the identity is back")


def is_ended(stream: socket.socket) -> bool:
    try:
        return stream.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True
