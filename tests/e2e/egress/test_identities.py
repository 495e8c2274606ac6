"""Who asks: by client certificate (SPIFFE identity, names), by proxy credentials, and nobody at all."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca.authority import Authority as MeshAuthority
from controller.ca.service_account import ServiceAccount
from tests.support.certificates import Authority, Issued
from tests.support.clients.http2 import Http2Client
from tests.support.egress import EgressGateway, egress_policy, read_answer, status_of
from tests.support.manifests import authority_config_map, gateway_class, manifest, tls_secret
from tests.support.outside import NAME_SERVER, Outside

MESH = MeshAuthority.create()
"""A mesh's authority, from which a workload or its sidecar has a certificate."""
CART = "spiffe://cluster.local/ns/shop/sa/cart"


def secured_proxy(authority: Authority) -> list[object]:
    spec = {
        "gatewayClassName": "sekisho",
        "infrastructure": {"parametersRef": {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "edge"}},
        "listeners": [
            {"name": "proxy", "port": 3128, "protocol": "sekisho.dev/EgressProxy"},
            {
                "name": "secured",
                "port": 3129,
                "protocol": "sekisho.dev/EgressProxy",
                "tls": {"certificateRefs": [{"name": "proxy"}]},
            },
        ],
        "tls": {
            "frontend": {
                "default": {
                    "validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "authority"}]}
                }
            }
        },
    }
    digest = hashlib.sha256(b"a-long-random-password").hexdigest()
    return [
        gateway_class(),
        manifest("gateway.networking.k8s.io/v1", "Gateway", "edge", spec=spec),
        manifest("sekisho.dev/v1alpha1", "GatewayParameters", "edge", spec={"egress": {"nameservers": [NAME_SERVER]}}),
        tls_secret("proxy", authority.issue("proxy.example")),
        authority_config_map("authority", authority.pem + MESH.bundle_pem),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "runners", "namespace": "default"},
            "stringData": {"ci": f"sha256:{digest}"},
        },
        egress_policy(
            "who",
            {"name": "cart", "from": [{"serviceAccounts": ["shop/cart"]}], "to": [{"names": ["ok.example"]}]},
            {
                "name": "whole",
                "from": [{"principals": ["cluster.local/ns/shop/sa/audit"]}],
                "to": [{"names": ["ok.example"]}],
            },
            {"name": "vm", "from": [{"subjectAltNames": ["vm-1.example"]}], "to": [{"names": ["other.example"]}]},
            {"name": "ci", "from": [{"credentials": {"name": "runners"}}], "to": [{"names": ["*.ok.example"]}]},
        ),
    ]


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    with EgressGateway(outside, directory / "identities", secured_proxy(authority)) as running:  # type: ignore[arg-type]
        yield running


def connect(gateway: EgressGateway, target: str, directory: Path, authority: Authority, client: Issued) -> int:
    context = ssl.create_default_context(cadata=authority.pem)
    context.load_cert_chain(*client.write(directory, "client"))
    with context.wrap_socket(gateway.connect(3129), server_hostname="proxy.example") as proxy:
        proxy.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        return status_of(read_answer(proxy))


def test_an_identity_reaches_what_its_rule_allows(gateway: EgressGateway, tmp_path: Path, authority: Authority) -> None:
    cart, stranger = authority.issue(uris=[CART]), authority.issue(uris=["spiffe://cluster.local/ns/shop/sa/web"])
    assert connect(gateway, "ok.example:443", tmp_path, authority, cart) == 200
    assert connect(gateway, "other.example:443", tmp_path, authority, cart) in (403, 407)
    assert connect(gateway, "ok.example:443", tmp_path, authority, stranger) in (403, 407)
    record = gateway.decision(host="other.example", identity=CART)
    assert (record["decision"], record["proved_by"]) == ("deny", "certificate")


def test_an_identity_holds_for_every_stream_of_its_connection(
    gateway: EgressGateway, tmp_path: Path, authority: Authority
) -> None:
    context = ssl.create_default_context(cadata=authority.pem)
    context.load_cert_chain(*authority.issue(uris=[CART]).write(tmp_path, "client"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    proxy = context.wrap_socket(gateway.connect(3129), server_hostname="proxy.example")
    assert proxy.selected_alpn_protocol() == "h2"
    with Http2Client(over=proxy) as client:
        assert client.head_of(client.connect("ok.example:443")).status == 200
        assert client.finished(client.connect("other.example:443")).status in (403, 407)
        credentials = base64.b64encode(b"ci:a-long-random-password").decode()
        shown = client.connect("nowhere.ok.example:443", ("proxy-authorization", f"Basic {credentials}"))
        assert client.finished(shown).status == 502
        # What one stream showed says nothing of another.
        assert client.finished(client.connect("nowhere.ok.example:443")).status == 407


def test_an_identity_of_the_mesh_is_what_policies_speak_of(
    gateway: EgressGateway, tmp_path: Path, authority: Authority
) -> None:
    """By the short-lived certificate that a workload of the mesh, or its sidecar, has."""

    def of(name: str) -> Issued:
        issued = MESH.issue(ServiceAccount("shop", name))
        return Issued(issued.chain, issued.private_key)

    assert connect(gateway, "ok.example:443", tmp_path, authority, of("cart")) == 200
    assert connect(gateway, "ok.example:443", tmp_path, authority, of("web")) in (403, 407)
    record = gateway.decision(identity=CART, decision="failed")
    assert (record["host"], record["proved_by"]) == ("ok.example", "certificate")


def test_names_of_a_certificate_tell_who_asks(gateway: EgressGateway, tmp_path: Path, authority: Authority) -> None:
    machine = authority.issue("vm-1.example")
    assert connect(gateway, "other.example:443", tmp_path, authority, machine) == 200
    assert connect(gateway, "ok.example:443", tmp_path, authority, machine) in (403, 407)


def test_credentials_of_the_proxy_are_asked_for_and_checked(gateway: EgressGateway) -> None:
    def answered(credentials: str | None) -> bytes:
        encoded = base64.b64encode(credentials.encode()).decode() if credentials else ""
        headers = f"Proxy-Authorization: Basic {encoded}\r\n" if credentials else ""
        client, answer = gateway.tunnel("nowhere.ok.example:443", headers)
        client.close()
        return answer

    assert status_of(answered(None)) == 407
    assert b"proxy-authenticate: Basic" in answered(None)
    assert status_of(answered("ci:wrong")) == 403
    # Allowed, and then the name turns out not to exist.
    assert status_of(answered("ci:a-long-random-password")) == 502


def forgeries(authority: Authority) -> dict[str, Issued]:
    """Certificates that could be taken for the cart's."""
    stranger = "spiffe://cluster.local/ns/shop/sa/web"
    return {
        "two identities": authority.issue(uris=[CART, stranger]),
        "the other one first": authority.issue(uris=[stranger, CART]),
        "a common name alone": authority.issue(common_name=CART),
        "a DNS name that reads like one": authority.issue("cart.shop.svc.cluster.local"),
        "more behind it": authority.issue(uris=[f"{CART}/x"]),
        "a query behind it": authority.issue(uris=[f"{CART}?x=1"]),
        "other case": authority.issue(uris=[CART.replace("cart", "CART")]),
        "an escape": authority.issue(uris=[CART.replace("cart", "%63art")]),
        "a user in it": authority.issue(uris=[CART.replace("cluster.local", "cluster.local@evil.example")]),
        "expired": authority.issue(uris=[CART], days=-1, started_days_ago=30),
        "for servers": authority.issue(uris=[CART], purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
        "of somebody else": Authority("Somebody else").issue(uris=[CART]),
        "of somebody who calls himself the same": Authority().issue(uris=[CART]),
    }


@pytest.mark.parametrize("name", forgeries(Authority()))
def test_what_could_be_taken_for_an_identity_is_none(
    gateway: EgressGateway, outside: Outside, tmp_path: Path, authority: Authority, name: str
) -> None:
    before = len(outside.reached)
    try:
        status = connect(gateway, "ok.example:443", tmp_path, authority, forgeries(authority)[name])
    except OSError:
        # Not even a connection.
        status = 0
    assert status in (0, 403, 407)
    assert len(outside.reached) == before


def test_a_principal_is_of_one_trust_domain(gateway: EgressGateway, tmp_path: Path, authority: Authority) -> None:
    """Namespaces and service accounts are of every one that the listener's authorities vouch for."""
    for domain, statuses in (("cluster.local", (200,)), ("cluster.local.evil.example", (403, 407))):
        audit = authority.issue(uris=[f"spiffe://{domain}/ns/shop/sa/audit"])
        assert connect(gateway, "ok.example:443", tmp_path, authority, audit) in statuses, domain


SHOWN = {
    "two pairs": ["Basic {good}", "Basic {good}"],
    "a wrong pair and a right one": ["Basic {wrong}", "Basic {good}"],
    "two in one field": ["Basic {good}, Basic {good}"],
    "no padding": ["Basic {unpadded}"],
    "another alphabet": ["Basic {url_safe}"],
    "bytes behind it": ["Basic {good}="],
    "no colon": ["Basic {user_alone}"],
    "another scheme": ["Bearer {good}"],
    "without a scheme": ["{good}"],
    "the digest for the password": ["Basic {digest}"],
    "the user in other case": ["Basic {upper}"],
    "the password cut off": ["Basic {short}"],
    "something endless": ["Basic " + "YTph" * 1500],
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_no_pair_is_nobody(gateway: EgressGateway, name: str) -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    good = encoded("ci:a-long-random-password")
    values = {
        "good": good,
        "wrong": encoded("ci:wrong"),
        # Its padding is part of it.
        "unpadded": encoded("ci:a-long-random-password?").rstrip("="),
        "url_safe": good[:-4] + "_-__",
        "user_alone": encoded("ci"),
        "digest": encoded("ci:sha256:" + hashlib.sha256(b"a-long-random-password").hexdigest()),
        "upper": encoded("CI:a-long-random-password"),
        "short": encoded("ci:a-long-random-passwor"),
    }
    headers = "".join(f"Proxy-Authorization: {one.format(**values)}\r\n" for one in SHOWN[name])
    client, answer = gateway.tunnel("nowhere.ok.example:443", headers)
    client.close()
    # With the right ones it would be 502: the name does not exist.
    assert status_of(answer) in (403, 407, 431), answer


def test_an_identity_that_is_only_claimed_is_nobody(gateway: EgressGateway) -> None:
    client, answer = gateway.tunnel("ok.example:443", f"X-Forwarded-Client-Cert: URI={CART}\r\n")
    client.close()
    assert status_of(answer) == 407
