"""A change of roots while gateways are connected: every phase live, no connection lost."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from controller.ca.authority import Authority, AuthoritySettings
from controller.ca.material import Phase
from controller.ca.root import Root
from controller.ca.rotation import AuthorityReport, key_identifier, next_phase, objections
from controller.publish.relay import Relay, RelaySettings
from tests.controller.publish.test_certificates import asked
from tests.support import small_tables as tables
from tests.support.authorities import utc_now
from tests.support.discovery import CONTROLLER, EDGE, ControllerHalf, GatewayHalf, soon


def report(controller: ControllerHalf) -> AuthorityReport:
    material = controller.authority.material
    return AuthorityReport(
        phase=material.phase.value,
        bundle=material.digest,
        root_key=controller.authority.root_key,
        root_ends=material.signing.ends,
        certificate_seconds=0.0,
        replicas=controller.subscriptions.replica_trust(),
        gateways=controller.subscriptions.gateway_trust(),
    )


def may_go_on(controller: ControllerHalf) -> bool:
    found = report(controller)
    return bool(found.gateways) and not objections(controller.authority.material, found)


def go_on(controller: ControllerHalf) -> None:
    controller.authority.take(next_phase(controller.authority.material, Root.create(utc_now())))


@pytest.mark.parametrize("lifetime", [3.0, 300.0], ids=["short lives", "long lives"])
async def test_no_gateway_loses_its_stream_while_the_root_changes(
    tmp_path: Path, lifetime: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with ControllerHalf(lifetime=lifetime) as controller:
        controller.set(tables.resources())
        old = controller.authority.issue(EDGE)
        old_bundle = controller.authority.bundle_pem
        async with (
            GatewayHalf(tmp_path / "1", controller, name="edge-1") as first,
            GatewayHalf(tmp_path / "2", controller, name="edge-2", token=controller.join_token(), joins=True) as second,
        ):
            first.identity._chance = second.identity._chance = lambda: 0.01
            for phase in (Phase.INTRODUCED, Phase.SWITCHED, Phase.STABLE):
                await soon(lambda: may_go_on(controller))
                go_on(controller)
                assert controller.authority.material.phase is phase
            await soon(lambda: may_go_on(controller))
            controller.set(tables.resources(tables.route("cart", "/cart")))
            await controller.answer()

            new = key_identifier(controller.authority.material.signing.certificate)
            for gateway in (first, second):
                assert gateway.identity.root_key == new
                assert gateway.error == ""
            assert "streams ended: it has no right" not in caplog.text
            assert "ended: it said nothing" not in caplog.text

            with pytest.raises((httpx.HTTPError, ssl.SSLError)):  # the root before is believed no more
                await asked(controller, issued=old)
        async with GatewayHalf(tmp_path / "3", controller, bundle=old_bundle) as late:
            await soon(lambda: "maybe the mounted trust bundle is not the controller's" in late.error)


async def test_a_gateway_that_has_not_said_what_it_trusts_holds_the_change_up(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        await soon(lambda: may_go_on(controller))
        gateway.identity.take_trust = lambda *_: None  # type: ignore[method-assign]
        go_on(controller)
        await asyncio.sleep(0.6)
        assert "has not taken over the bundle" in objections(controller.authority.material, report(controller))[0]


async def test_the_leader_knows_what_the_gateways_of_others_trust(tmp_path: Path) -> None:
    authority = Authority.create(AuthoritySettings())
    follower, leader = ControllerHalf(authority), ControllerHalf(authority)
    async with follower, leader, GatewayHalf(tmp_path, follower) as gateway:
        gateway.identity._chance = lambda: 0.01  # of the minute within which all renew
        settings = RelaySettings(account=CONTROLLER, replica="controller-2", server_name="localhost")
        relay = Relay(settings, authority, follower.subscriptions, lambda: f"https://127.0.0.1:{leader.port}")
        relaying = asyncio.create_task(relay.run())
        follower.set(tables.resources())
        for _ in range(3):
            await soon(lambda: may_go_on(leader))
            assert [item.replica for item in leader.subscriptions.replica_trust()] == ["controller-2"]
            go_on(leader)
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        assert authority.material.phase is Phase.STABLE
