"""Who gets a certificate, and for whom: proofs, and attacks on them, over real TLS."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca.authority import Authority, Issued
from controller.ca.root import Root
from controller.ca.service_account import ServiceAccount
from controller.publish.connection import load_issued
from controller.publish.discovery import DiscoveryParts
from controller.publish.server import DiscoveryServer
from controller.publish.subscriptions import Subscriptions
from gateway.identity.credentials import CertificateRequest
from gateway.routing_table.discovery import BUNDLE_PATH, CERTIFICATE_PATH, MAX_REQUEST_BYTES, trust_digest
from tests.support import small_tables as tables
from tests.support.authorities import HOUR, LeafPlan, leaf, root_of, utc_now
from tests.support.discovery import CONTROLLER, EDGE, ControllerHalf, GatewayHalf, headers, soon

URI = EDGE.uri("cluster.local")


def client(url: str, authority: Authority, issued: Issued | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cadata=authority.bundle_pem)
    if issued is not None:
        load_issued(context, issued)
    return httpx.AsyncClient(base_url=url, http1=False, http2=True, verify=context, trust_env=False, timeout=10)


async def asked(
    controller: ControllerHalf, *, token: str = "", issued: Issued | None = None, body: bytes = b""
) -> httpx.Response:
    async with client(controller.url, controller.authority, issued) as asking:
        proof = headers(token) if token else {}
        return await asking.post(CERTIFICATE_PATH, content=body or CertificateRequest().pem, headers=proof)


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    certificate = x509.load_pem_x509_certificates(answer.content)[0]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [name.value for name in found]


def greedy_request() -> bytes:
    """It asks for the controller's name, to sign others, and for ten years."""
    wanted = [x509.UniformResourceIdentifier(CONTROLLER.uri("cluster.local")), x509.DNSName("localhost")]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(wanted), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


# --- join tokens ------------------------------------------------------------------------------------


async def test_a_join_token_is_good_once_and_its_replay_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with ControllerHalf() as controller:
        token = controller.join_token()
        assert names(await asked(controller, token=token)) == [URI]
        again = await asked(controller, token=token)
    assert (again.status_code, "used before" in again.text) == (401, True)
    assert "join token was refused" in caplog.text
    assert "was used before" in caplog.text
    assert token not in caplog.text


async def test_an_expired_join_token_and_an_invented_one_are_refused() -> None:
    async with ControllerHalf() as controller:
        late = controller.join_token(life=0.05)
        await asyncio.sleep(0.1)
        for token in (late, controller.join_token()[:-2] + "xx", "sekisho-join.x.y"):
            answer = await asked(controller, token=token)
            assert (answer.status_code, "expired" in answer.json()["error"]) == (401, True)
        assert controller.reviews == 0, "a join token was shown to the API server"


async def test_a_request_that_cannot_be_signed_does_not_spend_a_join_token() -> None:
    async with ControllerHalf() as controller:
        token = controller.join_token()
        assert (await asked(controller, token=token, body=b"hello")).status_code == 400
        assert (await asked(controller, token=token, body=b"x" * (MAX_REQUEST_BYTES + 1))).status_code == 413
        assert names(await asked(controller, token=token)) == [URI]


async def test_a_gateway_that_joined_renews_by_its_certificate(tmp_path: Path) -> None:
    async with ControllerHalf(lifetime=2.0) as controller:
        controller.set(tables.resources())
        async with GatewayHalf(tmp_path, controller, token=controller.join_token(), joins=True) as gateway:
            await soon(lambda: gateway.agent.state.ready)
            first = gateway.identity.credentials
            await soon(lambda: gateway.identity.credentials != first)
            assert gateway.identity.credentials is not None
            assert gateway.identity.credentials.uri == URI
            assert gateway.error == ""


# --- renewal ----------------------------------------------------------------------------------------


async def test_a_certificate_is_renewed_for_the_name_that_it_has() -> None:
    async with ControllerHalf() as controller:
        issued = controller.authority.issue(EDGE)
        assert names(await asked(controller, issued=issued)) == [URI]
        assert names(await asked(controller, issued=issued, body=greedy_request())) == [URI]
        assert names(await asked(controller, token="the-token-of-the-edge", body=greedy_request())) == [URI]


WRONG = {
    "expired": LeafPlan(uris=[URI], ends=-HOUR),
    "not-yet-valid": LeafPlan(uris=[URI], begins=HOUR, ends=2 * HOUR),
    "server-only": LeafPlan(uris=[URI], usages=[ExtendedKeyUsageOID.SERVER_AUTH]),
    "self-signed": LeafPlan(uris=[URI]),
    "two-names": LeafPlan(uris=[URI, CONTROLLER.uri("cluster.local")]),
    "no-name": LeafPlan(names=False),
    "no-uri": LeafPlan(hosts=["edge.example.com"]),
    "other-domain": LeafPlan(uris=["spiffe://elsewhere/ns/prod/sa/edge-sekisho"]),
    "signs-others": LeafPlan(uris=[URI], ca=True),
}
AT_THE_HANDSHAKE = {"expired", "not-yet-valid", "server-only", "self-signed"}


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_a_certificate_that_is_wrong_renews_nothing(name: str) -> None:
    async with ControllerHalf() as controller:
        issuer = None if name == "self-signed" else root_of(controller.authority)
        issued = leaf(WRONG[name], issuer)
        if name in AT_THE_HANDSHAKE:
            with pytest.raises((httpx.HTTPError, ssl.SSLError)):
                await asked(controller, issued=issued)
        else:
            answer = await asked(controller, issued=issued)
            assert answer.status_code == 403, answer.text
        assert (await asked(controller)).status_code == 401, "the server no longer answers others"


async def test_a_certificate_that_ends_while_its_connection_lives_renews_nothing() -> None:
    async with ControllerHalf() as controller:
        issued = leaf(LeafPlan(uris=[URI], ends=datetime.timedelta(seconds=2)), root_of(controller.authority))
        async with client(controller.url, controller.authority, issued) as asking:
            assert (await asking.post(CERTIFICATE_PATH, content=CertificateRequest().pem)).status_code == 200
            await asyncio.sleep(2.1)
            answer = await asking.post(CERTIFICATE_PATH, content=CertificateRequest().pem)
        assert (answer.status_code, answer.json()["error"]) == (401, "the client certificate has expired")


# --- who is denied ----------------------------------------------------------------------------------


async def test_who_is_denied_gets_no_certificate_and_loses_its_stream(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        await soon(lambda: gateway.agent.state.ready)
        issued = controller.authority.issue(EDGE)

        controller.authority.take(replace(controller.authority.material, denied=frozenset({URI})))
        await soon(lambda: "denied" in gateway.error)
        for answer in (
            await asked(controller, issued=issued),
            await asked(controller, token="the-token-of-the-edge"),
            await asked(controller, token=controller.join_token()),
        ):
            assert (answer.status_code, "denied" in answer.text) == (403, True)

        controller.authority.take(replace(controller.authority.material, denied=frozenset()))
        await soon(lambda: gateway.discovery.state.connected)


# --- without a cluster ------------------------------------------------------------------------


async def test_an_authority_without_a_cluster_takes_join_tokens_and_certificates_alone() -> None:
    authority = Authority.create()

    async def joined(token: str) -> ServiceAccount:
        assert token == "sekisho-join.a.b"
        return EDGE

    parts = DiscoveryParts(
        subscriptions=Subscriptions(lambda _table: None),
        authority=authority,
        tokens=None,
        table_of=lambda _account, _workload: None,
        account=CONTROLLER,
        replica="standalone",
        join=joined,
    )
    server = DiscoveryServer("127.0.0.1", 0, parts, ("localhost",))
    stop = asyncio.Event()
    serving = asyncio.create_task(server.run(stop))
    try:
        async with client(f"https://localhost:{server.port}", authority) as asking:
            body = CertificateRequest().pem
            assert names(await asking.post(CERTIFICATE_PATH, content=body, headers=headers("sekisho-join.a.b"))) == [
                URI
            ]
            refused = await asking.post(CERTIFICATE_PATH, content=body, headers=headers("a.service.account"))
            assert (refused.status_code, "not taken here" in refused.text) == (401, True)
            bundle = await asking.get(BUNDLE_PATH)
            assert trust_digest(bundle.text) == authority.material.digest
    finally:
        stop.set()
        await serving


async def test_an_authority_that_has_ended_says_so_and_signs_nothing() -> None:
    now = utc_now()
    authority = Authority.create(now=lambda: now)
    async with ControllerHalf(authority) as controller:
        now += datetime.timedelta(days=4000)
        answer = await asked(controller, token="the-token-of-the-edge")
        assert (answer.status_code, "signed now" in answer.text) == (503, True)
        now = utc_now()
        authority.take(replace(authority.material, signing=Root.create(now)))
        await soon(lambda: _answers(controller))


async def _answers(controller: ControllerHalf) -> bool:
    try:
        return (await asked(controller, token="the-token-of-the-edge")).status_code == 200
    except (httpx.HTTPError, ssl.SSLError):
        return False
