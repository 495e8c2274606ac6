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
