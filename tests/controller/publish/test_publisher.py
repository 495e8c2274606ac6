from __future__ import annotations

from controller.publish.publisher import Publisher
from gateway.agent.agent import Agent
from gateway.routing_table import wire
from gateway.routing_table.model import Delta, Resources, Snapshot, Update
from tests.support import small_tables as tables
from tests.support.fake_engine import FakeEngine


class Watched:
    """An agent whose updates are kept."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.agent = Agent(self.engine, None, lambda: 0.0)

    @property
    def updates(self) -> list[Update]:
        return [wire.decode_update(update)[0] for update in self.engine.updates]


async def test_the_first_publication_is_a_snapshot_and_the_next_ones_are_deltas() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    first = await publisher.publish(tables.resources())
    second = await publisher.publish(tables.resources(tables.route(), tables.route("cart", "/cart")))
    third = await publisher.publish(tables.resources(tables.route("cart", "/cart")))

    assert [item.version if item else "" for item in (first, second, third)] == ["1", "2", "3"]
    snapshot, added, removed = watched.updates
    assert isinstance(snapshot, Snapshot)
    assert isinstance(added, Delta)
    assert isinstance(removed, Delta)
    assert (added.base, added.version) == ("1", "2")
    assert added.upsert == Resources(routes=(tables.route("cart", "/cart"),))
    assert removed.upsert == Resources()
    assert removed.remove.routes == (tables.route().key,)
    assert watched.agent.table == tables.resources(tables.route("cart", "/cart"))


async def test_what_is_equal_is_not_sent() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    await publisher.publish(tables.resources())
    assert await publisher.publish(tables.resources()) is None
    assert len(watched.updates) == 1


async def test_versions_go_on_after_those_of_the_last_run() -> None:
    publisher = Publisher(Watched().agent, last_version=41)
    published = await publisher.publish(tables.resources())
    assert published is not None
    assert published.version == "42"


async def test_a_gateway_that_lost_its_version_is_sent_everything() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    await publisher.publish(tables.resources())
    watched.engine.version = "something else"

    published = await publisher.publish(tables.resources(tables.route("cart", "/cart")))

    assert published is not None
    assert not published.error
    assert isinstance(watched.updates[-1], Snapshot)
    assert watched.agent.table.routes == (tables.route("cart", "/cart"),)
    await publisher.publish(tables.resources())
    assert isinstance(watched.updates[-1], Delta)


async def test_what_was_refused_is_sent_again_with_the_next_change_and_never_in_between() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    whole = tables.resources()
    without_backend = Resources(gateways=whole.gateways, listeners=whole.listeners, routes=whole.routes)

    await publisher.publish(without_backend)
    assert [item.key for item in publisher.rejected] == [tables.route().key]
    assert await publisher.publish(without_backend) is None

    await publisher.publish(whole)
    last = watched.updates[-1]
    assert isinstance(last, Delta)
    assert last.upsert.routes == whole.routes
    assert publisher.rejected == ()
    assert watched.agent.table == whole


async def test_what_was_refused_and_is_wanted_no_more_is_forgotten() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    bad = tables.route("bad", "no-slash")
    await publisher.publish(tables.resources(tables.route(), bad))
    assert [item.key for item in publisher.rejected] == [bad.key]

    await publisher.publish(tables.resources(tables.route(path="/new")))
    assert publisher.rejected == ()
    assert watched.agent.state.rejected == ()
    assert await publisher.publish(tables.resources(tables.route(path="/new"))) is None


async def test_what_is_held_keeps_the_previous_version_of_what_is_refused_and_what_that_refers_to() -> None:
    watched = Watched()
    publisher = Publisher(watched.agent)
    before = tables.resources()
    await publisher.publish(before)
    watched.engine.refused = {tables.route().key: "not today"}

    await publisher.publish(tables.resources(tables.route(path="/bad")))
    assert publisher.held == watched.agent.table == before

    publisher = Publisher(watched.agent, holds=publisher.held)
    await publisher.publish(
        Resources(gateways=before.gateways, listeners=before.listeners, routes=(tables.route(path="/new"),))
    )
    assert publisher.held.routes == before.routes
    assert publisher.held.backends == before.backends

    watched.engine.refused = {}
    await publisher.publish(tables.resources(tables.route(path="/better")))
    assert publisher.held == watched.agent.table == tables.resources(tables.route(path="/better"))
