"""Discovery against clients that are not the gateway's: what is refused, and what a bad one costs the others."""

from __future__ import annotations

import asyncio
import datetime
import resource
import ssl
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controller.ca.authority import Authority, AuthoritySettings, Issued
from controller.ca.service_account import ServiceAccount
from controller.publish.connection import load_issued
from controller.publish.relay import Relay, RelaySettings
from controller.publish.stream_response import Pace
from controller.publish.subscriptions import Subscriptions
from gateway.identity.credentials import CertificateRequest
from gateway.routing_table import wire
from gateway.routing_table.discovery import (
    ANSWERS_PATH,
    CERTIFICATE_PATH,
    MAX_REQUEST_BYTES,
    STREAM_PATH,
    Hello,
    Relayed,
    Welcome,
)
from gateway.routing_table.model import Applied, Resources
from tests.support import small_tables as tables
from tests.support.authorities import LeafPlan, leaf, root_of
from tests.support.discovery import CONTROLLER, EDGE, TABLE, ControllerHalf, GatewayHalf, headers, soon

HELLO = msgspec.json.encode(Hello(gateway="edge-1"))
OTHER = ServiceAccount("prod", "other-sekisho")


def client(controller: ControllerHalf, issued: Issued | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cadata=controller.authority.bundle_pem)
    if issued is not None:
        load_issued(context, issued)
    return httpx.AsyncClient(
        base_url=controller.url, http1=False, http2=True, verify=context, trust_env=False, timeout=10
    )


def signed_by(authority: Authority, *uris: str, ends_in: float = 3600.0) -> Issued:
    """A certificate such as the authority itself never signs."""
    ends = datetime.timedelta(seconds=ends_in)
    return leaf(LeafPlan(uris=uris, ends=ends), root_of(authority))


async def refused(controller: ControllerHalf, issued: Issued | None, path: str = STREAM_PATH) -> tuple[int, str]:
    async with client(controller, issued) as asking:
        answer = await asking.post(path, content=HELLO)
        return answer.status_code, str(answer.json()["error"])


# --- certificates -----------------------------------------------------------------------------------


async def test_names_in_a_request_count_for_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.UniformResourceIdentifier(CONTROLLER.uri("cluster.local")), x509.DNSName("localhost")]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    async with ControllerHalf() as controller, client(controller) as asking:
        body = request.public_bytes(serialization.Encoding.PEM)
        answer = await asking.post(CERTIFICATE_PATH, content=body, headers=headers())

    certificate = x509.load_pem_x509_certificate(answer.content)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in found] == ["spiffe://cluster.local/ns/prod/sa/edge-sekisho"]


async def test_requests_that_cannot_be_signed_say_why() -> None:
    weak = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    small = weak.sign(rsa.generate_private_key(65537, 1024), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    async with ControllerHalf() as controller, client(controller) as asking:
        for body, status, text in (
            (b"hello", 400, "not a certificate request"),
            (small, 400, "RSA of 2048"),
            (b"x" * (MAX_REQUEST_BYTES + 1), 413, "longer than"),
        ):
            answer = await asking.post(CERTIFICATE_PATH, content=body, headers=headers())
            assert answer.status_code == status
            assert text in answer.json()["error"]
        unsaid = await asking.post(CERTIFICATE_PATH, content=CertificateRequest().pem)
        assert (unsaid.status_code, "bearer" in unsaid.text.lower()) == (401, True)


# --- streams ----------------------------------------------------------------------------------------


async def test_without_a_certificate_there_is_no_stream() -> None:
    async with ControllerHalf() as controller:
        assert await refused(controller, None) == (401, "a client certificate is needed")
        assert (await refused(controller, None, f"{STREAM_PATH}/x/answer"))[0] == 401
        assert (await refused(controller, None, ANSWERS_PATH))[0] == 401


async def test_a_certificate_with_two_identities_proves_none() -> None:
    async with ControllerHalf() as controller:
        uri = EDGE.uri("cluster.local")
        status, text = await refused(controller, signed_by(controller.authority, uri, OTHER.uri("cluster.local")))
        assert (status, "2 URIs" in text) == (403, True)
        status, text = await refused(controller, signed_by(controller.authority, uri, uri))
        assert (status, "2 URIs" in text) == (403, True)


@pytest.mark.parametrize(
    "uri",
    ["spiffe://elsewhere/ns/prod/sa/edge-sekisho", "spiffe://cluster.local/prod/edge-sekisho", "https://example.com"],
)
async def test_another_trust_domain_and_other_names_prove_nothing(uri: str) -> None:
    async with ControllerHalf() as controller:
        assert (await refused(controller, signed_by(controller.authority, uri)))[0] == 403


async def test_a_certificate_of_another_authority_or_an_expired_one_ends_the_handshake() -> None:
    async with ControllerHalf() as controller:
        foreign = Authority.create().issue(EDGE)
        expired = signed_by(controller.authority, EDGE.uri("cluster.local"), ends_in=-60)
        for issued in (foreign, expired):
            with pytest.raises((httpx.HTTPError, ssl.SSLError)):
                await refused(controller, issued)
        assert (await refused(controller, None))[0] == 401, "the server no longer answers others"


async def test_a_stream_takes_answers_from_its_own_identity_only() -> None:
    async with ControllerHalf() as controller:
        controller.set(tables.resources())
        controller.tables[OTHER] = "prod/other"
        async with (
            client(controller, controller.authority.issue(EDGE)) as edge,
            client(controller, controller.authority.issue(OTHER)) as other,
            edge.stream("POST", STREAM_PATH, content=HELLO) as response,
        ):
            lines = response.aiter_lines()
            welcome = msgspec.json.decode(await anext(lines), type=Welcome)
            update, _ = wire.decode_update((await anext(lines)).encode())
            path = f"{STREAM_PATH}/{welcome.stream}/answer"
            lie = wire.encode(Applied(version=update.version))

            assert (await other.post(path, content=lie)).status_code == 403
            assert controller.subscriptions.answer(TABLE) is None
            assert (await edge.post(f"{STREAM_PATH}/unknown/answer", content=lie)).status_code == 404
            assert (await edge.post(path, content=b"{")).status_code == 400
            assert (await edge.post(path, content=lie)).status_code == 204
            assert (await controller.answer()).version == update.version
        await soon(lambda: controller.subscriptions.gateways()[0].error == "its stream ended; it is expected back")


async def test_a_hello_that_is_not_understood_is_refused() -> None:
    async with ControllerHalf() as controller, client(controller, controller.authority.issue(EDGE)) as edge:
        for body, text in (
            (b"[]", "not a Hello"),
            (msgspec.json.encode(Hello(gateway="edge-1", format=99)), "format 99"),
            (msgspec.json.encode(Hello(gateway="")), "name is empty"),
            (msgspec.json.encode(Hello(gateway="two\nlines")), "not printable"),
        ):
            answer = await edge.post(STREAM_PATH, content=body)
            assert (answer.status_code, text in answer.json()["error"]) == (400, True)


async def test_a_gateway_that_answers_nothing_is_given_up() -> None:
    async with (
        ControllerHalf(pace=Pace(heartbeat=0.1, silence=0.5)) as controller,
        client(controller, controller.authority.issue(EDGE)) as mute,
        mute.stream("POST", STREAM_PATH, content=HELLO) as response,
    ):
        said: list[str] = []
        with pytest.raises(httpx.HTTPError):
            await _read_into(said, response)
        assert '"welcome"' in said[0]
        assert len(said) > 3
        assert controller.subscriptions.gateways() == ()


async def _read_into(said: list[str], response: httpx.Response) -> None:
    async for line in response.aiter_lines():
        said += [line]


async def test_a_stream_ends_with_the_certificate_it_was_opened_with() -> None:
    async with ControllerHalf(pace=Pace(heartbeat=0.1, silence=30.0)) as controller:
        short = signed_by(controller.authority, EDGE.uri("cluster.local"), ends_in=2.0)
        async with client(controller, short) as edge, edge.stream("POST", STREAM_PATH, content=HELLO) as response:
            assert response.status_code == 200
            async with asyncio.timeout(20):
                lines = [line async for line in response.aiter_lines()]
            assert '"heartbeat"' in lines[-1]
            late = await edge.post(STREAM_PATH, content=HELLO)
            assert (late.status_code, "expired" in late.text) == (401, True)


async def test_a_gateway_that_reads_nothing_is_given_up_and_costs_the_others_nothing(tmp_path: Path) -> None:
    routes = tuple(tables.route(f"r{n}", f"/{n}/" + "x" * 900) for n in range(8_000))
    big = tables.resources(*routes)
    pace = Pace(heartbeat=0.2, silence=2.0)
    async with (
        ControllerHalf(pace=pace, patience=0.5) as controller,
        client(controller, controller.authority.issue(EDGE)) as slow,
        slow.stream("POST", STREAM_PATH, content=HELLO.replace(b"edge-1", b"slow")) as response,
    ):
        await anext(response.aiter_raw())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        controller.set(big)
        async with GatewayHalf(tmp_path, controller, name="quick") as quick:
            await soon(lambda: quick.agent.state.loaded, within=20)
            for n in range(20):  # nothing of this piles up for who does not read
                controller.set(tables.resources(*routes[:-1], tables.route(f"r{n}", f"/{n}/changed")))
                await asyncio.sleep(0.02)
            answer = await controller.answer()
            assert answer.version == quick.agent.state.version
            await soon(lambda: len(controller.subscriptions.gateways()) == 1, within=20)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        assert grown < 300, f"{grown} MiB for 10 MiB of table"


# --- replicas ---------------------------------------------------------------------------------------


async def test_what_gateways_answered_a_follower_counts_with_the_leader(tmp_path: Path) -> None:
    authority = Authority.create(AuthoritySettings())
    follower, leader = ControllerHalf(authority), ControllerHalf(authority)
    async with follower, leader, GatewayHalf(tmp_path, follower) as gateway:
        bad = tables.route("cart", "/cart")
        gateway.engine.refused = {bad.key: "not today"}
        for half in (follower, leader):
            half.set(tables.resources(tables.route(), bad))
        await follower.answer()
        assert leader.subscriptions.answer(TABLE) is None

        settings = RelaySettings(account=CONTROLLER, replica="controller-2", server_name="localhost")
        url = f"https://127.0.0.1:{leader.port}"
        relay = Relay(settings, authority, follower.subscriptions, lambda: url)
        relaying = asyncio.create_task(relay.run())
        assert [item.key for item in (await leader.answer()).rejected] == [bad.key]

        for half in (follower, leader):
            half.set(tables.resources())
        assert (await leader.answer()).rejected == ()
        assert leader.subscriptions.gateways() == follower.subscriptions.gateways()
        assert relay.last_error == ""
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)


async def test_only_the_controller_relays() -> None:
    body = msgspec.json.encode(Relayed(replica="me"))
    async with ControllerHalf() as controller, client(controller, controller.authority.issue(EDGE)) as edge:
        answer = await edge.post(ANSWERS_PATH, content=body)
        assert (answer.status_code, answer.json()["error"]) == (403, "prod/edge-sekisho is not the controller")


async def test_what_was_relayed_is_forgotten_with_its_time() -> None:
    told: list[str] = []
    subscriptions = Subscriptions(told.append)
    subscriptions.set_tables({TABLE: Resources()})
    other = Subscriptions(told.append)
    other.set_tables({TABLE: Resources()})
    version = other.gateways()  # nobody
    assert version == ()
    stream = other.open("edge-1", TABLE, None)
    message = await stream.next(1)
    assert message is not None
    other.answered(stream, Applied(version=message.version))

    subscriptions.take_relayed(Relayed(replica="other", answers=other.local_answers()), 0.2)
    assert subscriptions.answer(TABLE) == Applied(version=message.version)
    await asyncio.sleep(0.3)
    assert subscriptions.answer(TABLE) is None
