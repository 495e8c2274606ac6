from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.agent.agent import Agent
from gateway.agent.persistence import FILE_NAME, TableFile
from gateway.routing_table import wire
from gateway.routing_table.model import Delta, EgressPolicy, Removed, Resources, Snapshot
from tests.support import small_tables as tables
from tests.support.fake_engine import FakeEngine


def agent_with(engine: FakeEngine, directory: Path | None = None) -> Agent:
    return Agent(engine, TableFile(directory) if directory else None, lambda: 1_000.0)


async def test_an_accepted_snapshot_is_the_table_in_force() -> None:
    engine = FakeEngine()
    agent = agent_with(engine)
    before = agent.state

    applied = await agent.apply(Snapshot(version="1", resources=tables.resources()))

    assert applied.version == "1"
    assert applied.rejected == ()
    assert agent.table == tables.resources()
    assert (before.ready, agent.state.ready) == (False, True)
    assert agent.state.version == "1"
    assert agent.state.applied_at == 1_000.0
    assert agent.state.counts["routes"] == 1


async def test_a_delta_changes_what_it_names_alone() -> None:
    agent = agent_with(FakeEngine())
    await agent.apply(Snapshot(version="1", resources=tables.resources()))

    await agent.apply(
        Delta(
            base="1",
            version="2",
            upsert=Resources(routes=(tables.route("cart", "/cart"),)),
            remove=Removed(routes=(tables.route().key,)),
        )
    )

    assert agent.state.version == "2"
    assert agent.table.routes == (tables.route("cart", "/cart"),)
    assert agent.table.listeners == tables.resources().listeners


async def test_a_refused_resource_keeps_its_previous_version_and_stays_reported_until_it_is_replaced() -> None:
    engine = FakeEngine()
    agent = agent_with(engine)
    good = tables.route(path="/good")
    await agent.apply(Snapshot(version="1", resources=tables.resources(good)))

    engine.refused = {good.key: "not today"}
    await agent.apply(Delta(base="1", version="2", upsert=Resources(routes=(tables.route(path="/bad"),))))
    assert agent.table.routes == (good,)
    assert [item.reason for item in agent.state.rejected] == ["not today"]

    engine.refused = {}
    await agent.apply(Delta(base="2", version="3", upsert=Resources(routes=(tables.route("other"),))))
    assert [item.key for item in agent.state.rejected] == [good.key]

    await agent.apply(Delta(base="3", version="4", upsert=Resources(routes=(tables.route(path="/better"),))))
    assert agent.state.rejected == ()


async def test_an_update_refused_as_a_whole_changes_nothing() -> None:
    agent = agent_with(FakeEngine())
    await agent.apply(Snapshot(version="1", resources=tables.resources()))

    applied = await agent.apply(Delta(base="7", version="8", remove=Removed(routes=(tables.route().key,))))

    assert applied.error
    assert agent.state.version == "1"
    assert agent.state.last_error == applied.error
    assert agent.table == tables.resources()


async def test_updates_are_applied_one_at_a_time_in_their_order() -> None:
    engine = FakeEngine()
    agent = agent_with(engine)
    await agent.apply(Snapshot(version="0", resources=tables.resources()))

    answers = await asyncio.gather(
        *(
            agent.apply(Delta(base=str(number), version=str(number + 1), upsert=tables.resources()))
            for number in range(20)
        )
    )

    assert [answer.version for answer in answers] == [str(number) for number in range(1, 21)]
    assert not any(answer.error for answer in answers)


async def test_a_listener_that_cannot_be_bound_is_reported_and_does_not_hold_up_readiness() -> None:
    engine = FakeEngine()
    engine.unbindable = {tables.LISTENER: "another process listens there already"}
    agent = agent_with(engine)

    await agent.apply(Snapshot(version="1", resources=tables.resources()))

    assert agent.state.ready
    assert [(item.key, item.error) for item in agent.state.unbound] == [
        (tables.LISTENER, "another process listens there already")
    ]


async def test_the_last_good_table_is_served_again_after_a_restart(tmp_path: Path) -> None:
    first = agent_with(FakeEngine(), tmp_path)
    first.start_saving()
    await first.apply(Snapshot(version="7", resources=tables.resources()))
    await first.close()

    engine = FakeEngine()
    second = agent_with(engine, tmp_path)
    assert second.restore() == ""

    assert engine.version == "7"
    assert engine.table == tables.resources()
    restored = second.state
    await second.apply(Snapshot(version="8", resources=tables.resources()))
    assert (restored.ready, restored.restored, second.state.restored) == (True, True, False)
    await second.close()


async def test_a_burst_of_updates_is_on_the_disk_after_close(tmp_path: Path) -> None:
    agent = agent_with(FakeEngine(), tmp_path)
    agent.start_saving()
    await agent.apply(Snapshot(version="0", resources=tables.resources()))
    for number in range(10):
        upsert = Resources(routes=(tables.route(f"route-{number}"),))
        await agent.apply(Delta(base=str(number), version=str(number + 1), upsert=upsert))
    await agent.close()

    loaded = TableFile(tmp_path).load()
    assert loaded.snapshot is not None
    saved, _ = wire.decode_update(loaded.snapshot)
    assert isinstance(saved, Snapshot)
    assert saved.version == "10"
    assert len(saved.resources.routes) == 11


async def test_a_policy_is_on_the_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    agent = agent_with(FakeEngine(), tmp_path)
    agent.start_saving()

    def on_the_disk() -> str:
        _, body = (tmp_path / FILE_NAME).read_bytes().split(b"\n", 1)
        return wire.decode_update(body)[0].version

    policy = EgressPolicy(key="default/base")
    await agent.apply(Snapshot(version="1", resources=tables.resources()))
    await agent.apply(Delta(base="1", version="2", upsert=Resources(egress_policies=(policy,))))
    after_it_came = on_the_disk()
    await agent.apply(Delta(base="2", version="3", remove=Removed(egress_policies=(policy.key,))))
    after_it_went = on_the_disk()
    await agent.apply(Delta(base="3", version="4", upsert=Resources(egress_policies=(policy,))))
    await agent.apply(Snapshot(version="5", resources=tables.resources()))
    assert (after_it_came, after_it_went, on_the_disk()) == ("2", "3", "5")
    await agent.close()


async def test_a_refused_table_is_never_saved(tmp_path: Path) -> None:
    agent = agent_with(FakeEngine(), tmp_path)
    agent.start_saving()
    await agent.apply(Delta(base="unknown", version="2"))
    await agent.close()

    assert TableFile(tmp_path).load().snapshot is None


def test_private_keys_are_in_the_bytes_for_the_engine_and_in_no_text() -> None:
    certificate = tables.certificate()
    assert b"nobody-may-see-this" in wire.encode(Resources(certificates=(certificate,)))
    for shown in (repr(certificate), str(certificate), repr(tables.resources(certificates=(certificate,)))):
        assert "nobody-may-see-this" not in shown
