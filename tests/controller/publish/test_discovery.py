from __future__ import annotations

from pathlib import Path

from tests.support import small_tables as tables
from tests.support.discovery import TABLE, ControllerHalf, GatewayHalf, kinds_sent


async def test_a_gateway_gets_a_certificate_then_its_table_then_what_changes(tmp_path: Path) -> None:
    async with ControllerHalf() as controller, GatewayHalf(tmp_path, controller) as gateway:
        controller.set(tables.resources())
        first = await controller.answer()

        assert gateway.agent.table == tables.resources()
        assert first.version == gateway.agent.state.version
        assert first.rejected == ()
        assert [listener.bound for listener in first.listeners] == [True]

        controller.set(tables.resources(tables.route(), tables.route("cart", "/cart")))
        second = await controller.answer()

        assert second.version != first.version
        assert kinds_sent(gateway.engine) == ["snapshot", "delta"]
        assert len(gateway.engine.updates[1]) < len(gateway.engine.updates[0])
        assert controller.told[0] == TABLE
