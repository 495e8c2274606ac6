from __future__ import annotations

import asyncio

from controller.publish.batches import batches


async def test_what_arrives_together_is_one_batch_in_its_order() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(5):
        queue.put_nowait(number)
    stream = batches(queue, quiet=0.01)
    assert await anext(stream) == [0, 1, 2, 3, 4]
    queue.put_nowait(5)
    assert await anext(stream) == [5]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_stream_without_pause_is_cut_at_the_bound() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def never_quiet() -> None:
        number = 0
        while True:
            queue.put_nowait(number := number + 1)
            await asyncio.sleep(0.001)

    producer = asyncio.create_task(never_quiet())
    stream = batches(queue, quiet=1.0, longest=0.05)
    batch = await asyncio.wait_for(anext(stream), 2)
    producer.cancel()
    assert len(batch) > 1
    await stream.aclose()  # type: ignore[attr-defined]


async def test_who_is_cancelled_as_an_item_arrives_ends() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def follow() -> None:
        async for batch in batches(queue, quiet=0.05, longest=0.1):
            raise AssertionError(f"it goes on, with {batch}")

    follower = asyncio.create_task(follow())
    queue.put_nowait(1)
    await asyncio.sleep(0.01)
    queue.put_nowait(2)
    follower.cancel()
    done, _ = await asyncio.wait([follower], timeout=0.5)
    assert done == {follower}
    assert follower.cancelled()
