from __future__ import annotations

import asyncio
import gc

import pytest

from controller.publish import subscriptions as module
from controller.publish.stream import Stream
from controller.publish.subscriptions import Subscriptions, TooManyStreamsError
from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Delta, ListenerState, Snapshot
from tests.support import small_tables as tables

BOUND = (ListenerState(key=tables.LISTENER, bound=True),)
MORE = tables.resources(tables.route(), tables.route("cart", "/cart"))


async def sent(stream: Stream) -> Snapshot | Delta:
    message = await stream.next(1)
    assert message is not None
    return wire.decode_update(message.data)[0]


async def accept(subscriptions: Subscriptions, stream: Stream) -> Snapshot | Delta:
    update = await sent(stream)
    subscriptions.answered(stream, Applied(version=update.version, listeners=BOUND))
    return update


async def test_one_update_is_on_its_way_at_a_time_and_what_changes_meanwhile_is_one_delta() -> None:
    subscriptions = Subscriptions(lambda _: None)
    stream = subscriptions.open("a", "t", None)
    assert await stream.next(0.01) is None

    subscriptions.set_tables({"t": tables.resources()})
    first = await sent(stream)
    for number in range(5):
        subscriptions.set_tables({"t": tables.resources(tables.route(), tables.route(f"n{number}"))})
        assert await stream.next(0) is None
    subscriptions.answered(stream, Applied(version=first.version))
    second = await accept(subscriptions, stream)

    assert isinstance(second, Delta)
    assert [route.object for route in second.upsert.routes] == ["default/n4"]
    assert await stream.next(0) is None


async def test_what_a_gateway_says_before_an_update_arrived_does_not_answer_it() -> None:
    subscriptions = Subscriptions(lambda _: None)
    subscriptions.set_tables({"t": tables.resources()})
    stream = subscriptions.open("a", "t", None)
    first = await accept(subscriptions, stream)
    subscriptions.set_tables({"t": MORE})
    await sent(stream)

    subscriptions.answered(stream, Applied(version=first.version))

    assert await stream.next(0) is None
    assert subscriptions.answer("t") is None


async def test_a_delta_that_is_refused_whole_is_followed_by_everything_and_a_refused_snapshot_by_nothing() -> None:
    subscriptions = Subscriptions(lambda _: None)
    subscriptions.set_tables({"t": tables.resources()})
    stream = subscriptions.open("a", "t", None)
    await accept(subscriptions, stream)
    subscriptions.set_tables({"t": MORE})
    assert isinstance(await sent(stream), Delta)

    subscriptions.answered(stream, Applied(version="else", error="version else is served"))
    assert subscriptions.answer("t") is None
    assert isinstance(await sent(stream), Snapshot)
    subscriptions.answered(stream, Applied(version="else", error="no memory"))

    assert await stream.next(0.01) is None
    answer = subscriptions.answer("t")
    assert answer is not None
    assert answer.error == "no memory"
    subscriptions.set_tables({"t": tables.resources()})
    assert isinstance(await sent(stream), Snapshot)


async def test_it_is_told_once_for_each_change_of_the_answer() -> None:
    told: list[str] = []
    subscriptions = Subscriptions(told.append)
    subscriptions.set_tables({"t": tables.resources(), "u": tables.resources()})
    streams = [subscriptions.open(name, "t", None) for name in ("a", "b")]
    for stream in streams:
        await accept(subscriptions, stream)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["t"]

    subscriptions.answered(streams[0], Applied(version=streams[0].holds.version, listeners=BOUND))  # type: ignore[union-attr]
    await asyncio.sleep(0.01)
    assert told == ["t"]
    subscriptions.set_tables({"t": MORE, "u": tables.resources()})
    await asyncio.sleep(0.01)
    assert told == ["t", "t"]
    assert subscriptions.answer("t") is None


async def test_a_gateway_that_comes_back_in_time_changes_no_answer() -> None:
    told: list[str] = []
    subscriptions = Subscriptions(told.append, patience=0.4)
    subscriptions.set_tables({"t": tables.resources()})
    stream = subscriptions.open("a", "t", None)
    await accept(subscriptions, stream)
    await asyncio.sleep(0.01)
    subscriptions.close(stream)
    await asyncio.sleep(0.05)
    assert subscriptions.answer("t") is not None
    assert subscriptions.gateways()[0].error == "its stream ended; it is expected back"

    back = subscriptions.open("a", "t", stream.holds)
    assert await back.next(0.01) is None
    assert told == ["t"]

    subscriptions.close(back)
    await asyncio.sleep(1.2)
    assert told == ["t", "t"]
    assert subscriptions.answer("t") is None
    assert subscriptions.gateways() == ()


async def test_the_second_stream_of_a_gateway_ends_the_first() -> None:
    subscriptions = Subscriptions(lambda _: None)
    first = subscriptions.open("a", "t", None)
    second = subscriptions.open("a", "t", None)
    assert (first.ended, second.ended) == (True, False)
    subscriptions.close(first)
    assert subscriptions.stream(second.id) is second


async def test_a_table_that_nobody_wants_or_holds_is_forgotten() -> None:
    subscriptions = Subscriptions(lambda _: None)
    subscriptions.set_tables({"t": tables.resources()})
    stream = subscriptions.open("a", "t", None)
    subscriptions.set_tables({})
    assert subscriptions.answer("t") is None
    assert "t" in subscriptions._lineages
    subscriptions.close(stream)
    gc.collect()
    assert subscriptions._lineages == {}


async def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STREAMS", 1)
    subscriptions = Subscriptions(lambda _: None)
    subscriptions.open("a", "t", None)
    with pytest.raises(TooManyStreamsError, match="takes no more"):
        subscriptions.open("b", "t", None)
