"""Authorization policies at the edge, with real clients: who gets in, what others hear, and what is told of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import Authority, Issued, shared_authority
from tests.support.clients.curl import CurlResult, curl
from tests.support.layer4 import StreamBackend
from tests.support.manifests import (
    GATEWAY_API,
    Manifest,
    authority_config_map,
    backend,
    backend_ref,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    https_listener,
    manifest,
    parent,
    rule,
    tls_secret,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho, run_sekisho
from tests.support.waiting import eventually

CART = "spiffe://cluster.local/ns/shop/sa/cart"
PAY = "spiffe://cluster.local/ns/pay/sa/pay"
HOST = "web.example.com"


def policy(name: str, action: str = "ALLOW", *rules: Manifest, **more: Any) -> Manifest:
    spec = {"action": action, "rules": list(rules), **more}
    return manifest("security.istio.io/v1", "AuthorizationPolicy", name, spec=spec)


def from_source(**fields: list[str]) -> Manifest:
    return {"from": [{"source": fields}]}


def to_operation(**fields: list[str]) -> Manifest:
    return {"to": [{"operation": fields}]}


def when(key: str, *values: str) -> Manifest:
    return {"when": [{"key": key, "values": list(values)}]}


ONLY_CART = policy("only-cart", "ALLOW", from_source(principals=["cluster.local/ns/shop/sa/cart"]))


@dataclass
class Checkpoint:
    """A gateway with listeners for HTTP, HTTPS with client certificates (required, and optional) and TCP."""

    sekisho: Sekisho
    clients: Authority
    http: int
    https: int
    lenient: int
    tcp: int
    count: int = 0

    def enforce(self, *policies: Manifest) -> None:
        """Serve with these policies and no others."""
        self.count += 1
        marker = policy(f"marker-{self.count}", "AUDIT", to_operation(paths=[f"/never-{self.count}"]))
        self.sekisho.change([marker, *policies], "policies")

    def certificate(self, name: str, issued: Issued) -> tuple[str | Path, ...]:
        chain, key = issued.write(self.sekisho.directory, name)
        return "--cert", chain, "--key", key

    def client(self, *uris: str) -> tuple[str | Path, ...]:
        """curl's arguments for a certificate of the clients' authority."""
        return self.certificate(f"client-{abs(hash(uris))}", self.clients.issue("client", uris=uris))

    def get(self, path: str = "/", *arguments: str | Path, host: str = HOST) -> CurlResult:
        return curl(f"http://{host}{path}", "--connect-to", f"::127.0.0.1:{self.http}", "--path-as-is", *arguments)

    def secure(self, path: str = "/", *arguments: str | Path, port: int | None = None) -> CurlResult:
        authority = shared_authority().write(self.sekisho.directory / "authority.pem")
        to = f"::127.0.0.1:{port or self.https}"
        return curl(f"https://{HOST}{path}", "--connect-to", to, "--cacert", authority, *arguments)

    def echo(self) -> bytes:
        """What the TCP listener answers: nothing where the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.tcp), timeout=10) as stream:
            try:
                stream.sendall(b"x")
                return stream.recv(64)
            except ConnectionResetError:
                return b""


@pytest.fixture(scope="module")
def checkpoint(directory: Path) -> Iterator[Checkpoint]:
    clients = Authority("Clients")
    http, https, lenient, tcp = (free_port() for _ in range(4))
    reference = [{"group": "", "kind": "ConfigMap", "name": "clients"}]
    edge = gateway(
        http_listener(http),
        https_listener(https, "edge"),
        https_listener(lenient, "edge", name="lenient"),
        {"name": "tcp", "port": tcp, "protocol": "TCP"},
    )
    fallback = {"caCertificateRefs": reference, "mode": "AllowInsecureFallback"}
    edge["spec"]["tls"] = {
        "frontend": {
            "default": {"validation": {"caCertificateRefs": reference}},
            "perPort": [{"port": lenient, "tls": {"validation": fallback}}],
        }
    }
    streams = StreamBackend("stream")
    tcp_route = {"parentRefs": [parent(section="tcp")], "rules": [{"backendRefs": [backend_ref("stream")]}]}
    with Http1Backend("origin") as origin:
        sekisho = Sekisho(directory)
        sekisho.write(
            [
                gateway_class(),
                edge,
                tls_secret("edge", shared_authority().issue("*.example.com")),
                authority_config_map("clients", clients.pem),
                *backend("origin", origin.port),
                *backend("stream", streams.port),
                http_route("web", rule("origin"), hosts=[HOST]),
                manifest(GATEWAY_API, "TCPRoute", "stream", spec=tcp_route),
            ]
        )
        sekisho.write([policy("marker-0", "AUDIT", to_operation(paths=["/never"]))], "policies")
        with sekisho:
            yield Checkpoint(sekisho, clients, http, https, lenient, tcp)
    streams.close()


# --- identities -----------------------------------------------------------------------------------


def test_without_a_policy_that_must_allow_everybody_is_let_in(checkpoint: Checkpoint) -> None:
    checkpoint.enforce()
    assert checkpoint.get().status == 200
    assert checkpoint.secure("/", *checkpoint.client(PAY)).status == 200
    assert checkpoint.echo().startswith(b"stream")


def test_only_the_identity_of_a_verified_certificate_is_allowed(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(ONLY_CART)
    assert checkpoint.secure("/", *checkpoint.client(CART)).status == 200
    for refused in (
        checkpoint.get(),
        checkpoint.get("/", "-H", f"x-forwarded-client-cert: URI={CART}"),
        checkpoint.secure("/", *checkpoint.client(PAY)),
        checkpoint.secure("/", *checkpoint.client()),
        checkpoint.secure("/", *checkpoint.client(CART, PAY)),
        checkpoint.secure("/", *checkpoint.client("spiffe://other.org/ns/shop/sa/cart")),
    ):
        assert refused.status == 403
        assert refused.body == b"authorization_denied: access is denied\n"


def test_a_certificate_that_was_not_verified_is_no_identity(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(ONLY_CART)
    lenient = checkpoint.lenient
    strangers = Authority("Strangers").issue("cart", uris=[CART])
    expired = checkpoint.clients.issue("cart", uris=[CART], days=-1, started_days_ago=5)
    assert checkpoint.secure("/", *checkpoint.client(CART), port=lenient).status == 200
    assert checkpoint.secure("/", port=lenient).status == 403
    assert checkpoint.secure("/", *checkpoint.certificate("stranger", strangers), port=lenient).status == 403
    assert checkpoint.secure("/", *checkpoint.certificate("expired", expired), port=lenient).status == 403
    assert checkpoint.secure("/", *checkpoint.certificate("stranger", strangers)).status == 0


def test_namespaces_and_service_accounts_come_from_the_certificate(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("shop", "ALLOW", from_source(namespaces=["shop"])))
    assert checkpoint.secure("/", *checkpoint.client(CART)).status == 200
    assert checkpoint.secure("/", *checkpoint.client(PAY)).status == 403
    checkpoint.enforce(policy("not-pay", "DENY", from_source(serviceAccounts=["pay/pay"])))
    assert checkpoint.secure("/", *checkpoint.client(CART)).status == 200
    assert checkpoint.secure("/", *checkpoint.client(PAY)).status == 403


def test_backends_are_told_of_a_verified_certificate_and_of_nothing_else(checkpoint: Checkpoint) -> None:
    checkpoint.enforce()
    forged = ("-H", f"x-forwarded-client-cert: Hash=0;URI={CART}")
    assert checkpoint.get("/", *forged).report.header("x-forwarded-client-cert") is None
    told = checkpoint.secure("/", *forged, *checkpoint.client(PAY)).report.header("x-forwarded-client-cert")
    assert told is not None
    fields = dict(part.split("=", 1) for part in told.split(";"))
    assert len(fields["Hash"]) == 64
    assert fields["Subject"] == '"CN=client"'
    assert fields["URI"] == PAY
    stranger = checkpoint.certificate("stranger", Authority("Strangers").issue("cart", uris=[CART]))
    unverified = checkpoint.secure("/", *stranger, port=checkpoint.lenient)
    assert unverified.report.header("x-forwarded-client-cert") is None


# --- requests -------------------------------------------------------------------------------------


def test_a_path_is_not_reached_by_another_spelling(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("no-admin", "DENY", to_operation(paths=["/admin*"])))
    assert checkpoint.get("/shop").status == 200
    for path in ("/admin", "/admin/x", "//admin", "/./admin", "/x/../admin", "/%61dmin", "/%2e/admin", "/admin?x=1"):
        assert checkpoint.get(path).status == 403, path


def test_a_host_is_not_reached_by_another_spelling(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("no-web", "DENY", to_operation(hosts=[HOST])))
    for host in (HOST, HOST.upper(), f"{HOST}:80", f"{HOST}."):
        assert checkpoint.get("/", "-H", f"Host: {host}").status == 403, host


def test_all_values_of_a_header_count(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("ann", "ALLOW", when("request.headers[x-user]", "ann")))
    assert checkpoint.get("/", "-H", "x-user: ann").status == 200
    assert checkpoint.get("/", "-H", "X-User: ann").status == 200
    assert checkpoint.get("/", "-H", "x-user: bob").status == 403
    assert checkpoint.get("/", "-H", "x-user: ann", "-H", "x-user: root").status == 403


def test_addresses_are_those_of_the_connection(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("second", "ALLOW", from_source(ipBlocks=["127.0.0.2/32"])))
    assert checkpoint.get("/", "--interface", "127.0.0.2").status == 200
    assert checkpoint.get("/").status == 403
    checkpoint.enforce(policy("remote", "ALLOW", from_source(remoteIpBlocks=["203.0.113.0/24"])))
    assert checkpoint.get("/", "-H", "x-forwarded-for: 203.0.113.7").status == 403


def test_grpc_hears_permission_denied(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(ONLY_CART)
    answer = checkpoint.get(
        "/shop.Cart/Get", "--http2-prior-knowledge", "-X", "POST", "-H", "content-type: application/grpc"
    )
    assert (answer.status, answer.header("grpc-status")) == (200, "7")


def test_who_is_denied_does_not_learn_which_routes_exist(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(ONLY_CART)
    assert checkpoint.get("/", host="nobody.example.com").status == 403
    checkpoint.enforce()
    assert checkpoint.get("/", host="nobody.example.com").status == 404


def test_what_was_decided_is_logged_counted_and_explained_alike(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("told", "DENY", to_operation(methods=["DELETE"]), to_operation(paths=["/told"])))
    assert checkpoint.get("/told").status == 403
    sekisho = checkpoint.sekisho
    record = sekisho.logged(lambda record: record.get("path") == "/told")
    assert record["response_code_details"] == "authorization_denied[default/told/1]"
    denied = {"policy": "default/told", "effect": "denied"}
    eventually(lambda: sekisho.metric("sekisho_authorization_decisions_total", **denied) == 1, what="the counter")
    explained = sekisho.explain(f"http://{HOST}:{checkpoint.http}/told")
    assert (explained["decision"], explained["status"], explained["code"]) == ("denied", 403, "authorization_denied")
    authorization = explained["authorization"]
    assert (authorization["policy"], authorization["rule"]) == ("default/told", 1)
    failed = authorization["policies"][0]["rules"][0]["failed"]
    assert failed == {"field": "to[0].operation.methods", "want": "DELETE", "got": "GET"}


def test_explain_takes_the_caller_s_identity_and_address(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(ONLY_CART, policy("inside", "DENY", {"from": [{"source": {"notIpBlocks": ["10.0.0.0/8"]}}]}))
    manifests = ("-f", checkpoint.sekisho.manifests)
    url = f"https://{HOST}:{checkpoint.https}/"
    allowed = run_sekisho("explain", *manifests, "GET", url, "--from", CART, "--source", "10.1.2.3")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "rule 0 of default/only-cart allows it" in allowed.stdout
    denied = run_sekisho("explain", *manifests, "GET", url, "--from", PAY, "--source", "10.1.2.3")
    assert denied.returncode == 1
    assert "from[0].source.principals wants 'cluster.local/ns/shop/sa/cart'" in denied.stdout
    outside = run_sekisho("explain", *manifests, "GET", url, "--from", CART, "--source", "192.0.2.1")
    assert "rule 0 of default/inside forbids it" in outside.stdout
    assert run_sekisho("explain", *manifests, "GET", url, "--from", "cart").returncode == 2


def test_a_dry_run_is_told_and_denies_nothing(checkpoint: Checkpoint) -> None:
    trial = policy("trial", "DENY", to_operation(paths=["/trial"]))
    trial["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    checkpoint.enforce(trial)
    assert checkpoint.get("/trial").status == 200
    record = checkpoint.sekisho.logged(lambda record: record.get("path") == "/trial")
    assert record["authorization_dry_run"] == "denied default/trial/0"
    assert record["response_code_details"] == "via_upstream"
    counted = {"policy": "default/trial", "effect": "dry_run_denied"}
    eventually(lambda: checkpoint.sekisho.metric("sekisho_authorization_decisions_total", **counted) == 1, what="count")


# --- failing closed -------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_a_policy_that_is_not_understood_denies_and_says_so(checkpoint: Checkpoint, action: str) -> None:
    checkpoint.enforce(policy("future", action, from_source(principals=["*"], countries=["jp"])))
    answer = checkpoint.secure("/", *checkpoint.client(CART))
    assert answer.status == 403
    assert answer.body.startswith(b"authorization_unavailable: ")
    told = run_sekisho("check", "-f", checkpoint.sekisho.manifests)
    assert told.returncode == 1
    assert "countries" in told.stdout


def test_external_authorization_that_is_not_there_denies(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("external", "CUSTOM", to_operation(paths=["/admin"]), provider={"name": "opa"}))
    assert checkpoint.get("/admin").status == 403
    assert checkpoint.get("/").status == 200


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_closed_by_a_policy(checkpoint: Checkpoint) -> None:
    port = str(checkpoint.tcp)
    checkpoint.enforce(policy("no-tcp", "DENY", to_operation(ports=[port])))
    assert checkpoint.echo() == b""
    record = checkpoint.sekisho.logged(
        lambda record: record["response_code_details"] == "authorization_denied[default/no-tcp/0]"
    )
    assert record["protocol"] == "TCP"
    assert checkpoint.get("/").status == 200
    explained = checkpoint.sekisho.explain(f"tcp://127.0.0.1:{port}")
    assert (explained["decision"], explained["authorization"]["policy"]) == ("denied", "default/no-tcp")
    checkpoint.enforce(policy("tcp", "ALLOW", to_operation(ports=[port])))
    assert checkpoint.echo().startswith(b"stream")
    assert checkpoint.get("/").status == 403


def test_rules_of_requests_never_allow_a_connection_and_deny_by_the_rest(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(policy("get", "ALLOW", to_operation(methods=["GET"])))
    assert checkpoint.echo() == b""
    assert checkpoint.get("/").status == 200
    checkpoint.enforce(policy("no-delete", "DENY", to_operation(methods=["DELETE"])))
    assert checkpoint.echo() == b""
    assert checkpoint.get("/").status == 200
