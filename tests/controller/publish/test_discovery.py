"""Discovery from end to end in one process: real TLS on the loopback, and gateways whose engine holds no traffic."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from controller.ca.authority import Authority
from controller.ca.service_account import ServiceAccount
from controller.publish.stream_response import Pace
from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Resources
from tests.support import small_tables as tables
from tests.support.discovery import EDGE, TABLE, TOKEN, ControllerHalf, GatewayHalf, kinds_sent, soon
from tests.support.wires import Wire


def two_routes() -> Resources:
    return tables.resources(tables.route(), tables.route("cart", "/cart"))


async def test_a_gateway_gets_a_certificate_then_its_table_then_what_changes(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        first = await controller.answer()

        assert gateway.agent.table == tables.resources()
        assert first.version == gateway.agent.state.version
        assert first.rejected == ()
        assert [listener.bound for listener in first.listeners] == [True]

        controller.set(two_routes())
        second = await controller.answer()

        assert second.version != first.version
        assert kinds_sent(gateway.engine) == ["snapshot", "delta"]
        assert b"HTTPRoute/default/shop" not in gateway.engine.updates[1]
        assert controller.told[0] == TABLE


async def test_a_gateway_that_connects_before_there_is_a_table_waits_for_it(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        await soon(lambda: gateway.discovery.state.connected)
        await asyncio.sleep(0.5)
        assert gateway.engine.updates == []

        controller.set(tables.resources())
        await controller.answer()
        assert gateway.agent.state.ready


async def test_what_a_gateway_refuses_is_named_in_the_answer_and_sent_again_with_the_next_change(
    tmp_path: Path,
) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        bad = tables.route("cart", "/cart")
        gateway.engine.refused = {bad.key: "not today"}
        controller.set(tables.resources(tables.route(), bad))
        refusing = await controller.answer()
        assert [(item.kind, item.key, item.reason) for item in refusing.rejected] == [("routes", bad.key, "not today")]

        gateway.engine.refused = {}
        controller.set(tables.resources(tables.route(), bad, tables.route("other", "/other")))
        accepting = await controller.answer()

        assert accepting.rejected == ()
        assert gateway.agent.table.routes[-1].key.endswith("other/0")
        assert len(gateway.agent.table.routes) == 3


async def test_a_listener_that_is_bound_later_is_told_without_an_update(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        gateway.engine.unbindable = {tables.LISTENER: "taken"}
        controller.set(tables.resources())
        assert [(item.bound, item.error) for item in (await controller.answer()).listeners] == [(False, "taken")]

        gateway.engine.unbindable = {}
        await gateway.agent.refresh()

        answer = await soon(lambda: [a for a in [controller.subscriptions.answer(TABLE)] if a and a.listeners[0].bound])
        assert answer
        assert controller.told == [TABLE, TABLE]


async def test_a_table_that_is_refused_as_a_whole_is_sent_again_only_when_it_is_another(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        apply = gateway.engine.apply
        attempts: list[bytes] = []

        def refuse(update: bytes, /) -> bytes:
            attempts.append(update)
            return wire.encode(Applied(version="", error="no memory"))

        gateway.engine.apply = refuse  # type: ignore[method-assign]
        controller.set(tables.resources())
        assert (await controller.answer()).error == "no memory"
        await asyncio.sleep(1.0)  # several heartbeats, each with its answer
        assert len(attempts) == 1
        assert controller.subscriptions.gateways()[0].error == "no memory"

        gateway.engine.apply = apply  # type: ignore[method-assign]
        controller.set(two_routes())
        assert (await controller.answer()).error == ""


# --- who may have what ------------------------------------------------------------------------------


async def test_a_token_that_proves_nothing_gets_no_certificate(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller, token="expired") as gateway:
        await soon(lambda: "401" in gateway.error)
        assert "not valid here" in gateway.error
        assert gateway.identity.credentials is None

        gateway.token.write_text(TOKEN)  # the kubelet rotates it
        await soon(lambda: gateway.discovery.state.connected)


async def test_tokens_that_cannot_be_reviewed_now_are_tried_again(tmp_path: Path) -> None:
    async with ControllerHalf() as controller:
        controller.reviews_fail = True
        async with GatewayHalf(tmp_path, controller) as gateway:
            await soon(lambda: "503" in gateway.error)
            controller.reviews_fail = False
            await soon(lambda: gateway.discovery.state.connected)


async def test_an_identity_without_a_table_is_refused_by_its_name(tmp_path: Path) -> None:
    async with ControllerHalf() as controller:
        stranger = ServiceAccount("other", "stranger")
        controller.tokens["token-of-a-stranger"] = stranger
        async with GatewayHalf(tmp_path, controller, token="token-of-a-stranger") as gateway:
            await soon(lambda: "403" in gateway.error)
            assert "spiffe://cluster.local/ns/other/sa/stranger" in gateway.error

            controller.tables[stranger] = TABLE
            controller.set(tables.resources())
            await soon(lambda: gateway.agent.state.ready)

            # And it loses the table when it is no longer its.
            del controller.tables[stranger]
            await soon(lambda: "403" in gateway.error)
            controller.set(two_routes())
            await asyncio.sleep(0.3)
            assert len(gateway.agent.table.routes) == 1


async def test_a_server_of_another_authority_never_sees_the_token(tmp_path: Path) -> None:
    other = Authority.create().bundle_pem
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller, bundle=other) as gateway:
        await soon(lambda: gateway.error)
        assert "maybe the mounted trust bundle is not the controller's" in gateway.error
        assert controller.reviews == 0

        gateway.bundle.write_text(controller.authority.bundle_pem)  # the ConfigMap is corrected
        await soon(lambda: gateway.discovery.state.connected)


async def test_a_server_under_another_name_is_refused(tmp_path: Path) -> None:
    async with ControllerHalf() as controller:
        url = controller.url.replace("localhost", "127.0.0.1")
        async with GatewayHalf(tmp_path, controller, url=url) as gateway:
            await soon(lambda: "CERTIFICATE_VERIFY_FAILED" in gateway.error)
            assert controller.reviews == 0


# --- what breaks ------------------------------------------------------------------------------------


async def test_a_controller_that_starts_anew_goes_on_from_what_the_gateway_holds(tmp_path: Path) -> None:
    controller = ControllerHalf()
    async with contextlib.AsyncExitStack() as stack:
        await controller.__aenter__()
        gateway = await stack.enter_async_context(GatewayHalf(tmp_path, controller))
        gateway.engine.refused = {"HTTPRoute/default/cart/0": "not today"}
        controller.set(two_routes())
        before = await controller.answer()
        await controller.__aexit__()
        await soon(lambda: not gateway.discovery.state.connected)
        assert gateway.agent.state.ready

        await stack.enter_async_context(controller)
        controller.set(two_routes())
        after = await controller.answer()

        assert after == before
        assert after.rejected
        assert kinds_sent(gateway.engine) == ["snapshot"], "an equal table was sent again"


async def test_a_gateway_that_was_away_gets_only_what_changed_meanwhile(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, Wire(controller.port) as wire:
        port, controller.port = controller.port, wire.port
        async with GatewayHalf(tmp_path, controller) as gateway:
            controller.port = port
            controller.set(tables.resources())
            await controller.answer()

            wire.freeze()
            controller.set(two_routes())
            controller.set(tables.resources(tables.route(), tables.route("pay", "/pay")))
            await soon(lambda: "said nothing for 2 s" in gateway.error)
            assert controller.subscriptions.answer(TABLE) is None
            wire.thaw()
            answer = await controller.answer()

            assert answer.version == gateway.agent.state.version
            assert kinds_sent(gateway.engine) == ["snapshot", "delta"]
            assert {route.object for route in gateway.agent.table.routes} == {"default/shop", "default/pay"}


async def test_a_gateway_behind_a_dead_connection_no_longer_counts(tmp_path: Path) -> None:
    async with ControllerHalf(patience=0.5) as controller, Wire(controller.port) as wire:
        port, controller.port = controller.port, wire.port
        async with GatewayHalf(tmp_path / "dead", controller, name="dead"):
            controller.port = port
            async with GatewayHalf(tmp_path / "live", controller, name="live"):
                controller.set(tables.resources())
                await soon(lambda: len(controller.subscriptions.gateways()) == 2)
                await controller.answer()

                wire.freeze()
                controller.set(two_routes())
                answer = await controller.answer()

                assert answer.version == controller.subscriptions.gateways()[0].wanted
                dead, live = controller.subscriptions.gateways()
                assert (dead.name, dead.error) == (f"{TABLE}: dead", "it has not answered for 0.5 s")
                assert (live.name, live.error) == (f"{TABLE}: live", "")
                await soon(lambda: len(controller.subscriptions.gateways()) == 1)


async def test_certificates_are_renewed_while_the_stream_goes_on(tmp_path: Path) -> None:
    async with ControllerHalf(lifetime=3.0) as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        await controller.answer()
        first = gateway.identity.credentials
        assert first is not None

        await soon(lambda: gateway.discovery.state.connections >= 3, within=30)
        second = gateway.identity.credentials
        assert second is not None
        assert second.ends > first.ends
        assert second.private_key != first.private_key
        assert kinds_sent(gateway.engine) == ["snapshot"], "a new certificate cost a table"
        assert controller.told == [TABLE], "the answer changed with the certificate"

        controller.set(two_routes())
        await controller.answer()


async def test_a_gateway_that_cannot_renew_loses_its_stream_with_its_certificate(tmp_path: Path) -> None:
    async with ControllerHalf(lifetime=3.0) as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        await controller.answer()
        controller.tokens.clear()

        await soon(lambda: "401" in gateway.error and not gateway.discovery.state.connected, within=20)
        assert gateway.agent.state.ready
        controller.tokens[TOKEN] = EDGE
        await soon(lambda: gateway.discovery.state.connected, within=20)


@pytest.mark.parametrize("count", [200])
async def test_many_gateways_hold_the_same_table(tmp_path: Path, count: int) -> None:
    async with (
        ControllerHalf(pace=Pace(heartbeat=5.0, silence=30.0), patience=60.0) as controller,
        contextlib.AsyncExitStack() as stack,
    ):
        gateways = [GatewayHalf(tmp_path / str(n), controller, name=f"edge-{n}") for n in range(count)]
        for gateway in gateways:
            await stack.enter_async_context(gateway)
        controller.set(tables.resources())
        await soon(lambda: sum(gateway.agent.state.loaded for gateway in gateways) == count, within=60)
        controller.set(two_routes())
        answer = await soon(lambda: controller.subscriptions.answer(TABLE), within=30)

        assert answer is not None
        assert {gateway.agent.state.version for gateway in gateways} == {answer.version}
        assert {version.version for version in controller.subscriptions.gateways()} == {answer.version}
        deltas = {gateway.engine.updates[-1] for gateway in gateways}
        assert len(deltas) == 1


async def test_a_sidecar_gets_the_table_of_its_workload_until_that_is_no_longer_its(tmp_path: Path) -> None:
    async with ControllerHalf(pace=Pace(heartbeat=0.1, silence=5.0)) as controller:
        controller.tables.clear()
        controller.workloads[EDGE, "shop/cart-1"] = "shop/cart/1"
        controller.set(tables.resources(), "shop/cart/1")
        async with GatewayHalf(tmp_path, controller, workload="shop/cart-1") as sidecar:
            await controller.answer("shop/cart/1")
            assert sidecar.agent.table == tables.resources()

            controller.workloads.clear()
            await soon(lambda: "no workload shop/cart-1" in sidecar.error)
            assert sidecar.agent.table == tables.resources()


async def test_a_sidecar_that_names_another_s_workload_gets_nothing(tmp_path: Path) -> None:
    async with ControllerHalf() as controller:
        controller.workloads[ServiceAccount("shop", "web"), "shop/web-1"] = "shop/web/1"
        controller.set(tables.resources(), "shop/web/1")
        async with GatewayHalf(tmp_path, controller, workload="shop/web-1") as sidecar:
            await soon(lambda: "no workload shop/web-1" in sidecar.error)
            assert not sidecar.agent.state.loaded
